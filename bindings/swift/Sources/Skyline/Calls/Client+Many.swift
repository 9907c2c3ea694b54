import Foundation

extension Client {
    /// Makes many calls at once, which costs much less than to make them one by one.
    ///
    /// The calls are independent: they may be executed and end in any order, and each succeeds or
    /// fails by itself. Payloads and answers pass through JSON as those of
    /// ``call(_:_:as:deadline:idempotent:)``.
    ///
    /// ```swift
    /// let calls = names.map { (method: "find", payload: Optional(Query(name: $0))) }
    /// for result in try await client.callMany(calls, as: Answer.self) {
    ///     switch result { … }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - calls: The methods' names, each with what the method is given; `nil` for no payload.
    ///   - type: What each answer is read as; an optional where there may be none.
    ///   - deadline: How long each call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    ///   - idempotent: Whether executing any of the calls twice does no harm, so that it may be sent
    ///     again.
    /// - Returns: For each call, in their order, its answer or why it failed; when all have ended.
    /// - Throws: `CancellationError` when the task was cancelled, which cancels the calls that have
    ///   not ended.
    public func callMany<Payload: Encodable & Sendable, Response: Decodable & Sendable>(
        _ calls: [(method: String, payload: Payload?)],
        as type: Response.Type = Response.self,
        deadline: Duration? = nil,
        idempotent: Bool = false
    ) async throws -> [Result<Response, SkylineError>] {
        let requests = calls.map { call in
            Result { () throws(SkylineError) in
                let json = try call.payload.map(JSONPayload.encode)
                return Request(call.method, json, deadline, idempotent: idempotent, isJSON: true)
            }
        }
        // Those that cannot be written are not made.
        let made = requests.compactMap { try? $0.get() }
        var answers = try await callQueue.callMany(made, of: handle).makeIterator()
        return requests.map { request in
            Result { () throws(SkylineError) in
                _ = try request.get()
                return try JSONPayload.decode(type, from: answers.next()?.get() ?? nil)
            }
        }
    }

    /// Makes many calls at once with MessagePack as it is; see
    /// ``callMany(_:as:deadline:idempotent:)``.
    ///
    /// - Parameters:
    ///   - calls: The methods' names, each with the MessagePack of one value; `nil` for no payload.
    ///   - deadline: How long each call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    ///   - idempotent: Whether executing any of the calls twice does no harm, so that it may be sent
    ///     again.
    /// - Returns: For each call, in their order, the MessagePack of its answer, `nil` where there is
    ///   none, or why it failed; when all have ended.
    /// - Throws: `CancellationError` when the task was cancelled, which cancels the calls that have
    ///   not ended.
    public func callManyRaw(
        _ calls: [(method: String, messagePack: Data?)],
        deadline: Duration? = nil,
        idempotent: Bool = false
    ) async throws -> [Result<Data?, SkylineError>] {
        let requests = calls.map { Request($0, $1, deadline, idempotent: idempotent) }
        return try await callQueue.callMany(requests, of: handle)
    }
}
