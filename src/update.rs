//! A verified download of a new version of the product (docs/protocol.md, section 8).
//!
//! It needs no connected client: [`Error::OutdatedVersion`] is the
//! usual reason for it. The manifest comes first and is checked before a byte of the file is kept;
//! the file gets its name when everything about it has been checked.

#[cfg(not(feature = "update"))]
mod absent;
mod address;
mod failure;
mod progress;
mod settings;
#[cfg(feature = "update")]
mod updater;

use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[cfg(not(feature = "update"))]
use self::absent as updater;
pub use self::failure::UpdateFailure;
pub use self::progress::{ProgressStream, UpdateProgress};
pub use self::settings::UpdateConfig;
use crate::config::ClientConfig;
use crate::error::{Error, Result};
use crate::runtime;

/// A file that has passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Where the file is.
    pub path: PathBuf,
    /// The version that it brings.
    pub version: String,
    /// The name that the vendor gave to the file.
    pub file_name: String,
    /// Its size in bytes.
    pub size: u64,
}

type Outcome = Option<Result<Update>>;

/// A download under way. Dropping it cancels the download; what has come stays in the target
/// folder, and the next download goes on there.
#[derive(Debug)]
pub struct UpdateDownload {
    progress: watch::Receiver<Option<UpdateProgress>>,
    outcome: watch::Receiver<Outcome>,
    cancelled: CancellationToken,
}

/// Begins to download the newest version for this product and system into `target_folder`, which
/// is created when absent.
///
/// An interrupted download goes on where it stopped, also after a kill or a reboot, as long as the
/// server still has the same file. A second download of the product into the same folder waits for
/// the first and finds its file. Attempts that fail are repeated with the waits of
/// [`ClientConfig::reconnect`].
///
/// ```no_run
/// # async fn example(config: skyline::ClientConfig) -> skyline::Result<()> {
/// use skyline::{Client, Error, download_update};
///
/// match Client::connect(config.clone()).await {
///     Err(Error::OutdatedVersion { .. }) => {
///         let download = download_update(config, "/home/user/.cache/telepower")?;
///         let mut progress = download.progress();
///         while let Some(progress) = progress.next().await {
///             println!("{} of {} bytes", progress.bytes, progress.total);
///         }
///         println!("install {}", download.finish().await?.path.display());
///     }
///     other => drop(other?),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::InvalidConfiguration`], also in a build without the feature `update`, or that the
/// runtime is not to be had; everything else by [`UpdateDownload::finish`].
pub fn download_update(
    config: ClientConfig,
    target_folder: impl Into<PathBuf>,
) -> Result<UpdateDownload> {
    updater::begin(config, target_folder.into())
}

impl UpdateDownload {
    /// The progress of the download, from the present on. Each stream is read on its own.
    pub fn progress(&self) -> ProgressStream {
        let mut receiver = self.progress.clone();
        receiver.mark_changed();
        ProgressStream::new(receiver)
    }

    /// Waits for the end of the download.
    ///
    /// # Errors
    ///
    /// - [`Error::Update`] when the update is refused or not to be had;
    /// - [`Error::Connection`] when the server could not be reached again and again;
    /// - [`Error::Cancelled`] after [`UpdateDownload::cancel`].
    pub async fn finish(&self) -> Result<Update> {
        let mut outcome = self.outcome.clone();
        let outcome = outcome.wait_for(Option::is_some).await;
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        // Without an outcome the task has panicked, or the application's runtime has ended.
        outcome.unwrap_or(Err(Error::ShutDown {
            maybe_executed: false,
        }))
    }

    /// Ends the download; what has come stays for the next one.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }
}

impl Drop for UpdateDownload {
    fn drop(&mut self) {
        // Cancelling takes a lock that a thread of the parent may have held at the fork.
        if !runtime::is_forked() {
            self.cancelled.cancel();
        }
    }
}

/// Checks a file that came in another way than by [`download_update`], by its manifest and the
/// signature over it (the bytes, without base64): the signature, product and platform, that the
/// version is newer than the running one, the size and the SHA-256.
///
/// # Errors
///
/// [`Error::Update`] with the first thing that is wrong, [`Error::InvalidConfiguration`], also in a
/// build without the feature `update`.
pub async fn verify_update(
    config: ClientConfig,
    file: impl AsRef<Path>,
    manifest: &[u8],
    signature: &[u8],
) -> Result<Update> {
    updater::verify(config, file.as_ref().to_owned(), manifest, signature).await
}
