import org.msgpack.core.MessagePack
import java.nio.ByteBuffer
import java.security.KeyFactory
import java.security.KeyPairGenerator
import java.security.PublicKey
import java.security.SecureRandom
import java.security.Signature
import java.security.spec.X509EncodedKeySpec
import java.util.HexFormat
import javax.crypto.Cipher
import javax.crypto.KeyAgreement
import javax.crypto.Mac
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.SecretKeySpec

private const val NONCE_BYTES = 12
private const val TAG_BYTES = 16

/** How many nonces are asked of the random generator at once: asking costs more than the numbers. */
private const val NONCES = 256

private val random = SecureRandom()

/** What stands before the 32 bytes of a public key in X.509 (RFC 8410). */
private val prefixes = mapOf("X25519" to "302a300506032b656e032100", "Ed25519" to "302a300506032b6570032100")

private fun publicKey(
    algorithm: String,
    bytes: ByteArray,
): PublicKey {
    val encoded = HexFormat.of().parseHex(prefixes.getValue(algorithm)) + bytes
    return KeyFactory.getInstance(algorithm).generatePublic(X509EncodedKeySpec(encoded))
}

/** A response: [payload] is MessagePack. */
class Response(
    val seq: Long,
    val status: String,
    val text: String?,
    val payload: ByteArray?,
)

/**
 * The client's end of docs/protocol.md, without I/O, as one writes it for speed with what Java has.
 * One thread at a time may write requests, and one may read responses.
 */
class PlainSession(
    private val identityKey: String,
) {
    private val keys = KeyPairGenerator.getInstance("X25519").generateKeyPair()
    private val public =
        keys.public.encoded
            .takeLast(32)
            .toByteArray()
    private val nonce = ByteArray(32).also(random::nextBytes)
    private val nonces = ByteBuffer.allocate(NONCES * NONCE_BYTES).apply { position(limit()) }
    private val packing = Packing()
    private val sealing = Cipher.getInstance("AES/GCM/NoPadding")
    private val opening = Cipher.getInstance("AES/GCM/NoPadding")
    private lateinit var key: SecretKeySpec
    private var seq = 0L

    /** Of the login. */
    @Volatile var token: String? = null

    /** The first message (section 2). */
    fun hello(): ByteArray =
        packing.pack {
            packMapHeader(2)
                .packString("r")
                .packString("client-hello")
                .packString("d")
                .packMapHeader(2)
            packString("clientEcdhPublic").packBinaryHeader(public.size).writePayload(public)
            packString("nonce").packBinaryHeader(nonce.size).writePayload(nonce)
        }

    /** Takes the server's hello. */
    fun finish(message: ByteArray) {
        val hello =
            MessagePack
                .newDefaultUnpacker(message)
                .unpackValue()
                .asMapValue()
                .map()
                .mapKeys { "${it.key}" }
        check("${hello["S"]}" == "OK") { "the server refused the handshake: ${hello["e"]}" }
        val server =
            hello
                .getValue("R")
                .asMapValue()
                .map()
                .mapKeys { "${it.key}" }

        fun bytes(name: String) = server.getValue(name).asBinaryValue().asByteArray()
        val peer = bytes("serverEcdhPublic")
        val proof = Signature.getInstance("Ed25519")
        proof.initVerify(publicKey("Ed25519", HexFormat.of().parseHex(identityKey)))
        proof.update(public + peer + nonce + bytes("serverNonce"))
        check(proof.verify(bytes("signature"))) { "another server answered" }
        val agreement = KeyAgreement.getInstance("X25519")
        agreement.init(keys.private)
        agreement.doPhase(publicKey("X25519", peer), true)
        key = SecretKeySpec(hkdf(agreement.generateSecret()), "AES")
    }

    /** The number of the next request, and its packet (section 3). */
    fun request(
        method: String,
        payload: ByteArray?,
    ): Pair<Long, ByteBuffer> {
        val number = seq++
        val plaintext =
            packing.pack {
                packMapHeader(5).packString("q").packLong(number)
                packString("t").packLong(System.currentTimeMillis() / 1000)
                packString("r").packString(method)
                packString("s")
                token?.let { packString(it) } ?: packNil()
                packString("d")
                payload?.let { packBinaryHeader(it.size).writePayload(it) } ?: packNil()
            }
        if (!nonces.hasRemaining()) {
            random.nextBytes(nonces.array())
            nonces.clear()
        }
        val packet = ByteArray(NONCE_BYTES + plaintext.size + TAG_BYTES)
        nonces.get(packet, 0, NONCE_BYTES)
        sealing.init(Cipher.ENCRYPT_MODE, key, GCMParameterSpec(8 * TAG_BYTES, packet, 0, NONCE_BYTES))
        sealing.doFinal(plaintext, 0, plaintext.size, packet, NONCE_BYTES)
        return number to ByteBuffer.wrap(packet)
    }

    /** What a message says. */
    fun response(message: ByteArray): Response {
        opening.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(8 * TAG_BYTES, message, 0, NONCE_BYTES))
        val plaintext = opening.doFinal(message, NONCE_BYTES, message.size - NONCE_BYTES)
        var seq = -1L
        var status = ""
        var text: String? = null
        var payload: ByteArray? = null
        MessagePack.newDefaultUnpacker(plaintext).use { packed ->
            repeat(packed.unpackMapHeader()) {
                when (packed.unpackString()) {
                    "q" -> {
                        seq = packed.unpackLong()
                    }

                    "S" -> {
                        status = packed.unpackString()
                    }

                    "e" -> {
                        if (!packed.tryUnpackNil()) text = packed.unpackString()
                    }

                    "R" -> {
                        if (!packed.tryUnpackNil()) {
                            payload =
                                packed.readPayload(packed.unpackBinaryHeader())
                        }
                    }

                    else -> {
                        packed.skipValue()
                    }
                }
            }
        }
        return Response(seq, status, text, payload)
    }

    /** HKDF-SHA256 without salt and info, whose 32 bytes are one block. */
    private fun hkdf(secret: ByteArray): ByteArray {
        val mac = Mac.getInstance("HmacSHA256")
        mac.init(SecretKeySpec(ByteArray(32), "HmacSHA256"))
        val extracted = mac.doFinal(secret)
        mac.init(SecretKeySpec(extracted, "HmacSHA256"))
        return mac.doFinal(byteArrayOf(1))
    }
}
