import Foundation
internal import SkylineNative

/// A session with a Skyline licensing server.
///
/// ``connect(_:)`` opens the connection, checks the server's identity and logs in; the calls then
/// go over that connection. A client may be used from any number of tasks at once, and each call
/// gets its own answer.
///
/// ```swift
/// let client = try await Client.connect(configuration)
/// print(client.session.expiryDate)
/// let limits = try await client.limits()
/// await client.shutdown()
/// ```
///
/// ### When the connection is lost
///
/// Once connected, the client keeps the session by itself: after every loss it connects and logs in
/// again, with growing waits in between, until it is shut down, the server refuses the login for
/// good, or the integrity of the session is violated. ``states`` tell of it. A call that was not
/// yet sent waits for the next connection, within its deadline. One that was sent and not answered
/// throws ``SkylineError/Code/connectionLost``, with ``SkylineError/maybeExecuted`` `true`: nobody
/// knows whether the server executed it. A call marked idempotent is sent again instead.
///
/// ### Errors and cancelling
///
/// Every call throws ``SkylineError``, or `CancellationError` when its task was cancelled.
/// Cancelling the task of one call leaves the others as they are. The server may have executed a
/// call that was cancelled.
///
/// The session ends with ``shutdown()``, or when the last reference to the client is gone.
public final class Client: Sendable {
    let native: SkylineNative.Client
    /// The same client as the calls know it.
    let handle: ClientHandle
    let callQueue: CallQueue
    private let firstSession: Session

    private init(_ native: SkylineNative.Client) throws {
        self.native = native
        handle = ClientHandle(native)
        callQueue = try CallQueue.shared()
        firstSession = try Session(native.session())
    }

    /// Connects, checks that the server holds one of the pinned identity keys, and logs in.
    ///
    /// - Parameter configuration: The settings; all are checked first.
    /// - Returns: A client whose session is open.
    /// - Throws: ``SkylineError``: the configuration is invalid, the server cannot be reached or
    ///   trusted, or it refused the login; nothing is tried again. `CancellationError` when the
    ///   task was cancelled.
    public static func connect(_ configuration: Configuration) async throws -> Client {
        let native = try await cancellable {
            try await SkylineNative.Client.connect(
                configuration: configuration.native, cancellation: $0)
        }
        return try Client(native)
    }

    /// What the server said about the license at the last login, be it the first one or one after
    /// a lost connection.
    public var session: Session {
        // A day that `Session` cannot hold fails the first login; no later one gives such a day.
        (try? Session(native.session())) ?? firstSession
    }

    /// The states of the connection: the present one, then every change, to the last one.
    ///
    /// Each use makes a sequence of its own.
    public var states: ConnectionStates {
        ConnectionStates(native.states())
    }

    /// Tells the client that a connection is worth trying now, as when a phone has got its network
    /// back.
    ///
    /// A wait between two attempts ends at once; a connection that seems open is asked for a sign
    /// of life and given up when none comes within seconds. Otherwise nothing happens.
    public func reconnectNow() {
        native.reconnectNow()
    }

    /// Closes the connection in order.
    ///
    /// Calls in flight, and everything that is asked of the client later, fail with the code
    /// ``SkylineError/Code/shutDown``. A second call does nothing.
    public func shutdown() async {
        await native.shutdown()
    }
}
