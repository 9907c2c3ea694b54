//! Every size, depth and count that the protocol bounds, each with its reason.

/// Length of an X25519 public key, private key or shared secret, in bytes (RFC 7748, section 5).
pub const ECDH_KEY_BYTES: usize = 32;

/// Length of the handshake nonces that we send, in bytes: 256 bits never repeat by chance
/// (docs/protocol.md, section 2).
pub const HANDSHAKE_NONCE_BYTES: usize = 32;

/// The shortest handshake nonce accepted from a peer, in bytes: under 128 bits a nonce could
/// repeat, and an old server hello could be played again (docs/protocol.md, section 2).
pub const MIN_PEER_NONCE_BYTES: usize = 16;

/// The longest handshake nonce accepted from a peer, in bytes: more adds nothing, and a bound
/// keeps the proof small (docs/protocol.md, section 2).
pub const MAX_PEER_NONCE_BYTES: usize = 64;

/// Length of an Ed25519 public key and of the seed of a private one, in bytes (RFC 8032,
/// section 5.1).
pub const IDENTITY_KEY_BYTES: usize = 32;

/// Length of an Ed25519 signature, in bytes (RFC 8032, section 5.1.6).
pub const SIGNATURE_BYTES: usize = 64;

/// Length of the session key, in bytes: AES-256 (docs/protocol.md, section 2).
pub const SESSION_KEY_BYTES: usize = 32;

/// Length of the AES-GCM nonce in front of every packet, in bytes: the only length that GCM uses
/// as it is, without hashing it (NIST SP 800-38D, section 8.2).
pub const PACKET_NONCE_BYTES: usize = 12;

/// Length of the AES-GCM tag at the end of every packet, in bytes: the full tag, never a
/// truncated one (NIST SP 800-38D, section 5.2.1.2).
pub const PACKET_TAG_BYTES: usize = 16;

/// What sealing adds to a plaintext, in bytes; a shorter message cannot be a packet
/// (docs/protocol.md, section 3).
pub const PACKET_OVERHEAD_BYTES: usize = PACKET_NONCE_BYTES + PACKET_TAG_BYTES;

/// Default bound on one sealed packet, in bytes: 16 MiB, far over any known payload, and small
/// enough that one peer cannot exhaust the memory of the other (docs/protocol.md, section 3).
///
/// Whoever reads the socket enforces it, before a message is buffered whole.
pub const DEFAULT_MAX_PACKET_BYTES: usize = 16 << 20;

/// How many arrays and maps of one MessagePack value may lie inside each other: 128, more than a
/// person would write, and few enough for any decoder's stack (docs/protocol.md, section 3).
pub const MAX_DEPTH: usize = 128;

/// How many packets one session key may protect, both directions together: 2^32, where random
/// 96-bit nonces still repeat with a probability under 2^-32 (NIST SP 800-38D, section 8.3).
pub const MAX_PACKETS_PER_KEY: u64 = 1 << 32;

/// Bound on either hello message, in bytes: an honest one takes under 250, and the rest is room
/// for keys that a later version may add (docs/protocol.md, section 2).
pub const MAX_HELLO_BYTES: usize = 4096;

/// Length of a SHA-256 digest, in bytes.
pub const SHA256_BYTES: usize = 32;

/// Longest manifest of an update, in bytes: an honest one takes under 700, and its base64 fits into
/// a header of the 8 KiB that common servers and proxies let pass (docs/protocol.md, section 8).
pub const MAX_MANIFEST_BYTES: usize = 4096;

/// Longest product id and platform of a manifest, in bytes; common ones take under 20.
pub const MAX_MANIFEST_TEXT_BYTES: usize = 128;

/// Longest name of an update's file, in bytes: less than the 255 that common file systems take.
pub const MAX_FILE_NAME_BYTES: usize = 200;

/// Longest header Content-Disposition that is read, in bytes: the longest name in both forms, each
/// byte of it in percents, and some.
pub const MAX_DISPOSITION_BYTES: usize = 2048;
