import Foundation

/// One connection's cipher, numbers and token (docs/protocol.md, sections 3 to 5), without I/O.
struct PlainSession {
    var token: String?
    private let cipher: Cipher
    private var number: UInt64 = 0

    init(_ cipher: Cipher) {
        self.cipher = cipher
    }

    /// Writes the packet of the next request into `packet`, in place of what it held, and gives the
    /// request's number.
    mutating func request(
        _ method: String, _ payload: Data?, into packet: inout [UInt8]
    ) throws -> UInt64 {
        defer { number += 1 }
        packet.removeAll(keepingCapacity: true)
        packet.append(contentsOf: repeatElement(0, count: Cipher.nonceBytes))
        packet.pack(mapOf: 5)
        packet.pack("q")
        packet.pack(number)
        packet.pack("t")
        packet.pack(UInt64(time(nil)))
        packet.pack("r")
        packet.pack(method)
        packet.pack("s")
        if let token { packet.pack(token) } else { packet.packNil() }
        packet.pack("d")
        if let payload {
            payload.withUnsafeBytes { packet.pack(bin: $0) }
        } else {
            packet.packNil()
        }
        packet.append(contentsOf: repeatElement(0, count: Cipher.tagBytes))
        try packet.withUnsafeMutableBytes { try cipher.seal($0) }
        return number
    }
}

/// A response of the server.
struct Response {
    let number: UInt64
    let result: Result<Data?, PlainError>

    /// Reads what was in a packet.
    init(_ plaintext: UnsafeRawBufferPointer) throws {
        var number: UInt64?
        var isOK = false
        var status = ""
        var payload: Data?
        var reader = MessagePackReader(plaintext)
        try reader.map { key, reader in
            // Each key of the protocol is one byte long.
            switch key.first {
            case UInt8(ascii: "q"):
                if case .integer(let integer) = try reader.next() { number = integer }
            case UInt8(ascii: "S"):
                guard case .text(let text) = try reader.next() else { return }
                isOK = text.elementsEqual("OK".utf8)
                if !isOK { status = String(decoding: text, as: UTF8.self) }
            case UInt8(ascii: "R"):
                if case .bin(let bytes) = try reader.next() { payload = Data(bytes) }
            default:
                try reader.skip()
            }
        }
        guard let number else { throw PlainError("a response without its number") }
        self.number = number
        result = isOK ? .success(payload) : .failure(PlainError(status))
    }
}
