//! Which manifests this client believes, checked in the order of docs/protocol.md, section 8.

use http::HeaderMap;
use http::header::CONTENT_DISPOSITION;
use skyline_protocol::identity::IdentityPublicKey;
use skyline_protocol::update::{
    Disposition, MANIFEST_HEADER, Manifest, ManifestError, SIGNATURE_HEADER, SignedManifest,
};
use skyline_protocol::version::{self, Version};

use crate::config::ClientConfig;
use crate::error::{Error, Result};
use crate::update::UpdateFailure;

/// What an update is measured by.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    keys: Vec<IdentityPublicKey>,
    product: String,
    platform: String,
    running: Version,
    max_bytes: u64,
}

impl Trust {
    /// # Errors
    ///
    /// [`Error::InvalidConfiguration`] when the running version is none that can be compared.
    pub(super) fn new(config: &ClientConfig, platform: &str) -> Result<Self> {
        let running = version::parse(&config.product_version).ok_or_else(|| {
            Error::invalid("product_version", "a version such as 7.0.3, to be updated")
        })?;
        // A separate release key takes the right to sign releases away from the servers' keys.
        let keys = if config.update.release_keys.is_empty() {
            &config.identity_keys
        } else {
            &config.update.release_keys
        };
        Ok(Self {
            keys: keys.clone(),
            product: config.product_id.clone(),
            platform: platform.to_owned(),
            running,
            max_bytes: config.update.max_bytes,
        })
    }

    /// Checks what a response says of the file that it brings.
    ///
    /// # Errors
    ///
    /// [`Error::Update`] with the first thing that is wrong.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(SignedManifest, Manifest)> {
        let signed = signed_manifest(headers)?;
        let manifest = self.check(&signed)?;
        check_disposition(headers, &manifest.file_name)?;
        Ok((signed, manifest))
    }

    /// Checks a manifest, its signature first.
    ///
    /// # Errors
    ///
    /// [`Error::Update`] with the first thing that is wrong.
    pub(super) fn check(&self, signed: &SignedManifest) -> Result<Manifest> {
        let manifest = signed.open(&self.keys).map_err(refused)?;
        if manifest.product != self.product {
            let detail = format!("it is of `{}`, not of `{}`", manifest.product, self.product);
            return Err(UpdateFailure::WrongProduct.with(detail));
        }
        if manifest.platform != self.platform {
            let detail = format!("it is for {}, not for {}", manifest.platform, self.platform);
            return Err(UpdateFailure::WrongPlatform.with(detail));
        }
        let offered = version::parse(&manifest.version);
        if !offered.is_some_and(|offered| version::is_newer(&offered, &self.running)) {
            let detail = format!("{} is offered to {}", manifest.version, self.running);
            return Err(UpdateFailure::NotNewer.with(detail));
        }
        if manifest.size > self.max_bytes {
            let detail = format!("{} bytes of at most {}", manifest.size, self.max_bytes);
            return Err(UpdateFailure::TooLarge.with(detail));
        }
        Ok(manifest)
    }
}

/// The manifest of a response, believed by nobody yet.
///
/// # Errors
///
/// [`Error::Update`] when it is missing, there twice, or no text.
pub(super) fn signed_manifest(headers: &HeaderMap) -> Result<SignedManifest> {
    let only = |name: &'static str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value
                .to_str()
                .map_err(|_| UpdateFailure::ManifestMalformed.with(format!("{name} is no text"))),
            (None, _) => {
                Err(UpdateFailure::SignatureMissing.with(format!("there is no header {name}")))
            }
            (Some(_), Some(_)) => {
                Err(UpdateFailure::ManifestMalformed.with(format!("{name} is there twice")))
            }
        }
    };
    let (manifest, signature) = (only(MANIFEST_HEADER)?, only(SIGNATURE_HEADER)?);
    SignedManifest::from_headers(manifest, signature).map_err(refused)
}

fn refused(error: ManifestError) -> Error {
    let failure = match error {
        ManifestError::Signature => UpdateFailure::SignatureWrong,
        ManifestError::FileName(_) => UpdateFailure::FileName,
        _ => UpdateFailure::ManifestMalformed,
    };
    failure.with(error)
}

/// Content-Disposition must name the file as the manifest does.
fn check_disposition(headers: &HeaderMap, file_name: &str) -> Result<()> {
    let refused = |why: &dyn std::fmt::Display| UpdateFailure::FileName.with(why);
    let mut values = headers.get_all(CONTENT_DISPOSITION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused(&"the answer has not one Content-Disposition"));
    };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| refused(&"Content-Disposition is no text"))?;
    let disposition = Disposition::parse(text).map_err(|error| refused(&error))?;
    if disposition.agrees_with(file_name) {
        Ok(())
    } else {
        Err(refused(
            &"Content-Disposition says another name than the manifest",
        ))
    }
}
