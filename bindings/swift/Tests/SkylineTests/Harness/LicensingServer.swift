import Foundation
import Skyline

/// The real licensing server, as a process of its own with a database of its own.
final class LicensingServer: Sendable {
    /// A license, with the state folder of the installation that uses it.
    struct License: Sendable {
        let key: String
        let stateFolder: URL
    }

    static let device = DeviceIdentity(
        serialNumber: "ADTFBB4112800098", csProductUUID: "20240113-E0C2-646E-FDB1-E0C2646EFDB5")
    static let otherDevice = DeviceIdentity(
        serialNumber: "XK7731020045", csProductUUID: "9D2C1B7A-0D35-4E8F-8A61-5B0E5D9C7F42")

    let url: URL
    let identityKey: String
    private let program: URL
    private let folder: URL
    private let database: String
    private let process: ChildProcess

    /// Makes the identity key and the product, and starts the server on a free port.
    init(folder: URL, minimumVersion: String? = nil) async throws {
        let program = try Self.program()
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let database = folder.appendingPathComponent("skyline.db").path
        let keyFile = folder.appendingPathComponent("identity.key").path

        func run(_ arguments: [String]) async throws -> String {
            try await ChildProcess(program, arguments, folder: folder).finish()
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        identityKey = try await run(["keygen", keyFile])
        let minimum = minimumVersion.map { ["--minimum-version", $0] } ?? []
        _ = try await run(["product", "set", "telepower", "--database", database] + minimum)

        process = try ChildProcess(
            program,
            [
                "serve", "--database", database, "--identity-key", keyFile,
                "--listen", "127.0.0.1:0", "--test-hooks",
            ],
            folder: folder)
        let line = try await process.firstLine()
        guard line.hasPrefix("listening on "), let url = URL(string: String(line.dropFirst(13)))
        else {
            process.kill()
            throw ChildProcess.Failed(description: "the server's first line is \(line)")
        }
        self.url = url
        self.program = program
        self.folder = folder
        self.database = database
    }

    private static func program() throws -> URL {
        guard let path = ProcessInfo.processInfo.environment["SKYLINE_SERVER"] else {
            throw ChildProcess.Failed(
                description:
                    "SKYLINE_SERVER does not name the server's binary: run scripts/test-swift")
        }
        return URL(fileURLWithPath: path)
    }

    /// A new license of the product.
    func issueLicense(
        plan: String = "telepower.licensePlan.release.monthly", limits: [String] = []
    ) async throws -> License {
        let key = try await ChildProcess(
            program,
            ["license", "issue", "--product", "telepower", "--plan", plan, "--database", database]
                + limits.flatMap { ["--limit", $0] },
            folder: folder
        ).finish().trimmingCharacters(in: .whitespacesAndNewlines)
        return license(key: key)
    }

    /// A license key with a state folder of its own, whether the server knows the key or not.
    func license(key: String) -> License {
        License(key: key, stateFolder: folder.appendingPathComponent("state-\(UUID().uuidString)"))
    }

    /// The settings of an installation that uses a license on the usual device.
    func configuration(_ license: License) -> Configuration {
        var configuration = Configuration(
            productID: "telepower",
            productVersion: "7.0.3",
            licenseKey: license.key,
            identityKeys: [identityKey])
        configuration.url = url
        configuration.device = Self.device
        configuration.stateFolder = license.stateFolder
        return configuration
    }

    /// Kills the server without asking it.
    func kill() {
        process.kill()
    }
}
