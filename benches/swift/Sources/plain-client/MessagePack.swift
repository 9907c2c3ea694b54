/// As much of MessagePack as the protocol needs.
extension [UInt8] {
    /// Appends the header of a map.
    mutating func pack(mapOf count: UInt8) {
        append(0x80 | count)
    }

    mutating func packNil() {
        append(0xc0)
    }

    mutating func pack(_ integer: UInt64) {
        switch integer {
        case 0..<0x80: append(UInt8(integer))
        case 0..<0x100: pack(0xcc, UInt8(integer))
        case 0..<0x1_0000: pack(0xcd, UInt16(integer))
        case 0..<0x1_0000_0000: pack(0xce, UInt32(integer))
        default: pack(0xcf, integer)
        }
    }

    mutating func pack(_ text: String) {
        let text = text.utf8
        switch text.count {
        case 0..<32: append(0xa0 | UInt8(text.count))
        case 32..<0x100: pack(0xd9, UInt8(text.count))
        default: pack(0xda, UInt16(text.count))
        }
        append(contentsOf: text)
    }

    mutating func pack(bin bytes: UnsafeRawBufferPointer) {
        switch bytes.count {
        case 0..<0x100: pack(0xc4, UInt8(bytes.count))
        case 0x100..<0x1_0000: pack(0xc5, UInt16(bytes.count))
        default: pack(0xc6, UInt32(bytes.count))
        }
        append(contentsOf: bytes)
    }

    private mutating func pack<Integer: FixedWidthInteger>(_ format: UInt8, _ integer: Integer) {
        append(format)
        append(bigEndian: integer)
    }

    /// Appends an integer as networks write it.
    mutating func append<Integer: FixedWidthInteger>(bigEndian integer: Integer) {
        Swift.withUnsafeBytes(of: integer.bigEndian) { append(contentsOf: $0) }
    }
}

/// Reads MessagePack from bytes that outlive it.
struct MessagePackReader {
    /// What was read: integers and what only has to be skipped are not told apart further.
    enum Value {
        case none
        case integer(UInt64)
        case text(UnsafeRawBufferPointer)
        case bin(UnsafeRawBufferPointer)
        case map(Int)
        case array(Int)
        case other
    }

    private var rest: Slice<UnsafeRawBufferPointer>

    init(_ bytes: UnsafeRawBufferPointer) {
        rest = bytes[...]
    }

    /// Reads one value; of a map or an array only the header.
    mutating func next() throws -> Value {
        let format: UInt8 = try integer()
        switch format {
        case 0x00...0x7f: return .integer(UInt64(format))
        case 0x80...0x8f: return .map(Int(format & 0x0f))
        case 0x90...0x9f: return .array(Int(format & 0x0f))
        case 0xa0...0xbf: return .text(try take(Int(format & 0x1f)))
        case 0xc0: return .none
        case 0xc2, 0xc3: return .other
        case 0xc4: return .bin(try take(Int(try integer() as UInt8)))
        case 0xc5: return .bin(try take(Int(try integer() as UInt16)))
        case 0xc6: return .bin(try take(Int(try integer() as UInt32)))
        case 0xcc: return .integer(UInt64(try integer() as UInt8))
        case 0xcd: return .integer(UInt64(try integer() as UInt16))
        case 0xce: return .integer(UInt64(try integer() as UInt32))
        case 0xcf: return .integer(try integer())
        case 0xd9: return .text(try take(Int(try integer() as UInt8)))
        case 0xda: return .text(try take(Int(try integer() as UInt16)))
        case 0xde: return .map(Int(try integer() as UInt16))
        case 0xe0...0xff: return .other
        default: throw PlainError("a format of MessagePack that the protocol does not use")
        }
    }

    /// Reads one value and all inside it.
    mutating func skip() throws {
        switch try next() {
        case .map(let count): for _ in 0..<2 * count { try skip() }
        case .array(let count): for _ in 0..<count { try skip() }
        default: break
        }
    }

    /// Reads a map, each of whose values `read` must take after it has got the key.
    mutating func map(
        _ read: (UnsafeRawBufferPointer, inout MessagePackReader) throws -> Void
    ) throws {
        guard case .map(let count) = try next() else { throw PlainError("no map") }
        for _ in 0..<count {
            guard case .text(let key) = try next() else { throw PlainError("a key is no text") }
            try read(key, &self)
        }
    }

    private mutating func take(_ count: Int) throws -> UnsafeRawBufferPointer {
        guard count <= rest.count else { throw PlainError("MessagePack was cut off") }
        defer { rest = rest.dropFirst(count) }
        return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
    }

    private mutating func integer<Integer: FixedWidthInteger>() throws -> Integer {
        let bytes = try take(MemoryLayout<Integer>.size)
        return Integer(bigEndian: bytes.loadUnaligned(as: Integer.self))
    }
}
