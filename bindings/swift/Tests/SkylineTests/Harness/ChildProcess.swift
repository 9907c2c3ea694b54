import Foundation

/// A process of the test, which works in a folder and whose output goes to files there.
final class ChildProcess: @unchecked Sendable {
    /// How long one command, or the start of a server, may take.
    private static let patience: Duration = .seconds(30)
    private static let pause: Duration = .milliseconds(10)

    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    private let process = Process()
    /// Kills the process when this one ends, however it ends: it then reads the end of the lifeline.
    private let guardian = Process()
    private let lifeline = Pipe()
    private let output: URL
    private let log: URL

    init(
        _ program: URL, _ arguments: [String], environment: [String: String] = [:], folder: URL
    ) throws {
        let id = UUID().uuidString
        output = folder.appendingPathComponent("output-\(id)")
        log = folder.appendingPathComponent("log-\(id)")
        for file in [output, log] {
            try Data().write(to: file)
        }
        process.executableURL = program
        process.arguments = arguments
        process.currentDirectoryURL = folder
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        guardian.executableURL = URL(fileURLWithPath: "/bin/sh")
        guardian.arguments = ["-c", "read -r _; kill -KILL \(process.processIdentifier)"]
        guardian.standardInput = lifeline
        guardian.standardOutput = FileHandle.nullDevice
        guardian.standardError = FileHandle.nullDevice
        try guardian.run()
    }

    /// What the process has printed so far.
    var printed: String { (try? String(contentsOf: output, encoding: .utf8)) ?? "" }

    /// Waits for the first whole line of the output.
    func firstLine() async throws -> String {
        try await wait(until: { printed.contains("\n") || !process.isRunning }, "print a line")
        guard let end = printed.firstIndex(of: "\n") else { throw failed("ended without a line") }
        return String(printed[..<end])
    }

    /// Waits for the end of the process, which must be a success, and gives what it printed.
    func finish() async throws -> String {
        defer { kill() }
        try await wait(until: { !process.isRunning }, "end")
        guard process.terminationStatus == 0 else {
            throw failed("ended with status \(process.terminationStatus)")
        }
        return printed
    }

    /// Kills the process without asking it, and waits until it is gone.
    func kill() {
        for process in [guardian, process] where process.isRunning {
            Foundation.kill(process.processIdentifier, SIGKILL)
            while process.isRunning {
                Thread.sleep(forTimeInterval: 0.005)
            }
        }
    }

    private func wait(until condition: () -> Bool, _ what: String) async throws {
        let end = ContinuousClock.now + Self.patience
        while !condition() {
            guard ContinuousClock.now < end else { throw failed("did not \(what) in time") }
            try await Task.sleep(for: Self.pause)
        }
    }

    private func failed(_ what: String) -> Failed {
        let log = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
        let command = [process.executableURL?.lastPathComponent ?? ""] + (process.arguments ?? [])
        return Failed(
            description: "\(command.joined(separator: " ")) \(what)\n\(printed)\(log)")
    }
}
