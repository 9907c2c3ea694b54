import Foundation
import Synchronization

/// A WebSocket of this package's own, which sends messages together and has a thread to receive
/// them.
final class SocketTransport: Transport {
    private struct Outgoing {
        /// Frames that nobody has sent yet.
        var frames: [UInt8] = []
        /// Somebody is about to send them.
        var isFlushing = false
    }

    private let socket: WebSocket
    private let outgoing = Mutex(Outgoing())
    /// The frames that are being sent, whose memory is used again. Held by the one who sends.
    private let sending = Mutex<[UInt8]>([])
    private let flushes = DispatchQueue(label: "plain-client.flush")

    /// Blocks until the WebSocket is open.
    init(_ url: URL) throws {
        socket = try WebSocket(url)
    }

    func begin(_ receiver: @escaping Receiver) {
        Thread.detachNewThread { [socket] in
            var received = ReceiveBuffer()
            do {
                while true {
                    while let message = try received.next() {
                        guard receiver(.success(message)) else {
                            throw PlainError("a message that is no packet")
                        }
                    }
                    try socket.receive(into: &received)
                }
            } catch {
                _ = receiver(.failure(error))
            }
        }
    }

    func put(_ message: [UInt8]) throws {
        try outgoing.withLock { try $0.frames.append(frameOf: message) }
    }

    /// Unless it is for one caller alone, messages leave when those who were answered together have
    /// made their next calls: these leave together.
    func flush(isAlone: Bool) {
        if isAlone { return flush() }
        let isFlushing = outgoing.withLock { outgoing in
            defer { outgoing.isFlushing = true }
            return outgoing.isFlushing
        }
        if !isFlushing {
            flushes.async { self.flush() }
        }
    }

    private func flush() {
        sending.withLock { frames in
            outgoing.withLock { outgoing in
                swap(&frames, &outgoing.frames)
                outgoing.isFlushing = false
            }
            // The receiver then hears of the end.
            do { try socket.send(frames) } catch { socket.hangUp() }
            frames.removeAll(keepingCapacity: true)
        }
    }

    func close() {
        socket.hangUp()
    }
}
