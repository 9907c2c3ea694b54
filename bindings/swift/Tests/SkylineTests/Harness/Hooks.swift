import Skyline

/// The payload of `test.delay`.
struct Delay: Encodable {
    let milliseconds: Int
}

/// The payload of `test.status`.
struct AnswerWith: Encodable {
    let status: String
    var message: String?
    var retryAfterSeconds: Int?
}

/// An item of the answer of `test.events`.
struct StoredEvent<Payload: Decodable & Sendable>: Decodable, Sendable {
    let event: String
    let data: Payload
}

extension Client {
    /// Gives a value to the server and gets it back.
    func echo<Value: Codable & Sendable>(_ value: Value) async throws -> Value {
        try await call("test.echo", value)
    }

    /// A call that the server answers after a while.
    func delay(milliseconds: Int, deadline: Duration? = nil) async throws {
        try await call("test.delay", Delay(milliseconds: milliseconds), deadline: deadline)
    }

    /// A call that the server answers with a status of the caller's choice.
    func answer(with status: AnswerWith) async throws {
        try await call("test.status", status)
    }
}
