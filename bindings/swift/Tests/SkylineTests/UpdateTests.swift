import Foundation
import Skyline
import XCTest

/// Downloads of updates that do not come to a file.
final class UpdateTests: ServerTestCase {
    /// The settings of an installation whose update server takes connections and says nothing.
    private func configuration(of listener: SilentListener) -> Configuration {
        var configuration = Configuration(
            productID: "telepower", productVersion: "7.0.3",
            licenseKey: "WDGQX-WC2Y3-4R966-TK3H3-HXRB8",
            identityKeys: ["35a5906d5222589d0c91f286c94d18030b005ba210002356c68a384a9b72c8cb"])
        configuration.url = listener.url
        configuration.stateFolder = folder
        configuration.device = LicensingServer.device
        return configuration
    }

    func testAnUpdateThatTheServerLacksIsSaidSo() async throws {
        let server = try await startServer()
        let configuration = server.configuration(try await server.issueLicense())
        let target = folder.appendingPathComponent("target")

        let error = try await failure { try await Update.download(configuration, to: target) }

        XCTAssertEqual(error.updateFailure, .notFound)
        XCTAssertEqual(error.code.rawValue, "UPDATE_NOT_FOUND")
    }

    func testADownloadIsCancelledWithItsTask() async throws {
        let listener = try SilentListener()
        let configuration = configuration(of: listener)
        let download = Task { [folder] in try await Update.download(configuration, to: folder) }
        try await Task.sleep(for: .milliseconds(100))

        download.cancel()

        let result = await download.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
    }

    func testADownloadThatIsCancelledEndsForAllWhoFollowIt() async throws {
        let listener = try SilentListener()
        let download = try UpdateDownload(configuration(of: listener), to: folder)
        let finish = Task { try await download.finish() }
        let progress = Task { await download.progress.reduce(into: 0) { count, _ in count += 1 } }
        let next = Task { try await download.nextProgress() }
        try await Task.sleep(for: .milliseconds(100))

        download.cancel()

        let result = await finish.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        let count = await progress.value
        XCTAssertEqual(count, 0)
        let last = try await next.value
        XCTAssertNil(last)
    }

    func testACancelledReaderOfTheProgressLeavesTheDownload() async throws {
        let listener = try SilentListener()
        let download = try UpdateDownload(configuration(of: listener), to: folder)
        let reader = Task { try await download.nextProgress() }
        try await Task.sleep(for: .milliseconds(100))

        reader.cancel()

        let result = await reader.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        // It is still there to be followed, until it is cancelled itself.
        let next = Task { try await download.nextProgress() }
        try await Task.sleep(for: .milliseconds(100))
        download.cancel()
        let last = try await next.value
        XCTAssertNil(last)
    }

    func testAConfigurationIsCheckedBeforeADownloadBegins() throws {
        let listener = try SilentListener()
        var configuration = configuration(of: listener)
        configuration.updateURL = URL(string: "ftp://127.0.0.1/updates")

        XCTAssertThrowsError(try UpdateDownload(configuration, to: folder)) {
            let error = $0 as? SkylineError
            XCTAssertEqual(error?.code, .invalidConfiguration)
            XCTAssertEqual(error?.field, "updateURL")
        }
    }

    func testAManifestThatNobodySignedIsRefused() async throws {
        let listener = try SilentListener()
        let configuration = configuration(of: listener)
        let file = folder.appendingPathComponent("file")
        try Data("content".utf8).write(to: file)

        let error = try await failure {
            try await Update.verify(
                file, manifest: Data([0x80]), signature: Data(count: 64), with: configuration)
        }

        XCTAssertEqual(error.updateFailure, .signatureWrong)
    }
}
