//! What downloads and checks updates.

mod download;
mod folder;
mod request;
mod slot;
mod source;
mod teller;
mod trust;
mod verify;

use std::fmt;
use std::path::PathBuf;

use skyline_protocol::update::{Manifest, SignedManifest, this_platform};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::download::Download;
use self::teller::Teller;
use self::trust::Trust;
use crate::config::ClientConfig;
use crate::error::{Error, Result};
use crate::runtime;
use crate::update::{Update, UpdateDownload, UpdateFailure};

/// As [`download_update`](super::download_update).
pub(super) fn begin(config: ClientConfig, target_folder: PathBuf) -> Result<UpdateDownload> {
    let server = config.validate()?;
    let runtime = runtime::choose(config.runtime.as_ref())?;
    let platform = this_platform();
    let url = source::of(&config, &server, &platform)?;
    let trust = Trust::new(&config, &platform)?;
    let (progress_sender, progress) = watch::channel(None);
    let (outcome_sender, outcome) = watch::channel(None);
    let cancelled = CancellationToken::new();
    let download = Download::new(
        config,
        url,
        trust,
        target_folder,
        cancelled.clone(),
        Teller::new(progress_sender),
    );
    runtime.spawn(async move {
        let outcome = download.run().await;
        outcome_sender.send_replace(Some(outcome));
    });
    Ok(UpdateDownload {
        progress,
        outcome,
        cancelled,
    })
}

/// As [`verify_update`](super::verify_update).
pub(super) async fn verify(
    config: ClientConfig,
    path: PathBuf,
    manifest: &[u8],
    signature: &[u8],
) -> Result<Update> {
    config.validate()?;
    let trust = Trust::new(&config, &this_platform())?;
    let signed = SignedManifest::from_bytes(manifest.to_vec(), signature.to_vec());
    let cancelled = CancellationToken::new();
    // Dropping this future ends the reading of a large file.
    let _guard = cancelled.clone().drop_guard();
    let runtime = runtime::choose(config.runtime.as_ref())?;
    runtime::run(
        &runtime,
        runtime::blocking(move || {
            let manifest = trust.check(&signed)?;
            verify::file(&path, &manifest, &|| match cancelled.is_cancelled() {
                true => Err(Error::Cancelled {
                    maybe_executed: false,
                }),
                false => Ok(()),
            })?;
            Ok(Update::new(path, &manifest))
        }),
    )
    .await
}

impl Update {
    fn new(path: PathBuf, manifest: &Manifest) -> Self {
        Self {
            path,
            version: manifest.version.clone(),
            file_name: manifest.file_name.clone(),
            size: manifest.size,
        }
    }
}

impl UpdateFailure {
    /// The error of this failure with its particulars.
    pub(crate) fn with(self, detail: impl fmt::Display) -> Error {
        Error::Update {
            failure: self,
            detail: detail.to_string(),
        }
    }
}
