//! AES-256-GCM by ring: assembly for each kind of processor, about twice as fast. ring does not wipe
//! its key schedule; this does (docs/adr/0025).

use std::mem::{self, MaybeUninit};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use crate::limits::{PACKET_NONCE_BYTES, PACKET_TAG_BYTES, SESSION_KEY_BYTES};

/// ring's key as mere memory, so that it may be overwritten while it is still there.
pub(super) struct Aead(Box<MaybeUninit<LessSafeKey>>);

// Else overwriting it would keep something from being dropped.
const _: () = assert!(!mem::needs_drop::<LessSafeKey>());

impl Aead {
    pub(super) fn new(key: &[u8; SESSION_KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has the cipher's length");
        Self(Box::new(MaybeUninit::new(LessSafeKey::new(key))))
    }

    fn key(&self) -> &LessSafeKey {
        // SAFETY: written when it was made, and overwritten only when it is dropped.
        unsafe { self.0.assume_init_ref() }
    }

    /// Encrypts in place and gives the tag; `None` when it is too long for the cipher.
    pub(super) fn seal(
        &self,
        nonce: [u8; PACKET_NONCE_BYTES],
        text: &mut [u8],
    ) -> Option<[u8; PACKET_TAG_BYTES]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key()
            .seal_in_place_separate_tag(nonce, Aad::empty(), text)
            .ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts in place what ends with its tag, and gives the part without it; `None` when the tag
    /// does not match.
    pub(super) fn open<'a>(
        &self,
        nonce: [u8; PACKET_NONCE_BYTES],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key().open_in_place(nonce, Aad::empty(), sealed).ok()
    }
}

impl Drop for Aead {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
