//! How far a download is, and how fast.

use tokio::sync::watch;

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateProgress {
    /// The bytes of the file that are here, earlier attempts and runs included.
    pub bytes: u64,
    /// The size of the file in bytes, as it was signed.
    pub total: u64,
    /// The bytes that came per second, over the last seconds; those of earlier runs not counted.
    pub bytes_per_second: u64,
}

/// The progress of one download; a slow reader misses what lies in between.
#[derive(Debug, Clone)]
pub struct ProgressStream {
    receiver: watch::Receiver<Option<UpdateProgress>>,
}

impl ProgressStream {
    pub(super) fn new(receiver: watch::Receiver<Option<UpdateProgress>>) -> Self {
        Self { receiver }
    }

    /// The present progress, once there is any, then each change; `None` when the download is
    /// over, well or not: [`UpdateDownload::finish`](super::UpdateDownload::finish) tells.
    pub async fn next(&mut self) -> Option<UpdateProgress> {
        loop {
            self.receiver.changed().await.ok()?;
            if let Some(progress) = *self.receiver.borrow_and_update() {
                return Some(progress);
            }
        }
    }
}
