import Foundation
import Skyline
import XCTest

/// How Swift values become payloads and answers become Swift values.
final class CallsTests: ServerTestCase {
    func testAnAnswerOfAnotherTypeIsAnErrorThatSaysWhere() async throws {
        struct Expected: Decodable, Sendable {
            struct Item: Decodable, Sendable { let name: Int }
            let items: [Item]
        }
        let (_, client) = try await connectedClient()

        let error = try await failure {
            try await client.call("test.echo", ["items": [["name": "one"]]], as: Expected.self)
        }

        XCTAssertEqual(error.code, .payload)
        XCTAssertTrue(error.message.contains("items"), error.message)
        XCTAssertTrue(error.message.contains("name"), error.message)
    }

    func testNoAnswerIsReadAsAnOptionalAndNothingElse() async throws {
        let (_, client) = try await connectedClient()

        let nothing = try await client.call("test.echo", as: String?.self)
        let error = try await failure { try await client.call("test.echo", as: String.self) }

        XCTAssertNil(nothing)
        XCTAssertEqual(error.code, .payload)
    }

    func testTheTypeOfAnAnswerIsInferred() async throws {
        let (_, client) = try await connectedClient()
        let answer: [String: [Int]] = try await client.call("test.echo", ["a": [1, 2]])
        XCTAssertEqual(answer, ["a": [1, 2]])
    }

    func testWhatJSONCannotSayIsAnErrorAndTheClientGoesOn() async throws {
        let (_, client) = try await connectedClient()

        let unwritable = try await failure { try await client.echo([Double.nan]) }
        let statusPayload = try await failure {
            try await client.sendEvent("an.event", ["not", "a", "map"])
        }

        XCTAssertEqual(unwritable.code, .payload)
        XCTAssertEqual(statusPayload.code, .payload)
        let answer = try await client.echo("still there")
        XCTAssertEqual(answer, "still there")
    }

    func testAPartOfDataIsAPayload() async throws {
        let (_, client) = try await connectedClient()
        let bytes = Data([0xff, 0xa1, 0x61, 0xff])

        let answer = try await client.callRaw("test.echo", bytes[1...2])

        XCTAssertEqual(answer, Data([0xa1, 0x61]))
    }

    func testACallOfACancelledTaskIsNotMade() async throws {
        let (_, client) = try await connectedClient()
        let call = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            // {"event": "e", "data": {}}
            try await client.callRaw(
                "send-event",
                Data([0x82, 0xa5]) + Data("event".utf8) + Data([0xa1, 0x65, 0xa4])
                    + Data("data".utf8) + Data([0x80]))
        }

        let result = await call.result

        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError) }
        let stored = try await client.call("test.events", as: [StoredEvent<[String: Int]>].self)
        XCTAssertTrue(stored.isEmpty)
    }

    func testCallsCancelledAmongManyOthersAllEnd() async throws {
        let (_, client) = try await connectedClient()
        let callers = (0..<100).map { caller in
            Task {
                for call in 0..<50 {
                    let answer = try await client.echo([caller, call])
                    XCTAssertEqual(answer, [caller, call])
                }
            }
        }
        for caller in callers[..<50] {
            try await Task.sleep(for: .milliseconds(1))
            caller.cancel()
        }

        for caller in callers[..<50] {
            if case .failure(let error) = await caller.result {
                XCTAssertTrue(error is CancellationError, "\(error)")
            }
        }
        for caller in callers[50...] { try await caller.value }
        let answer = try await client.echo("still there")
        XCTAssertEqual(answer, "still there")
    }

    func testAnEventInMessagePackIsStored() async throws {
        let (_, client) = try await connectedClient()

        // {"n": 1}
        try await client.sendEventRaw("an.event", Data([0x81, 0xa1, 0x6e, 0x01]))

        let stored = try await client.call("test.events", as: [StoredEvent<[String: Int]>].self)
        XCTAssertEqual(stored.map(\.event), ["an.event"])
        XCTAssertEqual(stored.map(\.data), [["n": 1]])
    }

    func testATrackedEventInMessagePackIsStored() async throws {
        let (_, client) = try await connectedClient { $0.eventDurability = .synced }

        // {"n": 1}
        try await client.trackRaw("an.event", Data([0x81, 0xa1, 0x6e, 0x01]))
        try await client.flushEvents()

        let stored = try await client.call("test.events", as: [StoredEvent<[String: Int]>].self)
        XCTAssertEqual(stored.map(\.data), [["n": 1]])
    }

    func testATrackedEventThatIsNoMapIsRefusedAtOnce() async throws {
        let (_, client) = try await connectedClient()

        let error = try await failure { try await client.track("an.event", ["not", "a", "map"]) }

        XCTAssertEqual(error.code, .payload)
        XCTAssertEqual(client.eventCounters.tracked, 0)
    }

    func testACancelledFlushLeavesTheEventsQueued() async throws {
        let (server, client) = try await connectedClient()
        let states = client.states
        server.kill()
        try await states.first { $0.isReconnecting }
        try await client.track("an.event", ["n": 1])
        let flush = Task { try await client.flushEvents() }
        try await Task.sleep(for: .milliseconds(100))

        flush.cancel()

        let result = await flush.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        XCTAssertEqual(client.eventCounters.queued, 1)
    }

    func testARateLimitSaysHowLongToWait() async throws {
        let (_, client) = try await connectedClient()

        let error = try await failure {
            try await client.answer(
                with: AnswerWith(status: "RATE_LIMITED", message: "slowly", retryAfterSeconds: 7))
        }

        XCTAssertEqual(error.code, .rateLimited)
        XCTAssertEqual(error.retryAfter, .seconds(7))
    }

    func testEachStatusHasACodeOfItsOwn() async throws {
        let (_, client) = try await connectedClient()
        for code: SkylineError.Code in [
            .outdatedVersion, .keyBoundToAnotherDevice, .badRequest, .unknownMethod,
            .licenseNotFound, .licenseExpired, .licenseSuspended, .rateLimited, .internalError,
        ] {
            let error = try await failure {
                try await client.answer(with: AnswerWith(status: code.rawValue, message: "why"))
            }
            XCTAssertEqual(error.code, code)
            XCTAssertEqual(error.status, code.rawValue)
            XCTAssertEqual(error.serverMessage, "why")
        }
    }
}
