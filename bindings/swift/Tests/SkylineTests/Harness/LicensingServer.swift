import Foundation
import Skyline

/// The real licensing server, as a process of its own with a database of its own.
final class LicensingServer: @unchecked Sendable {
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
    /// The identity key with which the server began.
    let identityKey: String
    private let program: URL
    let folder: URL
    private let lock = NSLock()
    /// Guarded by `lock`.
    private var process: ChildProcess

    /// Makes the identity key and the product, and starts the server on a free port.
    init(folder: URL, minimumVersion: String? = nil) async throws {
        program = try Self.program()
        self.folder = folder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        identityKey = try await Self.run(program, ["keygen", Self.firstKeyFile], in: folder)
        let minimum = minimumVersion.map { ["--minimum-version", $0] } ?? []
        _ = try await Self.run(program, ["product", "set", "telepower"] + minimum, in: folder)
        (process, url) = try await Self.serve(
            program, at: "127.0.0.1:0", keyFile: Self.firstKeyFile, in: folder)
    }

    private static let firstKeyFile = "identity.key"

    private static func program() throws -> URL {
        guard let path = ProcessInfo.processInfo.environment["SKYLINE_SERVER"] else {
            throw ChildProcess.Failed(
                description:
                    "SKYLINE_SERVER does not name the server's binary: run scripts/test-swift")
        }
        return URL(fileURLWithPath: path)
    }

    /// Runs a command of the program on the server's database, and gives what it printed.
    private static func run(
        _ program: URL, _ arguments: [String], in folder: URL
    ) async throws -> String {
        try await start(program, arguments, in: folder).finish()
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func start(
        _ program: URL, _ arguments: [String], in folder: URL
    ) throws -> ChildProcess {
        let database = folder.appendingPathComponent("skyline.db").path
        return try ChildProcess(
            program, arguments, environment: ["SKYLINE_DATABASE": database], folder: folder)
    }

    /// Starts the server, and gives it with the address that it listens at.
    private static func serve(
        _ program: URL, at address: String, keyFile: String, in folder: URL
    ) async throws -> (ChildProcess, URL) {
        let process = try start(
            program,
            ["serve", "--identity-key", keyFile, "--listen", address, "--test-hooks"],
            in: folder)
        let line = try await process.firstLine()
        guard line.hasPrefix("listening on "), let url = URL(string: String(line.dropFirst(13)))
        else {
            process.kill()
            throw ChildProcess.Failed(description: "the server's first line is \(line)")
        }
        return (process, url)
    }

    /// Runs an admin command on the server's database, and gives what it printed.
    func admin(_ arguments: String...) async throws -> String {
        try await Self.run(program, arguments, in: folder)
    }

    /// Makes a further identity key in a file, and gives its public part.
    func makeIdentityKey(_ keyFile: String) async throws -> String {
        try await admin("keygen", keyFile)
    }

    /// Starts the server anew on the same port and database, with the identity key in `keyFile` or
    /// the one with which it began.
    func restart(keyFile: String? = nil) async throws {
        kill()
        let address = "127.0.0.1:\(url.port ?? 0)"
        let (restarted, _) = try await Self.serve(
            program, at: address, keyFile: keyFile ?? Self.firstKeyFile, in: folder)
        lock.withLock { process = restarted }
    }

    /// A new license of the product.
    func issueLicense(
        plan: String = "telepower.licensePlan.release.monthly", limits: [String] = []
    ) async throws -> License {
        let issue = ["license", "issue", "--product", "telepower", "--plan", plan]
        let key = try await Self.run(
            program, issue + limits.flatMap { ["--limit", $0] }, in: folder)
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
        // A server that a test starts again is found soon, at the default waits within minutes.
        configuration.reconnectInitialDelay = .milliseconds(50)
        configuration.reconnectMaxDelay = .milliseconds(500)
        return configuration
    }

    /// Kills the server without asking it.
    func kill() {
        lock.withLock { process }.kill()
    }
}
