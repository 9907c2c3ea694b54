import Foundation
import Skyline
import XCTest

/// A test with a folder of its own, servers that are killed at its end, and a deadline.
class ServerTestCase: XCTestCase {
    /// How long one test may take. The slowest takes a few seconds; the rest is for machines that
    /// are busy with other things.
    private static let patience: TimeInterval = 120

    /// What the test writes; removed at its end.
    private(set) var folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("skyline-swift-\(UUID().uuidString)")
    private var servers: [LicensingServer] = []
    private var watchdog: DispatchWorkItem?

    override func setUpWithError() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let name = name
        // XCTest has no deadlines on Linux, and a call that hangs cannot be cancelled from outside:
        // the process has to go.
        let watchdog = DispatchWorkItem {
            print("\(name) did not end within \(Int(Self.patience)) s")
            exit(EXIT_FAILURE)
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.patience, execute: watchdog)
        self.watchdog = watchdog
    }

    override func tearDownWithError() throws {
        servers.forEach { $0.kill() }
        servers = []
        watchdog?.cancel()
        try FileManager.default.removeItem(at: folder)
    }

    /// A server of its own for this test, with the product `telepower` in its database.
    func startServer(minimumVersion: String? = nil) async throws -> LicensingServer {
        let server = try await LicensingServer(
            folder: folder.appendingPathComponent("server-\(servers.count)"),
            minimumVersion: minimumVersion)
        servers.append(server)
        return server
    }

    /// A server, and a client that has logged in to it with a license of its own, after a change of
    /// its settings.
    func connectedClient(
        _ change: (inout Configuration) -> Void = { _ in }
    ) async throws -> (LicensingServer, Client) {
        let server = try await startServer()
        var configuration = server.configuration(try await server.issueLicense())
        change(&configuration)
        return (server, try await Client.connect(configuration))
    }
}

/// The error with which an operation fails; the test fails when it does not.
func failure<Value>(
    of operation: () async throws -> Value, file: StaticString = #filePath, line: UInt = #line
) async throws -> SkylineError {
    do {
        let value = try await operation()
        XCTFail("should have failed, but gave \(value)", file: file, line: line)
        throw CancellationError()
    } catch let error as SkylineError {
        return error
    }
}
