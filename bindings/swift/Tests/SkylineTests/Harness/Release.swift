import Foundation

/// A release that a server offers as an update.
struct Release: Sendable {
    /// What was published.
    let file: URL
    let manifest: Data
    let signature: Data
}

extension LicensingServer {
    /// What `release publish --json` prints, as far as the tests need it.
    private struct Printed: Decodable {
        let manifest: Data
        let signature: Data
    }

    /// Publishes version 7.1.0 of the product for this system, signed by the key in a file of the
    /// server's folder.
    func publishRelease(
        mebibytes: Int = 1, signedBy keyFile: String = "identity.key"
    ) async throws -> Release {
        let file = folder.appendingPathComponent("telepower 7.1.0.bin")
        // No two of its mebibytes are the same.
        let mebibyte = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        var content = Data(capacity: mebibytes << 20)
        for number in 0..<mebibytes {
            content.append(UInt8(truncatingIfNeeded: number))
            content.append(contentsOf: mebibyte.dropFirst())
        }
        try content.write(to: file)
        let printed = try await admin(
            "release", "publish", file.path, "--product", "telepower", "--version", "7.1.0",
            "--release-key", keyFile, "--json")
        // Its binary data are in base64, as the decoder expects them.
        let release = try JSONDecoder().decode(Printed.self, from: Data(printed.utf8))
        return Release(file: file, manifest: release.manifest, signature: release.signature)
    }
}
