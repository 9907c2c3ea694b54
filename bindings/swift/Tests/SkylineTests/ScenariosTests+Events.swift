import Foundation
import Skyline
import XCTest

/// The scenarios of events that the client delivers by itself.
extension ScenariosTests {
    func testATrackedEventArrivesOnce() async throws {
        let (_, client) = try await connectedClient()
        let sent = ["to": "/account-manager", "from": "/начало"]

        try await client.track("app.navigation", sent)

        try await client.flushEvents()
        let stored = try await client.call("test.events", as: [StoredEvent<[String: String]>].self)
        XCTAssertEqual(stored.map(\.event), ["app.navigation"])
        XCTAssertEqual(stored.map(\.data), [sent])
        let counters = client.eventCounters
        XCTAssertEqual(counters.tracked, 1)
        XCTAssertEqual(counters.sent, 1)
        XCTAssertEqual([counters.queued, counters.queuedBytes, counters.dropped], [0, 0, 0])
    }

    func testTrackedEventsSurviveARestart() async throws {
        let server = try await startServer()
        let configuration = server.configuration(try await server.issueLicense())
        let first = try await Client.connect(configuration)
        let states = first.states
        server.kill()
        try await states.first { $0.isReconnecting }
        for number in 0..<20 {
            try await first.track("counted", ["number": number])
        }
        XCTAssertEqual(first.eventCounters.queued, 20)
        await first.shutdown()
        try await server.restart()

        let second = try await Client.connect(configuration)

        try await second.flushEvents()
        let stored = try await second.call("test.events", as: [StoredEvent<[String: Int]>].self)
        XCTAssertEqual(stored.map(\.data), (0..<20).map { ["number": $0] })
        XCTAssertEqual(second.eventCounters.recovered, 20)
        XCTAssertEqual(second.eventCounters.sent, 20)
    }

    func testAFullEventQueueFollowsItsPolicy() async throws {
        for overflow in Configuration.EventOverflow.allCases {
            let (server, client) = try await connectedClient {
                $0.maxQueuedEvents = 3
                $0.eventOverflow = overflow
            }
            let states = client.states
            server.kill()
            try await states.first { $0.isReconnecting }
            for number in 0..<3 {
                try await client.track("counted", ["number": number])
            }

            switch overflow {
            case .dropOldest:
                try await client.track("counted", ["number": 3])
            case .refuse:
                let error = try await failure { try await client.track("counted", ["number": 3]) }
                XCTAssertEqual(error.code, .eventQueueFull)
            }

            let dropped = overflow == .dropOldest ? 1 : 0
            XCTAssertEqual(client.eventCounters.queued, 3)
            XCTAssertEqual(client.eventCounters.dropped, dropped)
            try await server.restart()
            try await client.flushEvents()
            let stored = try await client.call("test.events", as: [StoredEvent<[String: Int]>].self)
            XCTAssertEqual(stored.map(\.data), (0..<3).map { ["number": $0 + dropped] })
        }
    }

    func testFlushingEventsEndsAtItsDeadline() async throws {
        let (server, client) = try await connectedClient()
        let states = client.states
        server.kill()
        try await states.first { $0.isReconnecting }
        try await client.track("app.navigation", ["to": "/"])

        let error = try await failure { try await client.flushEvents(deadline: .milliseconds(300)) }

        XCTAssertEqual(error.code, .deadlineExceeded)
        XCTAssertEqual(client.eventCounters.queued, 1)
        try await server.restart()
        try await client.flushEvents()
        XCTAssertEqual(client.eventCounters.sent, 1)
    }
}
