//! The manifest: what a publisher says about one file of one release.

use rmp::encode::{self, ByteBuf};
use thiserror::Error;

use super::file_name::{FileNameError, check_file_name};
use crate::limits::{MAX_MANIFEST_BYTES, MAX_MANIFEST_TEXT_BYTES, SHA256_BYTES};
use crate::version;
use crate::wire::{self, PacketError, keep};

/// Why something is no manifest, or not one to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// The manifest or its signature is not base64.
    #[error("the header is not base64")]
    NotBase64,
    /// There are more bytes than a manifest may have.
    #[error("the manifest is longer than {MAX_MANIFEST_BYTES} bytes")]
    TooLong,
    /// The signature is of another length, or no trusted key made it.
    #[error("no trusted key made the signature")]
    Signature,
    /// The bytes are not the MessagePack of a manifest.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A value is not what it should be.
    #[error("the manifest's `{0}` is not {1}")]
    Value(&'static str, &'static str),
    /// The file's name is not one to be given to a file.
    #[error("the manifest's file name {0}")]
    FileName(#[from] FileNameError),
}

/// What a publisher says about one file (docs/protocol.md, section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The product's id.
    pub product: String,
    /// The version that the file brings, by semantic versioning.
    pub version: String,
    /// The system that it is for, such as `linux-x86_64`.
    pub platform: String,
    /// The name that the file is to have; it satisfies [`check_file_name`].
    pub file_name: String,
    /// The file's size, in bytes; at least 1.
    pub size: u64,
    /// The SHA-256 of the file.
    pub sha256: [u8; SHA256_BYTES],
}

impl Manifest {
    /// The MessagePack of the manifest.
    ///
    /// # Errors
    /// When a value is not what [`Manifest::decode`] takes.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let mut out = ByteBuf::new();
        // Writing into memory cannot fail.
        let _ = encode::write_map_len(&mut out, 6);
        for (key, text) in [
            ("product", &self.product),
            ("version", &self.version),
            ("platform", &self.platform),
            ("filename", &self.file_name),
        ] {
            let _ = encode::write_str(&mut out, key);
            let _ = encode::write_str(&mut out, text);
        }
        let _ = encode::write_str(&mut out, "size");
        let _ = encode::write_uint(&mut out, self.size);
        let _ = encode::write_str(&mut out, "sha256");
        let _ = encode::write_bin(&mut out, &self.sha256);
        Ok(out.into_vec())
    }

    /// Reads a manifest. Keys that it does not know are passed over.
    ///
    /// # Errors
    /// When the bytes are too many or no manifest, or a value in it is not what it should be.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLong);
        }
        wire::validate(bytes)?;
        let (mut product, mut version, mut platform, mut file_name) = (None, None, None, None);
        let (mut size, mut sha256) = (None, None);
        let mut input = bytes;
        wire::read_map(&mut input, |key, input| match key {
            b"product" => keep(&mut product, "product", wire::read_str(input, "product")?),
            b"version" => keep(&mut version, "version", wire::read_str(input, "version")?),
            b"platform" => keep(
                &mut platform,
                "platform",
                wire::read_str(input, "platform")?,
            ),
            b"filename" => keep(
                &mut file_name,
                "filename",
                wire::read_str(input, "filename")?,
            ),
            b"size" => keep(&mut size, "size", wire::read_u64(input, "size")?),
            b"sha256" => keep(&mut sha256, "sha256", wire::read_bin(input, "sha256")?),
            _ => Ok(false),
        })?;
        wire::end(input)?;
        let missing = PacketError::Missing;
        let manifest = Self {
            product: product.ok_or(missing("product"))?.to_owned(),
            version: version.ok_or(missing("version"))?.to_owned(),
            platform: platform.ok_or(missing("platform"))?.to_owned(),
            file_name: file_name.ok_or(missing("filename"))?.to_owned(),
            size: size.ok_or(missing("size"))?,
            sha256: sha256
                .ok_or(missing("sha256"))?
                .try_into()
                .map_err(|_| ManifestError::Value("sha256", "32 bytes long"))?,
        };
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let text = "a text of 1 to 128 bytes without control characters";
        if self.product.is_empty()
            || self.product.len() > MAX_MANIFEST_TEXT_BYTES
            || self.product.contains(char::is_control)
        {
            return Err(ManifestError::Value("product", text));
        }
        if version::parse(&self.version).is_none() {
            return Err(ManifestError::Value("version", "a version such as 7.1.0"));
        }
        check_platform(&self.platform)?;
        if self.size == 0 {
            return Err(ManifestError::Value("size", "more than zero"));
        }
        Ok(check_file_name(&self.file_name)?)
    }
}

/// Checks the name of a platform: at most 128 lower-case letters, digits, `_`, `-` and `.`, such
/// as `linux-x86_64`, `windows-aarch64` or `macos-aarch64`.
///
/// # Errors
/// [`ManifestError::Value`] for `platform`.
pub fn check_platform(platform: &str) -> Result<(), ManifestError> {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.')
    };
    if platform.is_empty()
        || platform.len() > MAX_MANIFEST_TEXT_BYTES
        || !platform.bytes().all(allowed)
    {
        return Err(ManifestError::Value(
            "platform",
            "a name such as linux-x86_64",
        ));
    }
    Ok(())
}
