import OpenSSL

/// AES-256-GCM with one key (docs/protocol.md, section 3). Its contexts are kept from one packet to
/// the next: one for sealing, one for opening, each for one thread at a time. The client sees to
/// that, so it may be shared: by a lock for sealing, and one reader for opening.
final class Cipher: @unchecked Sendable {
    static let nonceBytes = 12
    static let tagBytes = 16
    private let sealing = EVP_CIPHER_CTX_new()
    private let opening = EVP_CIPHER_CTX_new()

    init(key: [UInt8]) throws {
        try succeed(EVP_EncryptInit_ex(sealing, EVP_aes_256_gcm(), nil, key, nil))
        try succeed(EVP_DecryptInit_ex(opening, EVP_aes_256_gcm(), nil, key, nil))
    }

    deinit {
        EVP_CIPHER_CTX_free(sealing)
        EVP_CIPHER_CTX_free(opening)
    }

    /// Seals in place: a packet is room for the nonce, the plaintext, and room for the tag.
    func seal(_ packet: UnsafeMutableRawBufferPointer) throws {
        guard let nonce = packet.bindMemory(to: UInt8.self).baseAddress else { return }
        let text = nonce + Self.nonceBytes
        let length = packet.count - Self.nonceBytes - Self.tagBytes
        var written: Int32 = 0
        try succeed(RAND_bytes(nonce, Int32(Self.nonceBytes)))
        try succeed(EVP_EncryptInit_ex(sealing, nil, nil, nil, nonce))
        try succeed(EVP_EncryptUpdate(sealing, text, &written, text, Int32(length)))
        try succeed(EVP_EncryptFinal_ex(sealing, text + length, &written))
        try succeed(
            EVP_CIPHER_CTX_ctrl(
                sealing, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagBytes), text + length))
    }

    /// Opens in place, and gives where the plaintext is then; `nil` when the tag is not that of the
    /// bytes before it, so that they are no packet.
    func open(_ packet: UnsafeMutableRawBufferPointer) throws -> UnsafeRawBufferPointer? {
        let length = packet.count - Self.nonceBytes - Self.tagBytes
        guard length >= 0, let nonce = packet.bindMemory(to: UInt8.self).baseAddress else {
            return nil
        }
        let text = nonce + Self.nonceBytes
        var written: Int32 = 0
        try succeed(EVP_DecryptInit_ex(opening, nil, nil, nil, nonce))
        try succeed(EVP_DecryptUpdate(opening, text, &written, text, Int32(length)))
        try succeed(
            EVP_CIPHER_CTX_ctrl(
                opening, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagBytes), text + length))
        guard EVP_DecryptFinal_ex(opening, text + length, &written) == 1 else { return nil }
        return UnsafeRawBufferPointer(start: text, count: length)
    }
}

/// Throws unless a function of OpenSSL says that all went well.
func succeed(_ result: Int32) throws {
    guard result == 1 else { throw PlainError("OpenSSL refused") }
}

struct PlainError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
