//! AES-256-GCM by RustCrypto: Rust alone, and its key schedule is wiped when it is dropped.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};

use crate::limits::{PACKET_NONCE_BYTES, PACKET_TAG_BYTES, SESSION_KEY_BYTES};

pub(super) struct Aead(Aes256Gcm);

impl Aead {
    pub(super) fn new(key: &[u8; SESSION_KEY_BYTES]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Encrypts in place and gives the tag; `None` when it is too long for the cipher.
    pub(super) fn seal(
        &self,
        nonce: [u8; PACKET_NONCE_BYTES],
        text: &mut [u8],
    ) -> Option<[u8; PACKET_TAG_BYTES]> {
        let tag = self
            .0
            .encrypt_inout_detached(&Nonce::from(nonce), &[], text.into());
        tag.ok().map(Into::into)
    }

    /// Decrypts in place what ends with its tag, and gives the part without it; `None` when the tag
    /// does not match.
    pub(super) fn open<'a>(
        &self,
        nonce: [u8; PACKET_NONCE_BYTES],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let (text, tag) = sealed.split_last_chunk_mut::<PACKET_TAG_BYTES>()?;
        let nonce = Nonce::from(nonce);
        self.0
            .decrypt_inout_detached(&nonce, &[], (&mut *text).into(), &Tag::from(*tag))
            .ok()?;
        Some(text)
    }
}
