import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Foundation's own WebSocket, which sends each message by itself.
final class URLSessionTransport: Transport {
    #if canImport(FoundationNetworking)
        /// Foundation 6.0 on Linux makes a message of every 16 KiB that curl gives it, so that nobody
        /// can tell where a larger message ends. A packet is a little longer than its payload.
        static let maxPayloadBytes = 15 << 10
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
            for await message in messages {
                // The receiver hears of the end.
                try? await task.send(.data(Data(message)))
            }
        }
        Task { [task] in
            do {
                while true {
                    guard case .data(var message) = try await task.receive() else {
                        throw PlainError("a message that is not binary")
                    }
                    message.withUnsafeMutableBytes { receiver(.success($0)) }
                }
            } catch {
                receiver(.failure(error))
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
