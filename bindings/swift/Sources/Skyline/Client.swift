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
/// Every call throws ``SkylineError``, or `CancellationError` when its task was cancelled.
/// Cancelling the task of one call leaves the others as they are. The server may have executed a
/// call that was cancelled.
///
/// The connection is closed by ``shutdown()``, or when the last reference to the client is gone. A
/// connection that was lost is not made again by itself: see ``states``, and connect a new client.
public final class Client: Sendable {
    private let native: SkylineNative.Client

    /// What the server said about the license at the login.
    public let session: Session

    private init(_ native: SkylineNative.Client) throws {
        self.native = native
        session = try Session(native.session())
    }

    /// Connects, checks that the server holds one of the pinned identity keys, and logs in.
    ///
    /// - Parameter configuration: The settings; all are checked first.
    /// - Returns: A client whose session is open.
    /// - Throws: ``SkylineError``: the configuration is invalid, the server cannot be reached or
    ///   trusted, or it refused the login. `CancellationError` when the task was cancelled.
    public static func connect(_ configuration: Configuration) async throws -> Client {
        let native = try await cancellable {
            try await SkylineNative.Client.connect(
                configuration: configuration.native, cancellation: $0)
        }
        return try Client(native)
    }

    /// The limits of the license: name to value, for example
    /// `engine.limits.sendMessage.dailyLimit` to 150.
    ///
    /// - Parameter deadline: How long the whole call may take;
    ///   ``Configuration/callDeadline`` when `nil`.
    /// - Returns: All limits of the license.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func limits(deadline: Duration? = nil) async throws -> [String: Int64] {
        try await cancellable {
            try await native.getLimits(options: .init(deadline, $0))
        }
    }

    /// Reports an event of the application.
    ///
    /// - Parameters:
    ///   - name: The event's name, for example `app.navigation`.
    ///   - data: What belongs to it: a value that `JSONEncoder` writes as a JSON object.
    ///   - deadline: How long the whole call may take; ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func sendEvent(
        _ name: String, _ data: some Encodable & Sendable, deadline: Duration? = nil
    ) async throws {
        let json = try JSONPayload.encode(data)
        try await cancellable {
            try await native.sendEventJson(name: name, data: json, options: .init(deadline, $0))
        }
    }

    /// Reports an event whose data is MessagePack already.
    ///
    /// - Parameters:
    ///   - name: The event's name.
    ///   - messagePack: The MessagePack of a map.
    ///   - deadline: How long the whole call may take; ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func sendEventRaw(
        _ name: String, _ messagePack: Data, deadline: Duration? = nil
    ) async throws {
        try await cancellable {
            try await native.sendEvent(name: name, data: messagePack, options: .init(deadline, $0))
        }
    }

    /// Calls any method of the server with a payload.
    ///
    /// Payload and answer pass through `JSONEncoder` and `JSONDecoder` with their default
    /// strategies, and integers keep all 64 bits. `Data` travels as base64 text; use
    /// ``callRaw(_:_:deadline:)`` for the binary data, extension types, NaN and infinities of
    /// MessagePack, which JSON cannot say.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - payload: What the method is given.
    ///   - type: What the answer is read as; an optional where there may be none.
    ///   - deadline: How long the whole call may take; ``Configuration/callDeadline`` when `nil`.
    /// - Returns: The method's answer.
    /// - Throws: ``SkylineError``, with the code ``SkylineError/Code/payload`` when payload or
    ///   answer does not fit its type; `CancellationError`.
    public func call<Response: Decodable & Sendable>(
        _ method: String,
        _ payload: some Encodable & Sendable,
        as type: Response.Type = Response.self,
        deadline: Duration? = nil
    ) async throws -> Response {
        let answer = try await call(method, json: try JSONPayload.encode(payload), deadline)
        return try JSONPayload.decode(type, from: answer)
    }

    /// Calls any method of the server without a payload.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - type: What the answer is read as; an optional where there may be none.
    ///   - deadline: How long the whole call may take; ``Configuration/callDeadline`` when `nil`.
    /// - Returns: The method's answer.
    /// - Throws: ``SkylineError``, with the code ``SkylineError/Code/payload`` when the answer does
    ///   not fit its type; `CancellationError`.
    public func call<Response: Decodable & Sendable>(
        _ method: String,
        as type: Response.Type = Response.self,
        deadline: Duration? = nil
    ) async throws -> Response {
        try JSONPayload.decode(type, from: try await call(method, json: nil, deadline))
    }

    /// Calls a method with a payload and drops its answer, if there is one.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - payload: What the method is given.
    ///   - deadline: How long the whole call may take; ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func call(
        _ method: String, _ payload: some Encodable & Sendable, deadline: Duration? = nil
    ) async throws {
        _ = try await call(method, json: try JSONPayload.encode(payload), deadline)
    }

    /// Calls a method without a payload and drops its answer, if there is one.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - deadline: How long the whole call may take; ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func call(_ method: String, deadline: Duration? = nil) async throws {
        _ = try await callRaw(method, nil, deadline: deadline)
    }

    private func call(
        _ method: String, json: String?, _ deadline: Duration?
    ) async throws -> String? {
        try await cancellable {
            try await native.callJson(method: method, payload: json, options: .init(deadline, $0))
        }
    }

    /// Calls any method of the server with MessagePack as it is.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - messagePack: The MessagePack of one value; `nil` for no payload.
    ///   - deadline: How long the whole call may take; ``Configuration/callDeadline`` when `nil`.
    /// - Returns: The MessagePack of the answer; `nil` when there is none.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func callRaw(
        _ method: String, _ messagePack: Data? = nil, deadline: Duration? = nil
    ) async throws -> Data? {
        try await cancellable {
            try await native.call(
                method: method, payload: messagePack, options: .init(deadline, $0))
        }
    }

    /// The states of the connection: the present one, then every change, to the last one.
    ///
    /// Each use makes a stream of its own. A stream that is read slowly may miss states in between,
    /// never the last one. It does not keep the client open.
    ///
    /// ```swift
    /// for await state in client.states {
    ///     if case .disconnected(let error) = state { print(error.message) }
    /// }
    /// ```
    public var states: AsyncStream<ConnectionState> {
        let states = native.states()
        let cancellation = SkylineNative.Cancellation()
        return AsyncStream {
            // The only failure is the cancellation, which ends the stream.
            let state = try? await states.next(cancellation: cancellation)
            return state.map(ConnectionState.init)
        } onCancel: {
            cancellation.cancel()
        }
    }

    /// Closes the connection in order.
    ///
    /// Calls in flight, and everything that is asked of the client later, fail with the code
    /// ``SkylineError/Code/shutDown``. A second call does nothing.
    public func shutdown() async {
        await native.shutdown()
    }
}
