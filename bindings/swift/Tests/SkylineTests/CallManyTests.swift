import Foundation
import Skyline
import XCTest

/// Many calls at once, beyond the scenario of it.
final class CallManyTests: ServerTestCase {
    func testABatchInMessagePackKeepsItsBytes() async throws {
        let (_, client) = try await connectedClient()
        let large = Data([0xc6, 0, 2, 0, 0]) + Data(repeating: 7, count: 2 << 16)
        let payloads = MessagePackSamples.all.map(\.bytes) + [nil, large]

        let results = try await client.callManyRaw(payloads.map { ("test.echo", $0) })

        XCTAssertEqual(try results.map { try $0.get() }, payloads)
    }

    func testWhatCannotBeWrittenFailsByItself() async throws {
        let (_, client) = try await connectedClient()

        let results = try await client.callMany(
            [("test.echo", 0.5), ("test.echo", .nan), ("test.echo", 1.5)], as: Double.self)

        XCTAssertEqual(try results[0].get(), 0.5)
        XCTAssertThrowsError(try results[1].get()) { error in
            XCTAssertEqual((error as? SkylineError)?.code, .payload)
        }
        XCTAssertEqual(try results[2].get(), 1.5)
    }

    func testAnAnswerOfAnotherTypeFailsByItself() async throws {
        let (_, client) = try await connectedClient()

        let results = try await client.callMany(
            [("test.echo", 1), ("test.echo", nil)], as: Int.self)

        XCTAssertEqual(try results[0].get(), 1)
        XCTAssertThrowsError(try results[1].get()) { error in
            XCTAssertEqual((error as? SkylineError)?.code, .payload)
        }
    }

    func testNoCallsAreABatchToo() async throws {
        let (_, client) = try await connectedClient()
        let results = try await client.callManyRaw([])
        XCTAssertTrue(results.isEmpty)
    }

    func testTheDeadlineHoldsForEachCallOfABatch() async throws {
        let (_, client) = try await connectedClient()

        let results = try await client.callMany(
            [("test.delay", ["milliseconds": 60_000]), ("test.echo", ["milliseconds": 1])],
            as: [String: Int]?.self, deadline: .seconds(3))

        XCTAssertThrowsError(try results[0].get()) { error in
            XCTAssertEqual((error as? SkylineError)?.code, .deadlineExceeded)
        }
        XCTAssertEqual(try results[1].get(), ["milliseconds": 1])
    }

    func testCancellingABatchCancelsItsCalls() async throws {
        let (_, client) = try await connectedClient { $0.maxCallsInFlight = 4 }
        for _ in 0..<3 {
            let batch = Task {
                try await client.callMany(
                    Array(repeating: ("test.delay", ["milliseconds": 60_000]), count: 10),
                    as: Int?.self)
            }
            try await Task.sleep(for: .milliseconds(100))

            batch.cancel()

            let result = await batch.result
            XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError) }
        }
        let answer = try await client.call("test.echo", 1, as: Int.self, deadline: .seconds(5))
        XCTAssertEqual(answer, 1)
    }

    func testShuttingDownFailsEachCallOfABatch() async throws {
        let (_, client) = try await connectedClient()
        let batch = Task {
            try await client.callMany(
                Array(repeating: ("test.delay", ["milliseconds": 60_000]), count: 10), as: Int?.self
            )
        }
        try await Task.sleep(for: .milliseconds(200))

        await client.shutdown()

        let later = try await client.callManyRaw([("test.echo", nil)])
        for result in try await batch.value {
            XCTAssertThrowsError(try result.get()) { error in
                XCTAssertEqual((error as? SkylineError)?.code, .shutDown)
            }
        }
        XCTAssertThrowsError(try later[0].get()) { error in
            XCTAssertEqual((error as? SkylineError)?.code, .shutDown)
        }
    }
}
