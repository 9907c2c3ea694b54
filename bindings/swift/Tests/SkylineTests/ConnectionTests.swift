import Foundation
import Skyline
import XCTest

/// Connecting, the connection's states, cancelling and logging.
final class ConnectionTests: ServerTestCase {
    func testTheStatesEndWithTheShutdown() async throws {
        let (_, client) = try await connectedClient()
        let states = Task { [sequence = client.states] in
            await sequence.reduce(into: []) { $0.append($1) }
        }
        await client.shutdown()

        let seen = await states.value
        XCTAssertEqual(seen.last, .shutDown)
    }

    func testABreachIsTheLastState() async throws {
        let (_, client) = try await connectedClient()
        let states = client.states
        let error = try await failure {
            try await client.answer(with: AnswerWith(status: "INTEGRITY_BREACH", message: "LL"))
        }

        let seen = await states.reduce(into: []) { $0.append($1) }
        XCTAssertEqual(seen.last, .breached(error))
    }

    func testWhoAsksForTheStatesIsToldThePresentOneFirst() async throws {
        let (_, client) = try await connectedClient()

        for _ in 0..<2 {
            let state = try await client.states.nextState()
            XCTAssertEqual(state, .ready)
        }
    }

    func testACancelledWaitForAStateLosesNone() async throws {
        let (_, client) = try await connectedClient()
        let states = client.states
        let first = try await states.nextState()
        XCTAssertEqual(first, .ready)
        let wait = Task { try await states.nextState() }
        try await Task.sleep(for: .milliseconds(100))

        wait.cancel()

        let result = await wait.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        await client.shutdown()
        let last = try await states.nextState()
        XCTAssertEqual(last, .shutDown)
        let end = try await states.nextState()
        XCTAssertNil(end)
    }

    func testACancelledReaderOfStatesEnds() async throws {
        let (_, client) = try await connectedClient()
        let reader = Task { [sequence = client.states] in
            await sequence.reduce(into: 0) { count, _ in count += 1 }
        }
        try await Task.sleep(for: .milliseconds(100))
        reader.cancel()

        let count = await reader.value
        XCTAssertLessThanOrEqual(count, 1)
        let answer = try await client.echo(1)
        XCTAssertEqual(answer, 1)
    }

    func testReadingTheStatesDoesNotKeepAClientOpen() async throws {
        let server = try await startServer()
        let license = try await server.issueLicense()
        var client: Client? = try await Client.connect(server.configuration(license))
        let states = try XCTUnwrap(client).states
        client = nil

        // Ends, so the connection does.
        for await _ in states {}
    }

    func testAConnectIsCancelledWithItsTask() async throws {
        let listener = try SilentListener()
        var configuration = Configuration(
            productID: "telepower", productVersion: "7.0.3",
            licenseKey: "WDGQX-WC2Y3-4R966-TK3H3-HXRB8",
            identityKeys: ["35a5906d5222589d0c91f286c94d18030b005ba210002356c68a384a9b72c8cb"])
        configuration.url = listener.url
        configuration.stateFolder = folder
        configuration.device = LicensingServer.device
        let connect = Task { [configuration] in try await Client.connect(configuration) }
        try await Task.sleep(for: .milliseconds(100))
        connect.cancel()

        let result = await connect.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
    }

    func testACallOfACancelledTaskDoesNotReachTheServer() async throws {
        let (_, client) = try await connectedClient()
        let call = Task {
            // Returns early because the task is cancelled, and only then.
            try? await Task.sleep(for: .seconds(60))
            try await client.sendEvent("an.event", ["never": "sent"])
        }
        call.cancel()

        let result = await call.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        let stored = try await client.call("test.events", as: [StoredEvent<[String: String]>].self)
        XCTAssertEqual(stored.count, 0)
    }

    func testAServerThatIsNotThereIsAConnectionError() async throws {
        let server = try await startServer()
        let configuration = server.configuration(try await server.issueLicense())
        server.kill()

        let error = try await failure { try await Client.connect(configuration) }

        XCTAssertEqual(error.code, .connection)
        XCTAssertEqual(error.connectionFailure, .refused)
        XCTAssertNil(error.status)
        XCTAssertEqual(error.localizedDescription, error.message)
        XCTAssertEqual("\(error)", "CONNECTION: \(error.message)")
    }

    func testTheLogReachesTheHandlerFromItsLevelOn() async throws {
        let log = LogCollector()
        Logging.setHandler(level: .debug) { log.append($0) }
        defer { Logging.removeHandler() }
        let (_, client) = try await connectedClient()
        await client.shutdown()
        _ = try await log.texts()

        let records = log.records
        XCTAssertFalse(records.isEmpty)
        for record in records {
            XCTAssertGreaterThanOrEqual(record.level, .debug)
            XCTAssertLessThan(abs(record.date.timeIntervalSinceNow), 120)
        }

        Logging.removeHandler()
        let (_, unheard) = try await connectedClient()
        await unheard.shutdown()
        XCTAssertEqual(log.records.count, records.count)
    }

    func testTheIdentityOfThisDeviceStaysTheSame() throws {
        do {
            let first = try DeviceIdentity.detect(stateFolder: folder)
            XCTAssertFalse(first.serialNumber.isEmpty)
            XCTAssertFalse(first.csProductUUID.isEmpty)
            XCTAssertEqual(try DeviceIdentity.detect(stateFolder: folder), first)
        } catch let error as SkylineError {
            // A machine without firmware tables and machine id, as a bare container.
            XCTAssertEqual(error.code, .invalidConfiguration)
            XCTAssertEqual(error.field, "device")
        }
    }
}
