import OpenSSL

/// The handshake of one connection (docs/protocol.md, section 2).
struct KeyAgreement {
    private let privateKey: OpaquePointer?
    private let publicKey: [UInt8]
    private let nonce: [UInt8]

    init() throws {
        let secret = try randomBytes(32)
        privateKey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nil, secret, secret.count)
        var key = [UInt8](repeating: 0, count: 32)
        var length = key.count
        try succeed(EVP_PKEY_get_raw_public_key(privateKey, &key, &length))
        publicKey = key
        nonce = try randomBytes(32)
    }

    /// The client's hello.
    var hello: [UInt8] {
        var message: [UInt8] = []
        message.pack(mapOf: 2)
        message.pack("r")
        message.pack("client-hello")
        message.pack("d")
        message.pack(mapOf: 2)
        message.pack("clientEcdhPublic")
        publicKey.withUnsafeBytes { message.pack(bin: $0) }
        message.pack("nonce")
        nonce.withUnsafeBytes { message.pack(bin: $0) }
        return message
    }

    /// Takes the server's hello, and gives the cipher of the connection. Ends this agreement.
    func finish(_ hello: [UInt8], identityKey: [UInt8]) throws -> Cipher {
        defer { EVP_PKEY_free(privateKey) }
        var serverKey: [UInt8] = []
        var signature: [UInt8] = []
        var serverNonce: [UInt8] = []
        try hello.withUnsafeBytes { bytes in
            var reader = MessagePackReader(bytes)
            try reader.map { key, reader in
                guard key.elementsEqual("R".utf8) else { return try reader.skip() }
                try reader.map { key, reader in
                    guard case .bin(let bytes) = try reader.next() else {
                        throw PlainError("the server refused the handshake")
                    }
                    switch String(decoding: key, as: UTF8.self) {
                    case "serverEcdhPublic": serverKey = Array(bytes)
                    case "signature": signature = Array(bytes)
                    case "serverNonce": serverNonce = Array(bytes)
                    default: break
                    }
                }
            }
        }
        try verify(signature, of: publicKey + serverKey + nonce + serverNonce, by: identityKey)
        return try Cipher(key: try derive(try agree(with: serverKey)))
    }

    private func verify(
        _ signature: [UInt8], of message: [UInt8], by identityKey: [UInt8]
    ) throws {
        let key = EVP_PKEY_new_raw_public_key(
            EVP_PKEY_ED25519, nil, identityKey, identityKey.count)
        let context = EVP_MD_CTX_new()
        defer {
            EVP_MD_CTX_free(context)
            EVP_PKEY_free(key)
        }
        try succeed(EVP_DigestVerifyInit(context, nil, nil, nil, key))
        try succeed(
            EVP_DigestVerify(context, signature, signature.count, message, message.count))
    }

    private func agree(with serverKey: [UInt8]) throws -> [UInt8] {
        let peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nil, serverKey, serverKey.count)
        let context = EVP_PKEY_CTX_new(privateKey, nil)
        defer {
            EVP_PKEY_CTX_free(context)
            EVP_PKEY_free(peer)
        }
        var secret = [UInt8](repeating: 0, count: 32)
        var length = secret.count
        try succeed(EVP_PKEY_derive_init(context))
        try succeed(EVP_PKEY_derive_set_peer(context, peer))
        try succeed(EVP_PKEY_derive(context, &secret, &length))
        return secret
    }

    /// HKDF-SHA256 without salt and info; one block of it is as long as the key.
    private func derive(_ secret: [UInt8]) throws -> [UInt8] {
        func hmac(_ key: [UInt8], _ message: [UInt8]) throws -> [UInt8] {
            var code = [UInt8](repeating: 0, count: 32)
            let made = HMAC(
                EVP_sha256(), key, Int32(key.count), message, message.count, &code, nil)
            guard made != nil else { throw PlainError("OpenSSL refused") }
            return code
        }
        return try hmac(try hmac([UInt8](repeating: 0, count: 32), secret), [1])
    }
}

func randomBytes(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try succeed(RAND_bytes(&bytes, Int32(count)))
    return bytes
}
