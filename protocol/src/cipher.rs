//! The session key and the packets under it (docs/protocol.md, section 3).
//!
//! The cipher itself is one of two, chosen by the feature `ring`.

#[cfg(feature = "ring")]
mod ring;
#[cfg(not(feature = "ring"))]
mod rust_crypto;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use rand::Rng;
use thiserror::Error;
use zeroize::Zeroizing;

#[cfg(feature = "ring")]
use self::ring::Aead;
#[cfg(not(feature = "ring"))]
use self::rust_crypto::Aead;
use crate::limits::{
    MAX_PACKETS_PER_KEY, PACKET_NONCE_BYTES, PACKET_OVERHEAD_BYTES, SESSION_KEY_BYTES,
};
use crate::packet::{PacketError, Request, Response};

/// The key of one session, which the handshake gives to both ends. Wiped when dropped, and hidden
/// from `Debug`.
pub struct SessionKey(Zeroizing<[u8; SESSION_KEY_BYTES]>);

impl SessionKey {
    /// Takes a key that was agreed on by other means: for known answers.
    pub fn from_bytes(bytes: [u8; SESSION_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret bytes.
    pub fn as_bytes(&self) -> &[u8; SESSION_KEY_BYTES] {
        &self.0
    }

    /// The two halves of the cipher, each for its own task.
    ///
    /// They count their packets together, since one key serves both directions. To call this twice
    /// for one key would start the count again: do so in tests only.
    pub fn cipher(&self) -> (Sealer, Opener) {
        let key = Arc::new(CountedKey {
            cipher: Aead::new(&self.0),
            packets: AtomicU64::new(0),
        });
        (Sealer(Arc::clone(&key)), Opener(key))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey(redacted)")
    }
}

/// A key schedule, dropped with the last half of the cipher, and how often it was used.
struct CountedKey {
    cipher: Aead,
    packets: AtomicU64,
}

impl CountedKey {
    /// Counts one packet; `false` when the key has done its part.
    ///
    /// The counter runs on past the bound when the calls do: it would take centuries to wrap.
    fn count(&self) -> bool {
        self.packets.fetch_add(1, Ordering::Relaxed) < MAX_PACKETS_PER_KEY
    }

    fn packets(&self) -> u64 {
        self.packets
            .load(Ordering::Relaxed)
            .min(MAX_PACKETS_PER_KEY)
    }
}

/// Why a packet was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The key has protected [`MAX_PACKETS_PER_KEY`] packets: a new connection is needed.
    #[error("the session key is used up after {MAX_PACKETS_PER_KEY} packets; connect again")]
    Exhausted,
    /// A part of the packet is longer than MessagePack or AES-GCM can take.
    #[error("the packet is too long")]
    TooLong,
}

/// Why a message was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The message is shorter than the nonce and the tag of a packet.
    #[error("the message is too short for a packet")]
    TooShort,
    /// The tag does not match: the packet was forged, or damaged on its way.
    #[error("the packet is not authentic")]
    Forged,
    /// The key has protected [`MAX_PACKETS_PER_KEY`] packets: a new connection is needed.
    #[error("the session key is used up after {MAX_PACKETS_PER_KEY} packets; connect again")]
    Exhausted,
}

/// The half of a session's cipher that seals what this end sends.
///
/// Nonces come from the thread's generator, which the operating system seeds: after a fork the
/// child must not go on with its parent's session.
pub struct Sealer(Arc<CountedKey>);

impl Sealer {
    /// Appends the sealed request to `out`: nonce, ciphertext, tag. What `out` holds already stays
    /// as it is.
    ///
    /// # Errors
    /// [`SealError`]; `out` is then as it was.
    pub fn seal_request(
        &mut self,
        request: &Request<'_>,
        out: &mut BytesMut,
    ) -> Result<(), SealError> {
        out.reserve(request.sealed_len());
        self.seal(random_nonce(), out, |out| request.encode(out))
    }

    /// Appends the sealed response to `out`, as [`Sealer::seal_request`] does.
    ///
    /// # Errors
    /// [`SealError`]; `out` is then as it was.
    pub fn seal_response(
        &mut self,
        response: &Response<'_>,
        out: &mut BytesMut,
    ) -> Result<(), SealError> {
        out.reserve(response.sealed_len());
        self.seal(random_nonce(), out, |out| response.encode(out))
    }

    /// Appends any plaintext, sealed under the given nonce: for known answers and for peers that
    /// misbehave in tests. Two packets under one nonce give the key away: never use it in a product.
    ///
    /// # Errors
    /// [`SealError`]; `out` is then as it was.
    pub fn seal_with_nonce(
        &mut self,
        nonce: [u8; PACKET_NONCE_BYTES],
        plaintext: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), SealError> {
        self.seal(nonce, out, |out| {
            out.extend_from_slice(plaintext);
            Ok(())
        })
    }

    /// How many packets the key has protected, both directions together. A client that comes near
    /// [`MAX_PACKETS_PER_KEY`] connects anew.
    pub fn packets_used(&self) -> u64 {
        self.0.packets()
    }

    /// Writes the plaintext behind a gap for the nonce and encrypts it where it stands.
    fn seal(
        &mut self,
        nonce: [u8; PACKET_NONCE_BYTES],
        out: &mut BytesMut,
        write: impl FnOnce(&mut BytesMut) -> Result<(), PacketError>,
    ) -> Result<(), SealError> {
        if !self.0.count() {
            return Err(SealError::Exhausted);
        }
        let start = out.len();
        out.extend_from_slice(&nonce);
        let sealed = write(out).ok().and_then(|()| {
            let plaintext = &mut out[start + PACKET_NONCE_BYTES..];
            self.0.cipher.seal(nonce, plaintext)
        });
        match sealed {
            Some(tag) => {
                out.extend_from_slice(&tag);
                Ok(())
            }
            None => {
                out.truncate(start);
                Err(SealError::TooLong)
            }
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealer(redacted)")
    }
}

fn random_nonce() -> [u8; PACKET_NONCE_BYTES] {
    let mut nonce = [0; PACKET_NONCE_BYTES];
    rand::rng().fill_bytes(&mut nonce);
    nonce
}

/// The half of a session's cipher that opens what the peer sends.
pub struct Opener(Arc<CountedKey>);

impl Opener {
    /// Decrypts a packet where it stands and gives the part that is the plaintext.
    ///
    /// # Errors
    /// [`OpenError`]; each one ends the session.
    pub fn open<'a>(&mut self, message: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        if message.len() < PACKET_OVERHEAD_BYTES {
            return Err(OpenError::TooShort);
        }
        if !self.0.count() {
            return Err(OpenError::Exhausted);
        }
        let (nonce, rest) = message
            .split_first_chunk_mut::<PACKET_NONCE_BYTES>()
            .ok_or(OpenError::TooShort)?;
        self.0.cipher.open(*nonce, rest).ok_or(OpenError::Forged)
    }

    /// How many packets the key has protected, both directions together.
    pub fn packets_used(&self) -> u64 {
        self.0.packets()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Opener(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Payload;
    use crate::status::Status;

    fn response() -> Response<'static> {
        Response {
            seq: 7,
            status: Status::Ok,
            message: None,
            payload: Payload::None,
        }
    }

    fn key() -> SessionKey {
        let mut bytes = [0; SESSION_KEY_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        SessionKey::from_bytes(bytes)
    }

    fn set_packets(sealer: &Sealer, packets: u64) {
        sealer.0.packets.store(packets, Ordering::Relaxed);
    }

    #[test]
    fn both_halves_count_into_one_counter() {
        let (mut sealer, mut opener) = key().cipher();
        let mut packet = BytesMut::new();
        assert_eq!(sealer.packets_used(), 0);
        sealer.seal_response(&response(), &mut packet).unwrap();
        opener.open(&mut packet).unwrap();
        assert_eq!(sealer.packets_used(), 2);
        assert_eq!(opener.packets_used(), 2);
    }

    #[test]
    fn a_key_seals_its_last_packet_and_not_one_more() {
        let (mut sealer, opener) = key().cipher();
        let mut out = BytesMut::from("before");
        set_packets(&sealer, MAX_PACKETS_PER_KEY - 1);
        sealer.seal_response(&response(), &mut out).unwrap();
        let length = out.len();
        for _ in 0..3 {
            let result = sealer.seal_response(&response(), &mut out);
            assert_eq!(result, Err(SealError::Exhausted));
        }
        assert_eq!(out.len(), length);
        assert_eq!(sealer.packets_used(), MAX_PACKETS_PER_KEY);
        assert_eq!(opener.packets_used(), MAX_PACKETS_PER_KEY);
    }

    #[test]
    fn a_key_opens_its_last_packet_and_not_one_more() {
        let (mut sealer, mut opener) = key().cipher();
        let mut packet = BytesMut::new();
        sealer.seal_response(&response(), &mut packet).unwrap();
        let mut copy = packet.clone();
        set_packets(&sealer, MAX_PACKETS_PER_KEY - 1);
        opener.open(&mut packet).unwrap();
        assert_eq!(opener.open(&mut copy), Err(OpenError::Exhausted));
    }

    #[test]
    fn a_packet_that_cannot_be_written_leaves_the_buffer_as_it_was() {
        let (mut sealer, _) = key().cipher();
        let mut out = BytesMut::from("before");
        let result = sealer.seal([0; PACKET_NONCE_BYTES], &mut out, |out| {
            out.extend_from_slice(b"half a packet");
            Err(PacketError::TooLong)
        });
        assert_eq!(result, Err(SealError::TooLong));
        assert_eq!(out, "before");
    }
}
