import Foundation
import Skyline
import XCTest

/// The scenarios of docs/scenarios.md: the same claims in every language of Skyline. Those of a
/// connection that is lost, of events and of updates are in the other files of this folder.
final class ScenariosTests: ServerTestCase {
    func testAFirstLoginActivatesTheLicense() async throws {
        let server = try await startServer()
        let license = try await server.issueLicense(
            plan: "telepower.licensePlan.release.quarterly")

        let session = try await Client.connect(server.configuration(license)).session

        XCTAssertTrue(session.isActivatedNow)
        XCTAssertEqual(session.licensePlan, "telepower.licensePlan.release.quarterly")
        let calendar = Calendar(identifier: .gregorian)
        let activation = try XCTUnwrap(session.activationDate.startOfDay())
        let expiry = calendar.date(byAdding: .month, value: 3, to: activation)
        XCTAssertEqual(session.expiryDate.startOfDay(), expiry)
    }

    func testASecondLoginFindsTheLicenseActive() async throws {
        let server = try await startServer()
        let license = try await server.issueLicense()
        let first = try await Client.connect(server.configuration(license))
        await first.shutdown()

        let second = try await Client.connect(server.configuration(license))

        XCTAssertTrue(first.session.isActivatedNow)
        XCTAssertFalse(second.session.isActivatedNow)
        XCTAssertEqual(second.session.activationDate, first.session.activationDate)
        XCTAssertEqual(second.session.expiryDate, first.session.expiryDate)
    }

    func testAnOutdatedVersionIsRefused() async throws {
        let server = try await startServer(minimumVersion: "7.0.4")
        var configuration = server.configuration(try await server.issueLicense())
        configuration.language = .russian

        let error = try await failure { try await Client.connect(configuration) }

        XCTAssertEqual(error.code, .outdatedVersion)
        XCTAssertEqual(error.status, "OUTDATED_VERSION")
        XCTAssertEqual(error.serverMessage, "Версия ПО устарела.")
        XCTAssertEqual(error.localizedDescription, "Версия ПО устарела.")
    }

    func testAKeyBoundToAnotherDeviceIsRefused() async throws {
        let server = try await startServer()
        let license = try await server.issueLicense()
        _ = try await Client.connect(server.configuration(license))
        var configuration = server.configuration(server.license(key: license.key))
        configuration.device = LicensingServer.otherDevice
        configuration.language = .russian

        let error = try await failure { try await Client.connect(configuration) }

        XCTAssertEqual(error.code, .keyBoundToAnotherDevice)
        XCTAssertEqual(error.status, "KEY_BOUND_TO_ANOTHER_DEVICE")
        let sentence = try XCTUnwrap(error.serverMessage)
        XCTAssertTrue(sentence.hasPrefix("Ключ привязан к другому устройству "), sentence)
        XCTAssertEqual(error.localizedDescription, sentence)
    }

    func testAnIntegrityBreachReportedByTheServerLatches() async throws {
        let server = try await startServer()
        let license = try await server.issueLicense()
        let client = try await Client.connect(server.configuration(license))
        try await client.call("test.forget-logins")

        let login = try await failure { try await Client.connect(server.configuration(license)) }
        let call = try await failure {
            try await client.answer(with: AnswerWith(status: "INTEGRITY_BREACH", message: "LL"))
        }
        let later = try await failure { try await client.limits() }

        for error in [login, call, later] {
            XCTAssertEqual(error.code, .integrityBreach)
            XCTAssertEqual(error.breachReason, .reportedByServer)
        }
        XCTAssertTrue(try XCTUnwrap(login.serverMessage).contains("LL"))
        XCTAssertEqual(call.serverMessage, "LL")
        XCTAssertEqual(later, call)
    }

    func testAWrongIdentityKeyIsABreach() async throws {
        let server = try await startServer()
        let other = try await startServer()
        var configuration = server.configuration(try await server.issueLicense())
        configuration.identityKeys = [other.identityKey]

        let error = try await failure { try await Client.connect(configuration) }

        XCTAssertEqual(error.code, .integrityBreach)
        XCTAssertEqual(error.breachReason, .serverSignature)
        XCTAssertNil(error.serverMessage)
    }

    func testAnUnknownLicenseIsRefused() async throws {
        let server = try await startServer()
        let license = server.license(key: "WDGQX-WC2Y3-4R966-TK3H3-HXRB8")

        let error = try await failure { try await Client.connect(server.configuration(license)) }

        XCTAssertEqual(error.code, .licenseNotFound)
        XCTAssertEqual(error.status, "LICENSE_NOT_FOUND")
    }

    func testLimitsAreRead() async throws {
        let server = try await startServer()
        let license = try await server.issueLicense(
            limits: ["engine.limits.sendMessage.dailyLimit=9000000000"])
        let client = try await Client.connect(server.configuration(license))

        let limits = try await client.limits()

        XCTAssertEqual(limits["engine.limits.inviteToChannel.dailyLimit"], 500)
        XCTAssertEqual(limits["engine.limits.sendMessage.dailyLimit"], 9_000_000_000)
    }

    func testAnEventIsStored() async throws {
        struct Navigation: Codable, Equatable {
            struct Item: Codable, Equatable {
                let name: String
                let count: Int
            }
            let to: String
            let items: [Item]
            let flags: [String: Bool]
        }
        let (_, client) = try await connectedClient()
        let sent = Navigation(
            to: "/account-manager",
            items: [.init(name: "first", count: 1), .init(name: "second", count: -2)],
            flags: ["isNew": true, "isOld": false])

        try await client.sendEvent("app.navigation", sent)

        let stored = try await client.call("test.events", as: [StoredEvent<Navigation>].self)
        XCTAssertEqual(stored.map(\.event), ["app.navigation"])
        XCTAssertEqual(stored.map(\.data), [sent])
    }

    func testEveryMessagepackTypeSurvivesACall() async throws {
        struct Everything: Codable, Equatable {
            let nothing: String?
            let yes: Bool
            let no: Bool
            let integers: [Int]
            let float: Double
            let text: String
            let list: [[String]]
            let map: [String: [String: Int]]
        }
        let (_, client) = try await connectedClient()

        let everything = Everything(
            nothing: nil, yes: true, no: false, integers: [0, -1, 127, 128, -129, 65536],
            float: -0.1, text: "text", list: [[], ["a", ""]], map: ["a": ["b": 1], "c": [:]])
        let answer = try await client.echo(everything)
        XCTAssertEqual(answer, everything)

        for (name, bytes) in MessagePackSamples.all {
            let answer = try await client.callRaw("test.echo", bytes)
            XCTAssertEqual(answer, bytes, name)
        }
        let nothing = try await client.callRaw("test.echo", nil)
        XCTAssertNil(nothing)
    }

    func testAnUnknownStatusIsKeptAsItCame() async throws {
        let (_, client) = try await connectedClient()

        let error = try await failure {
            try await client.answer(with: AnswerWith(status: "TEAPOT", message: "Я чайник ☕"))
        }

        XCTAssertEqual(error.code, .unknownStatus)
        XCTAssertEqual(error.status, "TEAPOT")
        XCTAssertEqual(error.serverMessage, "Я чайник ☕")
        XCTAssertTrue(error.message.contains("Я чайник ☕"))
    }

    func testAnUnknownMethodIsRefused() async throws {
        let (_, client) = try await connectedClient()

        let error = try await failure { try await client.callRaw("no-such-method") }

        XCTAssertEqual(error.code, .unknownMethod)
        XCTAssertEqual(error.status, "UNKNOWN_METHOD")
        let answer = try await client.echo("still there")
        XCTAssertEqual(answer, "still there")
    }

    func testManyConcurrentCallsGetTheirOwnAnswers() async throws {
        let (_, client) = try await connectedClient()

        let answers = try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for number in 0..<500 {
                group.addTask { (number, try await client.echo("call \(number)")) }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }

        XCTAssertEqual(answers.count, 500)
        for (number, answer) in answers {
            XCTAssertEqual(answer, "call \(number)")
        }
    }

    func testManyCallsInOneBatchGetTheirOwnAnswers() async throws {
        let (_, client) = try await connectedClient()
        let calls = (0..<500).map { number in
            number % 100 == 7
                ? (method: "no-such-method", payload: nil)
                : (method: "test.echo", payload: ["number": number])
        }

        let results = try await client.callMany(calls, as: [String: Int].self)

        XCTAssertEqual(results.count, 500)
        for (number, result) in results.enumerated() {
            if number % 100 == 7 {
                XCTAssertThrowsError(try result.get()) { error in
                    XCTAssertEqual((error as? SkylineError)?.code, .unknownMethod)
                }
            } else {
                XCTAssertEqual(try result.get(), ["number": number])
            }
        }
    }

    func testALargePayloadGoesBothWays() async throws {
        let (_, client) = try await connectedClient()
        let size = 3 << 20
        let header: [UInt8] = [0xc6] + withUnsafeBytes(of: UInt32(size).bigEndian, Array.init)
        let payload = Data(header + (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })

        let answer = try await client.callRaw("test.echo", payload)

        XCTAssertTrue(answer == payload, "\(answer?.count ?? 0) bytes came back")
    }

    func testACallEndsAtItsDeadline() async throws {
        let (_, client) = try await connectedClient()

        let error = try await failure {
            try await client.delay(milliseconds: 500, deadline: .milliseconds(100))
        }

        XCTAssertEqual(error.code, .deadlineExceeded)
        XCTAssertEqual(error.maybeExecuted, true)
        // The late answer arrives before that of this call.
        try await client.delay(milliseconds: 800)
        let answer = try await client.echo(7)
        XCTAssertEqual(answer, 7)
    }

    func testCancellingOneCallLeavesTheOthers() async throws {
        let (_, client) = try await connectedClient()
        let calls = (0..<10).map { number in
            Task { try await client.delay(milliseconds: number == 4 ? 30_000 : 1000) }
        }
        try await Task.sleep(for: .milliseconds(200))

        calls[4].cancel()

        for (number, call) in calls.enumerated() {
            let result = await call.result
            if number == 4 {
                XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError) }
            } else {
                XCTAssertNoThrow(try result.get())
            }
        }
        let answer = try await client.echo(true)
        XCTAssertTrue(answer)
    }

    func testShuttingDownFailsTheCallsInFlight() async throws {
        let (_, client) = try await connectedClient()
        let calls = (0..<5).map { _ in
            Task { try await client.delay(milliseconds: 60_000) }
        }
        try await Task.sleep(for: .milliseconds(200))

        await client.shutdown()

        for call in calls {
            let error = try await failure { try await call.value }
            XCTAssertEqual(error.code, .shutDown)
        }
    }

    func testAClientThatWasShutDownRefusesCalls() async throws {
        let (_, client) = try await connectedClient()
        await client.shutdown()

        let error = try await failure { try await client.limits() }
        await client.shutdown()
        let again = try await failure { try await client.echo(1) }

        XCTAssertEqual(error.code, .shutDown)
        XCTAssertEqual(again.code, .shutDown)
    }

    func testAClientDroppedWithoutShutdownDoesNoHarm() async throws {
        let (server, client) = try await connectedClient()

        for _ in 0..<10 {
            let forgotten = try await Client.connect(
                server.configuration(try await server.issueLicense()))
            // One more reference, in a call that nobody awaits.
            Task { try await forgotten.delay(milliseconds: 100) }
        }

        let answer = try await client.echo("still there")
        XCTAssertEqual(answer, "still there")
    }

    func testAServerThatGoesAwayFailsTheCalls() async throws {
        let (server, client) = try await connectedClient()
        let call = Task { try await client.delay(milliseconds: 60_000) }
        try await Task.sleep(for: .seconds(1))

        server.kill()

        let error = try await failure { try await call.value }
        XCTAssertEqual(error.code, .connectionLost)
        XCTAssertEqual(error.maybeExecuted, true)
        let later = try await failure { try await client.limits(deadline: .milliseconds(300)) }
        XCTAssertEqual(later.code, .deadlineExceeded)
        XCTAssertEqual(later.maybeExecuted, false)
    }

    func testEachInvalidConfigurationFieldIsNamed() async throws {
        let server = try await startServer()
        let valid = server.configuration(try await server.issueLicense())
        let changes: [(field: String, change: (inout Configuration) -> Void)] = [
            ("productID", { $0.productID = "" }),
            ("productVersion", { $0.productVersion = " " }),
            ("licenseKey", { $0.licenseKey = "WDGQX-WC2Y3" }),
            ("identityKeys", { $0.identityKeys = [] }),
            ("identityKeys", { $0.identityKeys = ["00ff"] }),
            ("url", { $0.url = URL(string: "http://127.0.0.1/ws") }),
            ("url", { $0.url = URL(string: "ws://server.invalid/ws") }),
            ("language", { $0.language = "" }),
            ("device", { $0.device?.serialNumber = "" }),
            ("device", { $0.device?.csProductUUID = "" }),
            ("connectDeadline", { $0.connectDeadline = .zero }),
            ("handshakeDeadline", { $0.handshakeDeadline = .zero }),
            ("callDeadline", { $0.callDeadline = .seconds(-1) }),
            ("reconnectInitialDelay", { $0.reconnectInitialDelay = .zero }),
            ("reconnectMaxDelay", { $0.reconnectMaxDelay = .milliseconds(1) }),
            ("maxPacketBytes", { $0.maxPacketBytes = 100 }),
            ("maxCallsInFlight", { $0.maxCallsInFlight = 0 }),
            ("maxBytesInFlight", { $0.maxBytesInFlight = -1 }),
            ("maxPacketsPerConnection", { $0.maxPacketsPerConnection = 1 }),
            ("maxQueuedEvents", { $0.maxQueuedEvents = 0 }),
            ("maxQueuedEventBytes", { $0.maxQueuedEventBytes = 1 }),
            ("updateURL", { $0.updateURL = URL(string: "http://server.invalid/updates") }),
            ("releaseKeys", { $0.releaseKeys = ["00ff"] }),
            ("maxUpdateBytes", { $0.maxUpdateBytes = 0 }),
            ("extraRootCertificates", { $0.extraRootCertificates = [Data("junk".utf8)] }),
            ("proxy", { $0.proxy = .url("gopher://127.0.0.1:70") }),
        ]

        for (field, change) in changes {
            var configuration = valid
            change(&configuration)
            let invalid = configuration
            let error = try await failure { try await Client.connect(invalid) }
            XCTAssertEqual(error.code, .invalidConfiguration, field)
            XCTAssertEqual(error.field, field)
            XCTAssertFalse(try XCTUnwrap(error.expected).isEmpty, field)
        }
    }

    func testClientsRunSideBySide() async throws {
        let server = try await startServer()
        var configurations: [Configuration] = []
        for number in 0..<5 {
            configurations.append(
                server.configuration(
                    try await server.issueLicense(limits: ["test.number=\(number)"])))
        }

        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, configuration) in configurations.enumerated() {
                group.addTask {
                    let client = try await Client.connect(configuration)
                    for call in 0..<20 {
                        let answer = try await client.echo([number, call])
                        XCTAssertEqual(answer, [number, call])
                    }
                    let limits = try await client.limits()
                    XCTAssertEqual(limits["test.number"], Int64(number))
                    await client.shutdown()
                }
            }
            try await group.waitForAll()
        }
    }

    func testNoSecretReachesTheLog() async throws {
        let log = LogCollector()
        Logging.setHandler(level: .trace) { log.append($0) }
        defer { Logging.removeHandler() }
        let server = try await startServer()
        let license = try await server.issueLicense()
        let client = try await Client.connect(server.configuration(license))
        _ = try await client.limits()
        try await client.sendEvent("app.navigation", ["to": "/account-manager"])
        let refused = try await failure {
            try await client.answer(with: AnswerWith(status: "BAD_REQUEST", message: "no"))
        }
        await client.shutdown()
        let late = try await failure { try await client.limits() }
        var wrong = server.configuration(license)
        wrong.licenseKey += "X"
        let unread = wrong
        let invalid = try await failure { try await Client.connect(unread) }

        // The session token, as the server writes it.
        let token = try Regex("[0-9a-f]{8}-[0-9a-f]{8}")
        let texts = try await log.texts() + [refused, late, invalid].map(String.init(reflecting:))
        XCTAssertTrue(texts.contains { $0.contains("skyline") })
        for text in texts {
            XCTAssertFalse(text.contains(license.key), text)
            XCTAssertFalse(text.contains(token), text)
        }
    }

    func testTextOfEveryScriptSurvives() async throws {
        let texts = [
            "Версия ПО устарела", "👩🏽‍🚀🇺🇦👨‍👩‍👧‍👦", "שלום مرحبا", "e\u{301}\u{323} नमस्ते ก็", "你好，世界",
            "\u{0}\u{1f}\"\\\u{7f}\u{2028}\u{feff}\u{10ffff}",
        ]
        // The name of an event has no control characters; its data may have any.
        func name(_ text: String) -> String {
            String(
                String.UnicodeScalarView(
                    text.unicodeScalars.filter { $0.properties.generalCategory != .control }))
        }
        let (_, client) = try await connectedClient()

        for text in texts {
            let answer = try await client.echo([text: [text]])
            // Compared as scalars: Swift's == would also hold for another normalization.
            let (key, values) = try XCTUnwrap(answer.first)
            XCTAssertEqual(Array(key.unicodeScalars), Array(text.unicodeScalars))
            XCTAssertEqual(values.map { Array($0.unicodeScalars) }, [Array(text.unicodeScalars)])

            let error = try await failure {
                try await client.answer(with: AnswerWith(status: "BAD_REQUEST", message: text))
            }
            XCTAssertEqual(error.code, .badRequest)
            XCTAssertEqual(
                error.serverMessage?.unicodeScalars.map(\.value), text.unicodeScalars.map(\.value))

            try await client.sendEvent(name(text), [text: text])
        }

        let stored = try await client.call("test.events", as: [StoredEvent<[String: String]>].self)
        XCTAssertEqual(stored.map(\.event), texts.map(name))
        XCTAssertEqual(stored.map(\.data), texts.map { [$0: $0] })
    }

    func testIntegersKeepTheir64Bits() async throws {
        struct Integers: Codable, Equatable {
            var lowest = Int64.min
            var highest = Int64.max
            var unsigned = UInt64.max
            var aboveDoubles: [Int64] = [1 << 53 + 1, -(1 << 53) - 1]
        }
        let (_, client) = try await connectedClient()

        let answer = try await client.echo(Integers())

        XCTAssertEqual(answer, Integers())
        for bytes in [MessagePackSamples.lowest, MessagePackSamples.highestUnsigned] {
            let answer = try await client.callRaw("test.echo", bytes)
            XCTAssertEqual(answer, bytes)
        }
    }
}
