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
    func delay(
        milliseconds: Int, deadline: Duration? = nil, idempotent: Bool = false
    ) async throws {
        try await call(
            "test.delay", Delay(milliseconds: milliseconds), deadline: deadline,
            idempotent: idempotent)
    }

    /// A call that the server answers by dropping the connection. It fails with the error of that.
    @discardableResult
    func dropConnection() async throws -> SkylineError {
        try await failure { try await call("test.drop-connection") }
    }

    /// A call that the server answers with a status of the caller's choice.
    func answer(
        with status: AnswerWith, deadline: Duration? = nil, idempotent: Bool = false
    ) async throws {
        try await call("test.status", status, deadline: deadline, idempotent: idempotent)
    }
}

extension ConnectionStates {
    /// The next state that fits, whatever comes before it; the test fails when there is none.
    @discardableResult
    func first(where fits: (ConnectionState) -> Bool) async throws -> ConnectionState {
        while let state = try await nextState() {
            if fits(state) { return state }
        }
        throw NoSuchState()
    }

    struct NoSuchState: Error {}
}

extension ConnectionState {
    var isReconnecting: Bool {
        if case .reconnecting = self { true } else { false }
    }
}
