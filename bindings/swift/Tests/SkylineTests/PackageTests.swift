import Foundation
import Skyline
import XCTest

/// Programs that depend on the package as it is laid out for applications.
final class PackageTests: ServerTestCase {
    func testAConsumerOfTheLaidOutPackageWorks() async throws {
        let server = try await startServer()
        let printed = try await run("SKYLINE_SWIFT_CONSUMER", with: server)
        XCTAssertEqual(printed, "activated: true, answer: Привет, consumer\n")
    }

    func testTheQuickStartActivatesReadsLimitsAndReportsAnEvent() async throws {
        let server = try await startServer()
        let printed = try await run("SKYLINE_SWIFT_EXAMPLE", with: server)
        for line in [
            "activated now: yes", "plan: telepower.licensePlan.release.monthly",
            "limit engine.limits.sendMessage.dailyLimit: 150", "event reported: app.navigation",
        ] {
            XCTAssertTrue(printed.contains(line + "\n"), printed)
        }
    }

    /// Runs the program that a variable names, and gives what it printed.
    private func run(_ variable: String, with server: LicensingServer) async throws -> String {
        let program = try XCTUnwrap(
            ProcessInfo.processInfo.environment[variable],
            "\(variable) does not name the built program: run scripts/test-swift")
        let license = try await server.issueLicense()
        return try await ChildProcess(
            URL(fileURLWithPath: program), [],
            environment: [
                "SKYLINE_URL": server.url.absoluteString,
                "SKYLINE_IDENTITY_KEY": server.identityKey,
                "SKYLINE_LICENSE_KEY": license.key,
                "SKYLINE_STATE_FOLDER": license.stateFolder.path,
            ],
            folder: folder
        ).finish()
    }
}
