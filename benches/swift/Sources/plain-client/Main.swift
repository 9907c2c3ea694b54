import Foundation
import Load

/// A worker that is a client in Swift alone: what one has without this project's library.
///
/// BENCH_TRANSPORT is its WebSocket: `url-session`, Foundation's own, or `socket`, one of this
/// package's own on a POSIX socket.
@main
struct Main: Worker {
    static func run() async throws {
        let assignment = try Assignment()
        guard let url = URL(string: try assignment.variable("SKYLINE_URL")) else {
            throw WorkerError("SKYLINE_URL is no URL")
        }
        let identityKey = try bytes(ofHex: try assignment.variable("SKYLINE_IDENTITY_KEY"))
        let begun = ContinuousClock.now
        let client = try await PlainClient(
            try transport(assignment, to: url), identityKey: identityKey)
        try await client.startSession(try assignment.variable("SKYLINE_LICENSE_KEY"))

        try await assignment.run(connectedIn: .now - begun) {
            try assignment.check(try await client.call("test.echo", assignment.payload))
        }
        client.close()
    }

    private static func transport(_ assignment: Assignment, to url: URL) throws -> any Transport {
        switch try assignment.variable("BENCH_TRANSPORT") {
        case "url-session":
            guard assignment.payload.count <= URLSessionTransport.maxPayloadBytes else {
                let reason = "URLSessionWebSocketTask on Linux cuts every message above 4 KiB\n"
                FileHandle.standardError.write(Data(reason.utf8))
                exit(EX_UNAVAILABLE)
            }
            return URLSessionTransport(url)
        case "socket": return try SocketTransport(url)
        case let other: throw WorkerError("there is no transport \(other)")
        }
    }

    private static func bytes(ofHex text: String) throws -> [UInt8] {
        let digits = try text.map { digit in
            guard let value = digit.hexDigitValue else { throw WorkerError("a key is not hex") }
            return UInt8(value)
        }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
