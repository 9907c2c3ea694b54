import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Foundation's own WebSocket, which sends each message by itself.
///
/// On Linux it hands out pieces of messages as if each were whole: it takes no notice of how much of
/// a frame is still to come (github.com/swiftlang/swift-corelibs-foundation/pull/5255), and curl,
/// from 8.13 on, passes on what it has read in portions of 4 KiB (its lib/cw-pause.c). So a message
/// may be cut that was read together with others. Nothing public tells that it was, but the tag at
/// the end of a packet does: what does not open is the beginning of a packet. A broken one never
/// opens, and the load does not end.
final class URLSessionTransport: Transport {
    #if canImport(FoundationNetworking)
        /// Above 4 KiB every message comes in pieces, and trying to open it after each is what would
        /// be measured. A packet is a little longer than its payload.
        static let maxPayloadBytes = 3 << 10
    #else
        static let maxPayloadBytes = Int.max
    #endif

    private let task: URLSessionWebSocketTask
    /// Messages on their way to the one task that sends them, since their order counts.
    private let (messages, outgoing) = AsyncStream.makeStream(of: [UInt8].self)

    init(_ url: URL) {
        var request = URLRequest(url: url)
        // Foundation on Linux would send `keep-alive`, which is no upgrade by RFC 6455.
        request.setValue("Upgrade", forHTTPHeaderField: "Connection")
        task = URLSession(configuration: .ephemeral).webSocketTask(with: request)
        task.maximumMessageSize = 64 << 20
        task.resume()
    }

    func begin(_ receiver: @escaping Receiver) {
        Task { [task, messages] in
            do {
                for await message in messages {
                    try await task.send(.data(Data(message)))
                }
            } catch {
                _ = receiver(.failure(error))
            }
        }
        Task { [task] in
            do {
                // Of a message whose rest has not come.
                var begun = Data()
                while true {
                    guard case .data(let piece) = try await task.receive() else {
                        throw PlainError("a message that is not binary")
                    }
                    let message = begun.isEmpty ? piece : begun + piece
                    // A copy, since what does not open is spoiled by the attempt.
                    var attempt = message
                    let isWhole = attempt.withUnsafeMutableBytes { receiver(.success($0)) }
                    begun = isWhole ? Data() : message
                }
            } catch {
                _ = receiver(.failure(error))
            }
        }
    }

    func put(_ message: [UInt8]) {
        outgoing.yield(message)
    }

    func flush(isAlone: Bool) {}

    func close() {
        outgoing.finish()
        task.cancel(with: .normalClosure, reason: nil)
    }
}
