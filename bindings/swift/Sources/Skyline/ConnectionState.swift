internal import SkylineNative

/// The state of a client's connection; see ``Client/states``.
public enum ConnectionState: Sendable, Hashable {
    /// The session is open.
    case connected
    /// The connection was lost, and this is how. Connect a new client to go on.
    case disconnected(SkylineError)
    /// The client is finished: by an integrity breach, which is given, or by its shutdown.
    case closed(SkylineError?)

    init(_ native: SkylineNative.ConnectionState) {
        switch native {
        case .connected: self = .connected
        case .disconnected(let details): self = .disconnected(SkylineError(details))
        case .closed(let details): self = .closed(details.map(SkylineError.init))
        }
    }
}
