import Foundation
import OpenSSL

/// The client's end of a WebSocket (RFC 6455) over a TCP socket, for binary messages.
///
/// One thread may send while another one receives.
final class WebSocket: Sendable {
    private let descriptor: Int32

    /// Connects to an IPv4 address, and blocks until the WebSocket is open.
    init(_ url: URL) throws {
        guard let host = url.host, let port = url.port else { throw PlainError("no address") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
            throw PlainError("\(host) is no IPv4 address")
        }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let connected = withUnsafeBytes(of: &address) {
            connect(
                descriptor, $0.assumingMemoryBound(to: sockaddr.self).baseAddress,
                socklen_t($0.count))
        }
        guard connected == 0 else { throw PlainError("connect: errno \(errno)") }
        var yes: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        try upgrade(host, port, url.path)
    }

    deinit {
        close(descriptor)
    }

    private func upgrade(_ host: String, _ port: Int, _ path: String) throws {
        let key = Data(try randomBytes(16)).base64EncodedString()
        let request = """
            GET \(path) HTTP/1.1\r
            Host: \(host):\(port)\r
            Connection: Upgrade\r
            Upgrade: websocket\r
            Sec-WebSocket-Version: 13\r
            Sec-WebSocket-Key: \(key)\r
            \r

            """
        try send(Array(request.utf8))
        // The server sends nothing behind its answer until it is spoken to.
        var answer: [UInt8] = []
        while !answer.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            var byte: UInt8 = 0
            guard recv(descriptor, &byte, 1, 0) == 1 else { throw PlainError("no upgrade") }
            answer.append(byte)
        }
        guard answer.starts(with: "HTTP/1.1 101".utf8) else { throw PlainError("no upgrade") }
    }

    /// Sends whole frames.
    func send(_ frames: [UInt8]) throws {
        try frames.withUnsafeBytes { frames in
            var sent = 0
            while sent < frames.count {
                let rest = UnsafeRawBufferPointer(rebasing: frames[sent...])
                let count = write(descriptor, rest.baseAddress, rest.count)
                guard count > 0 else { throw PlainError("write: errno \(errno)") }
                sent += count
            }
        }
    }

    /// Blocks until bytes come, and appends them; how many must be there is up to the caller.
    func receive(into buffer: inout ReceiveBuffer) throws {
        let count = recv(descriptor, buffer.room.baseAddress, buffer.room.count, 0)
        guard count > 0 else { throw PlainError("the server hung up") }
        buffer.filled(by: count)
    }

    /// Has those who wait for bytes go on.
    func hangUp() {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}

extension [UInt8] {
    /// Appends a binary message as one frame, which a client has to mask.
    mutating func append(frameOf message: [UInt8]) throws {
        append(0x82)
        switch message.count {
        case 0..<126: append(0x80 | UInt8(message.count))
        case 126..<0x1_0000:
            append(0x80 | 126)
            append(bigEndian: UInt16(message.count))
        default:
            append(0x80 | 127)
            append(bigEndian: UInt64(message.count))
        }
        var mask: UInt32 = 0
        try Swift.withUnsafeMutableBytes(of: &mask) {
            try succeed(RAND_bytes($0.bindMemory(to: UInt8.self).baseAddress, 4))
        }
        Swift.withUnsafeBytes(of: mask) { append(contentsOf: $0) }
        let start = count
        append(contentsOf: message)
        let wide = UInt64(mask) << 32 | UInt64(mask)
        withUnsafeMutableBytes { bytes in
            var at = start
            while at + 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                bytes.storeBytes(of: word ^ wide, toByteOffset: at, as: UInt64.self)
                at += 8
            }
            for (offset, byte) in bytes[at...].enumerated() {
                bytes[at + offset] = byte ^ UInt8(truncatingIfNeeded: wide >> (8 * UInt64(offset)))
            }
        }
    }
}

/// What was received and not read yet.
struct ReceiveBuffer: ~Copyable {
    /// Holds many small frames; grows to the largest.
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 8)
    private var begin = 0
    private var end = 0

    deinit {
        memory.deallocate()
    }

    /// Where the next bytes go.
    var room: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: memory[end...])
    }

    mutating func filled(by count: Int) {
        end += count
    }

    /// Takes the next message, which stays where it is until the next call; `nil` when it is not
    /// whole yet. The server writes a message as one frame, and does not mask it.
    mutating func next() throws -> UnsafeMutableRawBufferPointer? {
        while let (header, length) = frame() {
            let format = memory[begin]
            let message = begin + header..<begin + header + length
            begin = message.upperBound
            switch format {
            case 0x82: return UnsafeMutableRawBufferPointer(rebasing: memory[message])
            case 0x89, 0x8a: continue  // Ping and pong; the load itself shows that it is alive.
            default: throw PlainError("the server closed the connection")
            }
        }
        makeRoom()
        return nil
    }

    /// The lengths of the next frame's header and of its content, if it is whole.
    private func frame() -> (header: Int, length: Int)? {
        let waiting = end - begin
        guard let (header, length) = lengths(), waiting >= header + length else { return nil }
        return (header, length)
    }

    private func lengths() -> (header: Int, length: Int)? {
        let waiting = end - begin
        guard waiting >= 2 else { return nil }
        switch memory[begin + 1] {
        case 126:
            guard waiting >= 4 else { return nil }
            let length = memory.loadUnaligned(fromByteOffset: begin + 2, as: UInt16.self)
            return (4, Int(UInt16(bigEndian: length)))
        case 127:
            guard waiting >= 10 else { return nil }
            let length = memory.loadUnaligned(fromByteOffset: begin + 2, as: UInt64.self)
            return (10, Int(clamping: UInt64(bigEndian: length)))
        case let length:
            return (2, Int(length))
        }
    }

    private mutating func makeRoom() {
        let needed = lengths().map { $0.header + $0.length } ?? 0
        let waiting = memory[begin..<end]
        if needed > memory.count {
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: needed, alignment: 8)
            larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: waiting))
            memory.deallocate()
            memory = larger
        } else if begin > 0 {
            memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: waiting))
        } else {
            return
        }
        end -= begin
        begin = 0
    }
}
