import Foundation
internal import SkylineNative

extension Client {
    /// Reports an event of the application, and waits until the server has it.
    ///
    /// - Parameters:
    ///   - name: The event's name, for example `app.navigation`.
    ///   - data: What belongs to it: a value that `JSONEncoder` writes as a JSON object.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func sendEvent(
        _ name: String, _ data: some Encodable & Sendable, deadline: Duration? = nil
    ) async throws {
        let json = try JSONPayload.encode(data)
        try await cancellable {
            try await native.sendEventJson(
                name: name, data: json, options: .init(deadline, cancellation: $0))
        }
    }

    /// Reports an event whose data is MessagePack already, and waits until the server has it.
    ///
    /// - Parameters:
    ///   - name: The event's name.
    ///   - messagePack: The MessagePack of a map.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func sendEventRaw(
        _ name: String, _ messagePack: Data, deadline: Duration? = nil
    ) async throws {
        try await cancellable {
            try await native.sendEvent(
                name: name, data: messagePack, options: .init(deadline, cancellation: $0))
        }
    }
}
