import Foundation
internal import SkylineNative

extension Client {
    /// The limits of the license: name to value, for example
    /// `engine.limits.sendMessage.dailyLimit` to 150. Idempotent.
    ///
    /// - Parameter deadline: How long the whole call may take;
    ///   ``Configuration/callDeadline`` when `nil`.
    /// - Returns: All limits of the license.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func limits(deadline: Duration? = nil) async throws -> [String: Int64] {
        try await cancellable {
            try await native.getLimits(options: .init(deadline, cancellation: $0))
        }
    }

    /// Calls any method of the server with a payload.
    ///
    /// Payload and answer pass through `JSONEncoder` and `JSONDecoder` with their default
    /// strategies, and integers keep all 64 bits. `Data` travels as base64 text; use
    /// ``callRaw(_:_:deadline:idempotent:)`` for the binary data, extension types, NaN and
    /// infinities of MessagePack, which JSON cannot say.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - payload: What the method is given.
    ///   - type: What the answer is read as; an optional where there may be none.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    ///   - idempotent: Whether executing the call twice does no harm. It is then sent again when
    ///     the connection is lost before its answer, and waits out a rate limit, as often as the
    ///     deadline allows.
    /// - Returns: The method's answer.
    /// - Throws: ``SkylineError``, with the code ``SkylineError/Code/payload`` when payload or
    ///   answer does not fit its type; `CancellationError`.
    public func call<Response: Decodable & Sendable>(
        _ method: String,
        _ payload: some Encodable & Sendable,
        as type: Response.Type = Response.self,
        deadline: Duration? = nil,
        idempotent: Bool = false
    ) async throws -> Response {
        let json = try JSONPayload.encode(payload)
        let answer = try await call(method, json: json, deadline, idempotent)
        return try JSONPayload.decode(type, from: answer)
    }

    /// Calls any method of the server without a payload.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - type: What the answer is read as; an optional where there may be none.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    ///   - idempotent: Whether executing the call twice does no harm, so that it may be sent again.
    /// - Returns: The method's answer.
    /// - Throws: ``SkylineError``, with the code ``SkylineError/Code/payload`` when the answer does
    ///   not fit its type; `CancellationError`.
    public func call<Response: Decodable & Sendable>(
        _ method: String,
        as type: Response.Type = Response.self,
        deadline: Duration? = nil,
        idempotent: Bool = false
    ) async throws -> Response {
        let answer = try await call(method, json: nil, deadline, idempotent)
        return try JSONPayload.decode(type, from: answer)
    }

    /// Calls a method with a payload and drops its answer, if there is one.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - payload: What the method is given.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    ///   - idempotent: Whether executing the call twice does no harm, so that it may be sent again.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func call(
        _ method: String,
        _ payload: some Encodable & Sendable,
        deadline: Duration? = nil,
        idempotent: Bool = false
    ) async throws {
        let json = try JSONPayload.encode(payload)
        _ = try await call(method, json: json, deadline, idempotent)
    }

    /// Calls a method without a payload and drops its answer, if there is one.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    ///   - idempotent: Whether executing the call twice does no harm, so that it may be sent again.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func call(
        _ method: String, deadline: Duration? = nil, idempotent: Bool = false
    ) async throws {
        _ = try await callRaw(method, nil, deadline: deadline, idempotent: idempotent)
    }

    private func call(
        _ method: String, json: Data?, _ deadline: Duration?, _ idempotent: Bool
    ) async throws -> Data? {
        try await callQueue.call(
            Request(method, json, deadline, idempotent: idempotent, isJSON: true), of: handle)
    }

    /// Calls any method of the server with MessagePack as it is.
    ///
    /// - Parameters:
    ///   - method: The method's name.
    ///   - messagePack: The MessagePack of one value; `nil` for no payload.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    ///   - idempotent: Whether executing the call twice does no harm, so that it may be sent again.
    /// - Returns: The MessagePack of the answer; `nil` when there is none.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func callRaw(
        _ method: String,
        _ messagePack: Data? = nil,
        deadline: Duration? = nil,
        idempotent: Bool = false
    ) async throws -> Data? {
        try await callQueue.call(
            Request(method, messagePack, deadline, idempotent: idempotent), of: handle)
    }
}
