//! The server's identity: the Ed25519 key that signs the handshake (docs/protocol.md, section 2).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::limits::{IDENTITY_KEY_BYTES, SIGNATURE_BYTES};
use crate::random;

/// People copy base64 with and without its padding: both are read.
const LENIENT_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Why something is no identity key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdentityKeyError {
    /// The text is neither 64 hex digits nor base64.
    #[error("an identity key is written as 64 hex digits or as base64")]
    Text,
    /// The key is not 32 bytes long.
    #[error("an identity key is {IDENTITY_KEY_BYTES} bytes long, this one is {0}")]
    Length(usize),
    /// The bytes are not the one encoding of a point on the curve (RFC 8032, section 5.1.3).
    #[error("these bytes are no Ed25519 public key")]
    NotAKey,
    /// The key has small order: signatures that verify under it can be made without its owner.
    #[error("this Ed25519 public key has small order and proves nothing")]
    SmallOrder,
}

/// The public identity key of a server: clients pin it.
///
/// It is written as hex by `Display`, and read from hex, or from base64 of either alphabet, padded
/// or not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdentityPublicKey(VerifyingKey);

impl IdentityPublicKey {
    /// Takes the 32 bytes of a key.
    ///
    /// # Errors
    /// When the length is wrong, the encoding is not canonical, or the point has small order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityKeyError> {
        let array: &[u8; IDENTITY_KEY_BYTES] = bytes
            .try_into()
            .map_err(|_| IdentityKeyError::Length(bytes.len()))?;
        let key = VerifyingKey::from_bytes(array).map_err(|_| IdentityKeyError::NotAKey)?;
        // Decompression takes encodings that are not reduced modulo p; only the canonical one
        // comes back out.
        if key.to_edwards().compress().as_bytes() != array {
            return Err(IdentityKeyError::NotAKey);
        }
        if key.is_weak() {
            return Err(IdentityKeyError::SmallOrder);
        }
        Ok(Self(key))
    }

    /// The 32 bytes of the key.
    pub fn to_bytes(&self) -> [u8; IDENTITY_KEY_BYTES] {
        self.0.to_bytes()
    }

    /// Whether the signature over the message is this identity's, by the strict rules.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl FromStr for IdentityPublicKey {
    type Err = IdentityKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        // No base64 of 32 bytes is 64 characters long, so the length tells the two apart.
        let bytes = if text.len() == 2 * IDENTITY_KEY_BYTES {
            hex::decode(text).map_err(|_| IdentityKeyError::Text)?
        } else {
            [STANDARD, URL_SAFE]
                .iter()
                .find_map(|alphabet| {
                    let engine = GeneralPurpose::new(alphabet, LENIENT_PADDING);
                    engine.decode(text).ok()
                })
                .ok_or(IdentityKeyError::Text)?
        };
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for IdentityPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for IdentityPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IdentityPublicKey({self})")
    }
}

/// The private identity key of a server, wiped when dropped.
#[derive(Clone)]
pub struct IdentityKeyPair(SigningKey);

impl IdentityKeyPair {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Self {
        Self(SigningKey::generate(&mut random::system()))
    }

    /// The key pair of a private seed of 32 bytes (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: &[u8; IDENTITY_KEY_BYTES]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The secret seed, for the file that keeps it.
    pub fn seed(&self) -> Zeroizing<[u8; IDENTITY_KEY_BYTES]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key that clients pin.
    pub fn public(&self) -> IdentityPublicKey {
        IdentityPublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for IdentityKeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IdentityKeyPair(public: {})", self.public())
    }
}
