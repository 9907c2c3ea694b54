import Foundation

/// One value in each format of MessagePack, written out by the specification.
enum MessagePackSamples {
    static let lowest = Data([0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0])
    static let highestUnsigned = Data([0xcf] + [UInt8](repeating: 0xff, count: 8))

    static let all: [(name: String, bytes: Data)] = [
        ("nil in an array", Data([0x91, 0xc0])),
        ("false", Data([0xc2])),
        ("true", Data([0xc3])),
        ("positive fixint", Data([0x7f])),
        ("negative fixint", Data([0xe0])),
        ("uint 8", Data([0xcc, 0xff])),
        ("uint 16", Data([0xcd, 0xff, 0xff])),
        ("uint 32", Data([0xce, 0xff, 0xff, 0xff, 0xff])),
        ("uint 64", highestUnsigned),
        ("int 8", Data([0xd0, 0x80])),
        ("int 16", Data([0xd1, 0x80, 0])),
        ("int 32", Data([0xd2, 0x80, 0, 0, 0])),
        ("int 64", lowest),
        ("float 32", Data([0xca, 0x3f, 0x80, 0, 0])),
        ("float 64", Data([0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0])),
        ("NaN", Data([0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0])),
        ("infinity", Data([0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0])),
        ("fixstr", Data([0xa1, 0x61])),
        ("str 8", Data([0xd9, 200]) + letters(200)),
        ("str 16", Data([0xda, 1, 0]) + letters(256)),
        ("str 32", Data([0xdb, 0, 1, 0, 0]) + letters(65536)),
        ("bin 8", Data([0xc4, 3, 0, 0xff, 0x80])),
        ("bin 16", Data([0xc5, 1, 0]) + letters(256)),
        ("bin 32", Data([0xc6, 0, 1, 0, 0]) + letters(65536)),
        ("fixarray", Data([0x92, 1, 2])),
        ("array 16", Data([0xdc, 0, 16]) + letters(16)),
        ("array 32", Data([0xdd, 0, 0, 0, 16]) + letters(16)),
        ("fixmap", Data([0x81, 0xa1, 0x6b, 0x80])),
        ("map 16", Data([0xde, 0, 1, 0xa1, 0x6b, 1])),
        ("map 32", Data([0xdf, 0, 0, 0, 1, 0xa1, 0x6b, 1])),
        ("map with keys of any type", Data([0x82, 0xc0, 1, 0x91, 2, 3])),
        ("fixext 1", Data([0xd4, 5, 1])),
        ("fixext 2", Data([0xd5, 5, 1, 2])),
        ("fixext 4, a timestamp", Data([0xd6, 0xff, 0x67, 0x6b, 0x6c, 0x80])),
        ("fixext 8", Data([0xd7, 5]) + letters(8)),
        ("fixext 16", Data([0xd8, 5]) + letters(16)),
        ("ext 8", Data([0xc7, 3, 5, 1, 2, 3])),
        ("ext 16", Data([0xc8, 1, 0, 5]) + letters(256)),
        ("ext 32", Data([0xc9, 0, 1, 0, 0, 5]) + letters(65536)),
    ]

    private static func letters(_ count: Int) -> Data {
        Data(repeating: 0x61, count: count)
    }
}
