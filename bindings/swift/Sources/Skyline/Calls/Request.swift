import Foundation
internal import SkylineFFI

/// A call as the C interface takes it.
struct Request: Sendable {
    private let method: String
    private let payload: Data?
    private let deadline: UInt64
    private let flags: UInt32

    /// - Parameters:
    ///   - method: The method's name.
    ///   - payload: MessagePack, or the text of JSON with `isJSON`; `nil` for none.
    ///   - deadline: How long it may take; the client's own deadline when `nil`.
    ///   - idempotent: Whether it may be sent again.
    ///   - isJSON: Whether payload and answer are JSON.
    init(
        _ method: String, _ payload: Data?, _ deadline: Duration?, idempotent: Bool,
        isJSON: Bool = false
    ) {
        self.method = method
        self.payload = payload
        self.deadline = deadline.map(\.wholeMilliseconds) ?? .max
        flags =
            (idempotent ? UInt32(SKYLINE_CALL_IDEMPOTENT) : 0)
            | (payload == nil ? 0 : UInt32(SKYLINE_CALL_PAYLOAD))
            | (isJSON ? UInt32(SKYLINE_CALL_JSON) : 0)
    }

    /// Whether the payload had better not be copied into a batch first. From about so many bytes on
    /// that costs more than to hand the call over by itself.
    var isLarge: Bool {
        (payload?.count ?? 0) >= 16 << 10
    }

    /// Writes the call behind those in `records`, for `skyline_submit_many`.
    func append(to records: inout [UInt8], _ id: UInt64) {
        let name = method.utf8
        let header = SkylineCallHeader(
            id: id, deadline_ms: deadline, method_len: UInt32(name.count),
            payload_len: UInt32(payload?.count ?? 0), flags: flags, reserved: 0)
        withUnsafeBytes(of: header) { records.append(contentsOf: $0) }
        records.append(contentsOf: name)
        payload?.withUnsafeBytes { records.append(contentsOf: $0) }
    }

    /// Hands the call over by itself.
    ///
    /// - Returns: 0, or why the library did not take it.
    func submit(_ id: UInt64, of client: ClientHandle, to queue: OpaquePointer) -> Int32 {
        var method = method
        return method.withUTF8 { method in
            func submit(_ payload: UnsafePointer<UInt8>?, _ length: Int) -> Int32 {
                skyline_submit(
                    client.pointer, queue, id, method.baseAddress, method.count, payload, length,
                    deadline, flags)
            }
            guard let payload else { return submit(nil, 0) }
            return payload.withUnsafeBytes { payload in
                // No bytes are a payload too, and have no address of their own.
                let bytes = payload.bindMemory(to: UInt8.self).baseAddress
                return withUnsafePointer(to: 0) { submit(bytes ?? $0, payload.count) }
            }
        }
    }
}

extension Duration {
    /// Rounded up, so that what is not zero stays so. Negative ones have passed, as zero has; a
    /// century is as good as longer.
    fileprivate var wholeMilliseconds: UInt64 {
        UInt64((seconds * 1000).rounded(.up))
    }
}
