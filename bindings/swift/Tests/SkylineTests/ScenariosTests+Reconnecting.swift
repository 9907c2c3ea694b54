import Foundation
import Skyline
import XCTest

/// The scenarios of a session that outlives its connections.
extension ScenariosTests {
    func testALostConnectionIsMadeAgain() async throws {
        let (_, client) = try await connectedClient()

        let lost = try await client.dropConnection()

        XCTAssertEqual(lost.code, .connectionLost)
        let answer = try await client.echo("still there")
        XCTAssertEqual(answer, "still there")
        XCTAssertTrue(client.session.isActivatedNow)
    }

    func testACallWaitsForTheNextConnection() async throws {
        let (server, client) = try await connectedClient()
        let states = client.states
        server.kill()
        try await states.first { $0.isReconnecting }
        let call = Task { try await client.echo("waited for") }
        try await Task.sleep(for: .milliseconds(200))

        try await server.restart()

        let answer = try await call.value
        XCTAssertEqual(answer, "waited for")
    }

    func testACallLostOnTheWaySaysThatItMayHaveRun() async throws {
        let (_, client) = try await connectedClient()
        let call = Task { try await client.delay(milliseconds: 30_000) }
        try await Task.sleep(for: .seconds(1))

        try await client.dropConnection()

        let error = try await failure { try await call.value }
        XCTAssertEqual(error.code, .connectionLost)
        XCTAssertEqual(error.maybeExecuted, true)
    }

    func testAnIdempotentCallIsSentAgain() async throws {
        let (server, client) = try await connectedClient()
        let states = client.states
        let call = Task { try await client.delay(milliseconds: 1000, idempotent: true) }
        try await Task.sleep(for: .milliseconds(200))

        server.kill()
        try await states.first { $0.isReconnecting }
        try await server.restart()

        // Only the second server could answer.
        try await call.value
    }

    func testReconnectingNowEndsTheWait() async throws {
        let (_, client) = try await connectedClient {
            // Drawn from zero to an hour: shorter than this test in one run of thousands.
            $0.reconnectInitialDelay = .seconds(3600)
            $0.reconnectMaxDelay = .seconds(3600)
        }
        let states = client.states
        try await client.dropConnection()
        try await states.first { $0.isReconnecting }

        client.reconnectNow()

        try await states.first { $0 == .ready }
        let answer = try await client.echo("back")
        XCTAssertEqual(answer, "back")
    }

    func testEveryStateIsTold() async throws {
        let wait = Duration.seconds(3600)
        let (_, client) = try await connectedClient {
            // So that no state is over before it is read.
            $0.reconnectInitialDelay = wait
            $0.reconnectMaxDelay = wait
        }
        let states = client.states
        let first = try await states.nextState()
        XCTAssertEqual(first, .ready)

        let lost = try await client.dropConnection()

        let second = try await states.nextState()
        guard case .reconnecting(let attempt, let nextDelay, let lastError)? = second else {
            return XCTFail("the loss is told as \(String(describing: second))")
        }
        XCTAssertEqual(attempt, 1)
        XCTAssertGreaterThan(nextDelay, .zero)
        XCTAssertLessThanOrEqual(nextDelay, wait)
        XCTAssertEqual(lastError.code, lost.code)

        client.reconnectNow()
        // The attempt may be over before it is seen.
        let third = try await states.first { $0 != .connecting }
        XCTAssertEqual(third, .ready)

        await client.shutdown()
        let last = try await states.nextState()
        XCTAssertEqual(last, .shutDown)
        let end = try await states.nextState()
        XCTAssertNil(end)
    }

    func testARefusalWhileReconnectingEndsTheClient() async throws {
        let server = try await startServer()
        let license = try await server.issueLicense()
        let client = try await Client.connect(server.configuration(license))
        let states = client.states
        _ = try await server.admin("license", "suspend", license.key)

        try await client.dropConnection()

        let seen = await states.reduce(into: []) { $0.append($1) }
        guard case .refused(let error)? = seen.last else {
            return XCTFail("the client goes on after \(seen)")
        }
        XCTAssertEqual(error.code, .licenseSuspended)
        XCTAssertEqual(error.status, "LICENSE_SUSPENDED")
        for _ in 0..<2 {
            let later = try await failure { try await client.limits() }
            XCTAssertEqual(later, error)
        }
    }

    func testAnIdempotentCallWaitsOutARateLimit() async throws {
        let (_, client) = try await connectedClient()
        let limited = AnswerWith(status: "RATE_LIMITED", message: "slowly", retryAfterSeconds: 5)

        let atOnce = try await failure { try await client.answer(with: limited) }
        XCTAssertEqual(atOnce.code, .rateLimited)
        XCTAssertEqual(atOnce.retryAfter, .seconds(5))

        let begin = ContinuousClock.now
        let waited = try await failure {
            try await client.answer(with: limited, deadline: .seconds(14), idempotent: true)
        }
        // The answer of the last attempt that the deadline allowed, after two waits: a third one would go
        // beyond it. All are long beside what a busy machine may take for an answer.
        XCTAssertEqual(waited.code, .rateLimited)
        XCTAssertGreaterThanOrEqual(ContinuousClock.now - begin, .seconds(10))
    }

    func testARotatedIdentityKeyIsAccepted() async throws {
        let server = try await startServer()
        let nextKey = try await server.makeIdentityKey("next.key")
        var both = server.configuration(try await server.issueLicense())
        both.identityKeys.append(nextKey)
        let prepared = try await Client.connect(both)
        let outdated = try await Client.connect(
            server.configuration(try await server.issueLicense()))
        let states = outdated.states

        server.kill()
        try await server.restart(keyFile: "next.key")

        let answer = try await prepared.echo("still there")
        XCTAssertEqual(answer, "still there")
        let seen = await states.reduce(into: []) { $0.append($1) }
        guard case .breached(let error)? = seen.last else {
            return XCTFail("the client that pins the old key alone goes on after \(seen)")
        }
        XCTAssertEqual(error.breachReason, .serverSignature)
        let later = try await failure { try await outdated.limits() }
        XCTAssertEqual(later, error)
    }
}
