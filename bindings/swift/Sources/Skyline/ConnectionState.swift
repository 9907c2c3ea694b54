internal import SkylineNative

/// The state of a client's connection; see ``Client/states``.
public enum ConnectionState: Sendable, Hashable {
    /// An attempt to connect and log in is under way.
    case connecting
    /// The session is open.
    case ready
    /// There is no connection; the client waits before it tries again.
    ///
    /// - attempt: The number of the attempt that comes next: 1 after a connection that was stable,
    ///   see ``Configuration/reconnectStableAfter``.
    /// - nextDelay: How long the client waits before it. ``Client/reconnectNow()`` ends the wait.
    /// - lastError: How the connection was lost, or why the last attempt failed.
    case reconnecting(attempt: Int, nextDelay: Duration, lastError: SkylineError)
    /// The server refused the login for good: the version is outdated, or the license key is bound
    /// to another device, unknown, expired or suspended. The client is finished.
    case refused(SkylineError)
    /// The integrity of the session was violated; the code is
    /// ``SkylineError/Code/integrityBreach``. The client is finished.
    case breached(SkylineError)
    /// The client was shut down, or the last reference to it is gone.
    case shutDown

    init(_ native: SkylineNative.ConnectionState) {
        switch native {
        case .connecting:
            self = .connecting
        case .ready:
            self = .ready
        case .reconnecting(let attempt, let nextDelay, let lastError):
            self = .reconnecting(
                attempt: Int(attempt), nextDelay: .seconds(nextDelay),
                lastError: SkylineError(lastError))
        case .refused(let details):
            self = .refused(SkylineError(details))
        case .breached(let details):
            self = .breached(SkylineError(details))
        case .shutDown:
            self = .shutDown
        }
    }
}

/// The states of one client's connection, one after the other; see ``Client/states``.
///
/// The present state comes first, then every change. ``ConnectionState/refused(_:)``,
/// ``ConnectionState/breached(_:)`` and ``ConnectionState/shutDown`` are each the last one. Reading
/// slowly may miss states in between, never the last one, and does not keep the client open.
///
/// ```swift
/// for await state in client.states {
///     if case .reconnecting(_, let delay, let error) = state { show(error.message, delay) }
/// }
/// ```
///
/// A state is given once: to the iterator or the ``nextState()`` that asked first. Readers that
/// shall each see all states take a sequence each.
public final class ConnectionStates: AsyncSequence, Sendable {
    private let native: SkylineNative.StateStream

    init(_ native: SkylineNative.StateStream) {
        self.native = native
    }

    /// The present state at the first call, then each change.
    ///
    /// - Returns: The next state; `nil` after the last one.
    /// - Throws: `CancellationError` when the task was cancelled; no state is lost by it.
    public func nextState() async throws -> ConnectionState? {
        try await cancellable { try await native.nextState(cancellation: $0) }
            .map(ConnectionState.init)
    }

    /// An iterator over the states that have not been read yet.
    public func makeAsyncIterator() -> Iterator {
        Iterator(states: self)
    }

    /// Reads the states, and ends after the last one or when its task is cancelled.
    public struct Iterator: AsyncIteratorProtocol {
        let states: ConnectionStates

        /// The next state; `nil` after the last one, and when the task was cancelled.
        public mutating func next() async -> ConnectionState? {
            // The only failure is the cancellation, which ends the iteration.
            try? await states.nextState()
        }
    }
}
