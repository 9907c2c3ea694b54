//! The manifest with its signature, as the two headers of a response carry them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::manifest::{Manifest, ManifestError};
use crate::identity::{IdentityKeyPair, IdentityPublicKey};
use crate::limits::{MAX_MANIFEST_BYTES, SIGNATURE_BYTES};

/// What stands before the manifest in the signed message, so that no signature made for another
/// purpose by the same key is one of a manifest, or the reverse.
const DOMAIN: &[u8] = b"skyline-update-v1\0";

/// Longest text of a header that is decoded: that of the longest manifest.
const MAX_HEADER_BYTES: usize = MAX_MANIFEST_BYTES.div_ceil(3) * 4;

/// The bytes of a manifest and of the signature over them; nobody has looked at either yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedManifest {
    manifest: Vec<u8>,
    signature: Vec<u8>,
}

impl SignedManifest {
    /// Signs a manifest.
    ///
    /// # Errors
    /// As [`Manifest::encode`].
    pub fn sign(manifest: &Manifest, key: &IdentityKeyPair) -> Result<Self, ManifestError> {
        let manifest = manifest.encode()?;
        let signature = key.sign(&signed_message(&manifest)).to_vec();
        Ok(Self {
            manifest,
            signature,
        })
    }

    /// Takes the bytes of both, as they were stored or sent.
    pub fn from_bytes(manifest: Vec<u8>, signature: Vec<u8>) -> Self {
        Self {
            manifest,
            signature,
        }
    }

    /// Reads the two headers.
    ///
    /// # Errors
    /// [`ManifestError::NotBase64`] and [`ManifestError::TooLong`] for the manifest,
    /// [`ManifestError::Signature`] for a signature that is not base64.
    pub fn from_headers(manifest: &str, signature: &str) -> Result<Self, ManifestError> {
        if manifest.len() > MAX_HEADER_BYTES {
            return Err(ManifestError::TooLong);
        }
        if signature.len() > MAX_HEADER_BYTES {
            return Err(ManifestError::Signature);
        }
        Ok(Self {
            manifest: STANDARD
                .decode(manifest)
                .map_err(|_| ManifestError::NotBase64)?,
            signature: STANDARD
                .decode(signature)
                .map_err(|_| ManifestError::Signature)?,
        })
    }

    /// The text of the header `Skyline-Manifest`.
    pub fn manifest_header(&self) -> String {
        STANDARD.encode(&self.manifest)
    }

    /// The text of the header `Skyline-Signature`.
    pub fn signature_header(&self) -> String {
        STANDARD.encode(&self.signature)
    }

    /// The manifest's bytes.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The manifest, after the signature has been verified: nothing of an unsigned one is looked
    /// at.
    ///
    /// # Errors
    /// [`ManifestError::Signature`] when none of the keys made the signature by the strict rules;
    /// else as [`Manifest::decode`].
    pub fn open(&self, keys: &[IdentityPublicKey]) -> Result<Manifest, ManifestError> {
        if self.manifest.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLong);
        }
        let signature: &[u8; SIGNATURE_BYTES] = self
            .signature
            .as_slice()
            .try_into()
            .map_err(|_| ManifestError::Signature)?;
        let message = signed_message(&self.manifest);
        if !keys.iter().any(|key| key.verifies(&message, signature)) {
            return Err(ManifestError::Signature);
        }
        Manifest::decode(&self.manifest)
    }
}

fn signed_message(manifest: &[u8]) -> Vec<u8> {
    [DOMAIN, manifest].concat()
}
