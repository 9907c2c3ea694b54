import Foundation
import Skyline
import XCTest

/// The scenarios of updates.
extension ScenariosTests {
    func testAnUpdateIsDownloadedAndVerified() async throws {
        let server = try await startServer()
        let release = try await server.publishRelease()
        _ = try await server.admin("product", "set", "telepower", "--minimum-version", "7.1.0")
        var configuration = server.configuration(try await server.issueLicense())
        let outdated = try await failure { [configuration] in
            try await Client.connect(configuration)
        }
        XCTAssertEqual(outdated.code, .outdatedVersion)
        let target = folder.appendingPathComponent("target")
        var seen: [UpdateProgress] = []

        let update = try await Update.download(configuration, to: target) { seen.append($0) }

        XCTAssertEqual(update.version, "7.1.0")
        XCTAssertEqual(update.fileName, release.file.lastPathComponent)
        XCTAssertEqual(
            update.file.path, target.appendingPathComponent(release.file.lastPathComponent).path)
        let content = try Data(contentsOf: release.file)
        XCTAssertTrue(try Data(contentsOf: update.file) == content)
        XCTAssertEqual(update.size, Int64(content.count))
        XCTAssertFalse(seen.isEmpty)
        XCTAssertEqual(Set(seen.map(\.total)), [update.size])
        XCTAssertEqual(seen.last?.bytes, update.size)
        XCTAssertEqual(seen.last?.fraction, 1)
        configuration.productVersion = update.version
        let client = try await Client.connect(configuration)
        XCTAssertTrue(client.session.isActivatedNow)
    }

    func testACancelledDownloadGoesOnWhereItStopped() async throws {
        let server = try await startServer()
        let release = try await server.publishRelease(mebibytes: 64)
        let configuration = server.configuration(try await server.issueLicense())
        let target = folder.appendingPathComponent("target")
        let download = Task {
            try await Update.download(configuration, to: target) { progress in
                if progress.bytes > 0 {
                    withUnsafeCurrentTask { $0?.cancel() }
                }
            }
        }

        let result = await download.result

        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
        let file = target.appendingPathComponent(release.file.lastPathComponent)
        XCTAssertFalse(FileManager.default.fileExists(atPath: file.path))
        let next = try UpdateDownload(configuration, to: target)
        let first = try await next.nextProgress()
        XCTAssertGreaterThan(try XCTUnwrap(first).bytes, 0)
        let update = try await next.finish()
        XCTAssertEqual(update.file.path, file.path)
        XCTAssertTrue(try Data(contentsOf: file) == Data(contentsOf: release.file))
    }

    func testAnUpdateWithAWrongSignatureIsRefused() async throws {
        let server = try await startServer()
        _ = try await server.makeIdentityKey("other.key")
        let release = try await server.publishRelease(signedBy: "other.key")
        let configuration = server.configuration(try await server.issueLicense())
        let target = folder.appendingPathComponent("target")

        let error = try await failure { try await Update.download(configuration, to: target) }

        XCTAssertEqual(error.updateFailure, .signatureWrong)
        XCTAssertEqual(error.code.rawValue, "UPDATE_SIGNATURE_WRONG")
        let file = target.appendingPathComponent(release.file.lastPathComponent)
        XCTAssertFalse(FileManager.default.fileExists(atPath: file.path))
    }

    func testAFileFromElsewhereIsVerified() async throws {
        let server = try await startServer()
        let release = try await server.publishRelease()
        let configuration = server.configuration(try await server.issueLicense())
        let file = folder.appendingPathComponent("from-elsewhere")
        var content = try Data(contentsOf: release.file)
        try content.write(to: file)

        let update = try await Update.verify(
            file, manifest: release.manifest, signature: release.signature, with: configuration)

        XCTAssertEqual(update.version, "7.1.0")
        XCTAssertEqual(update.file.path, file.path)
        content[content.count / 2] ^= 1
        try content.write(to: file)
        let error = try await failure {
            try await Update.verify(
                file, manifest: release.manifest, signature: release.signature, with: configuration)
        }
        XCTAssertEqual(error.updateFailure, .hash)
    }
}
