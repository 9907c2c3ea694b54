//! Updates as the host sees them.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Cancellation, Configuration, Failure};
use crate::error::{Error, Result};

/// A file that has passed every check.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Update {
    /// Where the file is.
    pub path: String,
    /// The version that it brings.
    pub version: String,
    /// The name that the vendor gave to the file.
    pub file_name: String,
    /// Its size in bytes.
    pub size: u64,
}

impl From<crate::Update> for Update {
    fn from(update: crate::Update) -> Self {
        Self {
            path: update.path.to_string_lossy().into_owned(),
            version: update.version,
            file_name: update.file_name,
            size: update.size,
        }
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct UpdateProgress {
    /// The bytes of the file that are here, those of earlier runs included.
    pub bytes: u64,
    /// The size of the file in bytes, as it was signed.
    pub total: u64,
    /// The bytes that came per second, over the last seconds.
    pub bytes_per_second: u64,
}

impl From<crate::UpdateProgress> for UpdateProgress {
    fn from(progress: crate::UpdateProgress) -> Self {
        Self {
            bytes: progress.bytes,
            total: progress.total,
            bytes_per_second: progress.bytes_per_second,
        }
    }
}

/// A download under way; dropping the last reference cancels it. What has come stays in the target
/// folder, and the next download goes on there.
#[derive(Debug, uniffi::Object)]
pub struct UpdateDownload {
    download: crate::UpdateDownload,
    progress: Mutex<crate::ProgressStream>,
}

#[uniffi::export]
impl UpdateDownload {
    /// Begins to download the newest version of the product for this system.
    ///
    /// Fails with `InvalidConfiguration`, `Forked` or `ShutDown`; everything else is told by
    /// `finish`.
    #[uniffi::constructor]
    pub fn start(
        configuration: Configuration,
        target_folder: String,
    ) -> Result<Arc<Self>, Failure> {
        let download = crate::download_update(configuration.try_into()?, target_folder)?;
        let progress = Mutex::new(download.progress());
        Ok(Arc::new(Self { download, progress }))
    }

    /// The progress at the first call, once there is any, then each change; `None` when the
    /// download is over, well or not. A slow reader misses what lies in between.
    ///
    /// Fails with `Cancelled` only, by `cancellation`, which leaves the download as it is.
    pub async fn next_progress(
        &self,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Option<UpdateProgress>, Failure> {
        let next = async { self.progress.lock().await.next().await };
        let next = Cancellation::unless_cancelled(cancellation, next).await;
        Ok(next.ok_or(CANCELLED)?.map(Into::into))
    }

    /// Waits for the end of the download and gives the file, which has passed every check.
    ///
    /// Fails with `Update`, with `Connection` when the server could not be reached again and
    /// again, and with `Cancelled`: by `cancel`, or by `cancellation`, which leaves the download as
    /// it is.
    pub async fn finish(&self, cancellation: Option<Arc<Cancellation>>) -> Result<Update, Failure> {
        let finish = Cancellation::unless_cancelled(cancellation, self.download.finish());
        Ok(finish.await.ok_or(CANCELLED)??.into())
    }

    /// Ends the download; what has come stays for the next one.
    pub fn cancel(&self) {
        self.download.cancel();
    }
}

const CANCELLED: Error = Error::Cancelled {
    maybe_executed: false,
};

/// Checks a file that came in another way, by its manifest and the signature over it (the bytes,
/// without base64): the signature, product and platform, that the version is newer than the running
/// one, the size and the SHA-256.
///
/// Fails with `Update` and the first thing that is wrong, or with `InvalidConfiguration`.
#[uniffi::export]
pub async fn verify_update(
    configuration: Configuration,
    file: String,
    manifest: Vec<u8>,
    signature: Vec<u8>,
) -> Result<Update, Failure> {
    let config = configuration.try_into()?;
    let update = crate::verify_update(config, file, &manifest, &signature).await?;
    Ok(update.into())
}
