//! The download itself: attempt after attempt until the file is here, whole and checked.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_RANGE, RETRY_AFTER};
use http_content_range::ContentRange;
use skyline_protocol::update::{MANIFEST_HEADER, Manifest};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::folder;
use super::request::{self, Answer, Have};
use super::slot::{LOCK_RETRY, Resume, Slot};
use super::teller::{PACE, Teller};
use super::trust::{self, Trust};
use super::verify;
use crate::config::ClientConfig;
use crate::error::{Error, Result};
use crate::runtime;
use crate::session::backoff::Backoff;
use crate::update::{Update, UpdateFailure};

/// How often the file, or the part of it that is sent, may turn out not to be that of the partial
/// file: a release that is replaced while it is downloaded is one, and nobody replaces several in
/// one download.
const MAX_CHANGES: u32 = 3;

/// Bytes that are gathered before they are written: few calls into the system, and little lost by
/// a kill.
const WRITE_BYTES: usize = 256 << 10;

/// The longest time for which bytes wait to be written: what a kill may cost on a slow line.
const WRITE_PACE: Duration = Duration::from_secs(1);

/// The longest wait that a server may ask for before the next attempt; it would be a denial of
/// updates else.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10 * 60);

/// One download, from its first request to the file under its final name.
pub(super) struct Download {
    config: ClientConfig,
    url: Url,
    trust: Trust,
    folder: PathBuf,
    cancelled: CancellationToken,
    teller: Teller,
    /// Whether bytes of an earlier run are used: if the whole turns out wrong, they are suspected
    /// first.
    inherited: bool,
    changes: u32,
    /// The most bytes of the present file that any attempt had: more of them is progress.
    most: u64,
}

/// Why an attempt is over.
enum Stop {
    /// Nothing will help.
    Refused(Error),
    /// Another attempt may help, not before so long.
    Later(Error, Duration),
    /// The file is to be had from the beginning, at once.
    Again,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Connection { .. } => Self::Later(error, Duration::ZERO),
            error => Self::Refused(error),
        }
    }
}

impl Download {
    pub(super) fn new(
        config: ClientConfig,
        url: Url,
        trust: Trust,
        folder: PathBuf,
        cancelled: CancellationToken,
        teller: Teller,
    ) -> Self {
        Self {
            config,
            url,
            trust,
            folder,
            cancelled,
            teller,
            inherited: false,
            changes: 0,
            most: 0,
        }
    }

    /// Downloads the file.
    ///
    /// # Errors
    ///
    /// [`Error::Update`], [`Error::Connection`] when no attempt gets on, [`Error::Cancelled`].
    pub(super) async fn run(mut self) -> Result<Update> {
        let slot = self.lock().await?;
        let mut backoff = Backoff::new(self.config.reconnect, rand::make_rng());
        let resume = self.resume(&slot).await?;
        self.inherited = resume.is_some_and(|resume| resume.bytes > 0);
        // Attempts in a row without progress.
        let mut failures = 0;
        loop {
            let before = self.most;
            let (error, at_least) = match self.attempt(&slot).await {
                Ok(update) => return Ok(update),
                Err(Stop::Refused(error)) => return Err(error),
                Err(Stop::Again) => continue,
                Err(Stop::Later(error, at_least)) => (error, at_least),
            };
            if self.most > before {
                failures = 0;
                backoff.reset();
            } else {
                failures += 1;
            }
            if failures >= self.config.update.attempts {
                return Err(error);
            }
            let (_, delay) = backoff.next(at_least);
            tracing::info!(%error, ?delay, "the download goes on after a while");
            self.unless_cancelled(tokio::time::sleep(delay)).await?;
        }
    }

    /// Waits for other downloads of this product into this folder: after them the file is there.
    async fn lock(&self) -> Result<Arc<Slot>> {
        let (folder, product) = (self.folder.clone(), self.config.product_id.clone());
        let slot = runtime::blocking(move || Slot::open(&folder, &product)).await?;
        let slot = Arc::new(slot);
        // On a network's file system even asking for a lock takes a while.
        while !on(&slot, Slot::try_lock).await? {
            self.unless_cancelled(tokio::time::sleep(LOCK_RETRY))
                .await?;
        }
        Ok(slot)
    }

    async fn resume(&self, slot: &Arc<Slot>) -> Result<Option<Resume>> {
        let trust = self.trust.clone();
        on(slot, move |slot| slot.resume(&trust)).await
    }

    async fn attempt(&mut self, slot: &Arc<Slot>) -> Result<Update, Stop> {
        let resume = self.resume(slot).await?;
        if let Some(resume) = &resume {
            self.teller.tell_now(resume.bytes, resume.manifest.size);
            if resume.bytes == resume.manifest.size {
                return self.complete(slot, resume.manifest.clone()).await;
            }
        }
        let have = resume.as_ref().and_then(|resume| {
            let etag = resume.etag.clone().filter(|_| resume.bytes > 0)?;
            let bytes = resume.bytes;
            Some(Have { bytes, etag })
        });
        let request = request::get(&self.config, &self.url, have.as_ref());
        let answer = self.unless_cancelled(request).await??;
        let (manifest, begin) = match (answer.status, resume, have) {
            (StatusCode::OK, resume, _) => match self.begin(slot, &answer, resume).await? {
                Begun::Here(update) => return Ok(update),
                Begun::Empty(manifest) => (manifest, 0),
            },
            (StatusCode::PARTIAL_CONTENT, Some(resume), Some(have)) => {
                if let Err(why) = goes_on(&answer, &resume, &have) {
                    return Err(self.discard(slot, why).await);
                }
                let missing = resume.manifest.size - resume.bytes;
                on(slot, move |slot| slot.check_space(missing)).await?;
                (resume.manifest, resume.bytes)
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, _, Some(_)) => {
                let why = UpdateFailure::Changed.with("it is shorter than the partial file");
                return Err(self.discard(slot, why).await);
            }
            (status, ..) => return Err(self.declined(status, &answer)),
        };
        self.receive(slot, &manifest, answer, begin).await?;
        self.complete(slot, manifest).await
    }

    /// Takes a whole file's answer: checks what it says of the file, and makes room for it.
    async fn begin(
        &mut self,
        slot: &Arc<Slot>,
        answer: &Answer,
        resume: Option<Resume>,
    ) -> Result<Begun, Stop> {
        let (signed, manifest) = self.trust.check_headers(&answer.headers)?;
        let etag = answer.strong_etag();
        let length = answer.length()?;
        if length.is_some_and(|length| length != manifest.size) {
            let detail = format!("{length:?} bytes are sent instead of {}", manifest.size);
            return Err(UpdateFailure::Size.with(detail).into());
        }
        let replaced = resume.is_some_and(|resume| resume.signed != signed || resume.etag != etag);
        if replaced {
            self.changed(UpdateFailure::Changed.with("it is another one than before"))?;
        }
        let (place, wanted) = (slot.destination(&manifest), manifest.clone());
        let go_on = self.go_on();
        let here = on(slot, move |slot| {
            // An earlier download may have brought it, or another one while this one waited.
            if folder::is_file(&place) && verify::file(&place, &wanted, &go_on).is_ok() {
                slot.discard()?;
                return Ok(true);
            }
            go_on()?;
            slot.begin(&signed, etag.as_deref())?;
            slot.check_space(wanted.size)?;
            Ok(false)
        })
        .await?;
        self.inherited = false;
        if here {
            self.teller.tell_now(manifest.size, manifest.size);
            return Ok(Begun::Here(Update::new(
                slot.destination(&manifest),
                &manifest,
            )));
        }
        tracing::info!(
            version = manifest.version,
            size = manifest.size,
            "an update is downloaded"
        );
        Ok(Begun::Empty(manifest))
    }

    /// Writes the body behind the first `begin` bytes. When this returns an error, what had come is
    /// on the disk, unless it is of no use.
    async fn receive(
        &mut self,
        slot: &Arc<Slot>,
        manifest: &Manifest,
        mut answer: Answer,
        begin: u64,
    ) -> Result<(), Stop> {
        let ends_with_connection = answer.ends_with_connection();
        let mut writer = Writer {
            slot,
            at: begin,
            waiting: Vec::new(),
            written: Instant::now(),
        };
        loop {
            let ended = match self.next(&mut answer, &mut writer, manifest.size).await {
                Ok(Some(bytes)) => {
                    if bytes.len() as u64 > manifest.size - writer.end() {
                        on(slot, Slot::discard).await?;
                        let detail = format!("more than {} bytes are sent", manifest.size);
                        return Err(UpdateFailure::Size.with(detail).into());
                    }
                    writer.take(&bytes).await?;
                    self.teller.received(bytes.len());
                    self.teller.tell(writer.end(), manifest.size);
                    None
                }
                Ok(None) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            };
            self.most = self.most.max(writer.end());
            if let Some(ended) = ended {
                writer.flush().await?;
                self.teller.tell_now(writer.at, manifest.size);
                ended?;
                break;
            }
        }
        if writer.at < manifest.size {
            let detail = format!("{} bytes are sent instead of {}", writer.at, manifest.size);
            let error = UpdateFailure::Size.with(detail);
            if ends_with_connection {
                // Such a body looks whole when the connection breaks.
                return Err(Stop::Later(error, Duration::ZERO));
            }
            on(slot, Slot::discard).await?;
            return Err(error.into());
        }
        Ok(())
    }

    /// The next part of the body. While there is none, what has come is written, and the progress
    /// goes on being told.
    async fn next(
        &mut self,
        answer: &mut Answer,
        writer: &mut Writer<'_>,
        size: u64,
    ) -> Result<Option<Bytes>> {
        let cancelled = self.cancelled.clone();
        let mut next = pin!(cancelled.run_until_cancelled(answer.next()));
        loop {
            tokio::select! {
                biased;
                next = next.as_mut() => return next.unwrap_or(Err(CANCELLED)),
                () = tokio::time::sleep(PACE) => {
                    writer.flush().await?;
                    self.teller.tell_now(writer.at, size);
                }
            }
        }
    }

    /// Checks the whole file and gives it its name.
    async fn complete(&mut self, slot: &Arc<Slot>, manifest: Manifest) -> Result<Update, Stop> {
        let (go_on, wanted) = (self.go_on(), manifest.clone());
        let completed = on(slot, move |slot| {
            let completed = slot.complete(&wanted, &go_on);
            if matches!(
                completed,
                Err(Error::Update {
                    failure: UpdateFailure::Hash | UpdateFailure::Size,
                    ..
                })
            ) {
                slot.discard()?;
            }
            completed
        })
        .await;
        match completed {
            Ok(path) => {
                tracing::info!(path = %path.display(), "an update is complete");
                Ok(Update::new(path, &manifest))
            }
            Err(Error::Update {
                failure: UpdateFailure::Hash,
                ..
            }) if self.inherited => {
                tracing::warn!("what an earlier download has left is damaged; it starts again");
                self.inherited = false;
                self.most = 0;
                Err(Stop::Again)
            }
            Err(error) => Err(Stop::Refused(error)),
        }
    }

    /// Throws the partial file away, to which the answer does not fit: otherwise every later
    /// download would ask for the same part again.
    async fn discard(&mut self, slot: &Arc<Slot>, why: Error) -> Stop {
        let discarded = on(slot, Slot::discard).await;
        match discarded.and_then(|()| self.changed(why)) {
            Ok(()) => Stop::Again,
            Err(error) => Stop::Refused(error),
        }
    }

    /// Counts a beginning from zero; `why` is the error when there were too many.
    fn changed(&mut self, why: Error) -> Result<()> {
        tracing::info!(%why, "the update is downloaded from its beginning");
        self.changes += 1;
        self.most = 0;
        if self.changes > MAX_CHANGES {
            return Err(why);
        }
        Ok(())
    }

    /// What an answer without a file means.
    fn declined(&self, status: StatusCode, answer: &Answer) -> Stop {
        let told = format!("HTTP status {status}");
        match status {
            StatusCode::NO_CONTENT => {
                let running = &self.config.product_version;
                let detail = format!("the server has none that is newer than {running}");
                UpdateFailure::NotNewer.with(detail).into()
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => UpdateFailure::NotFound.with(told).into(),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Stop::Later(UpdateFailure::Http.with(told), retry_after(answer))
            }
            status if status.is_server_error() => {
                Stop::Later(UpdateFailure::Http.with(told), retry_after(answer))
            }
            _ => UpdateFailure::Http.with(told).into(),
        }
    }

    async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let done = self.cancelled.run_until_cancelled(work).await;
        done.ok_or(CANCELLED)
    }

    /// For work on a thread of its own, which nobody can drop.
    fn go_on(&self) -> impl Fn() -> Result<()> + Send + 'static {
        let cancelled = self.cancelled.clone();
        move || {
            if cancelled.is_cancelled() {
                Err(CANCELLED)
            } else {
                Ok(())
            }
        }
    }
}

const CANCELLED: Error = Error::Cancelled {
    maybe_executed: false,
};

/// What a whole file's answer leads to.
enum Begun {
    /// The file is here already.
    Here(Update),
    /// An empty partial file waits for the body.
    Empty(Manifest),
}

/// Checks that a part of a file is that which is missing, of the same file.
///
/// # Errors
///
/// What does not fit; nothing of it is a reason to refuse the whole file.
fn goes_on(answer: &Answer, resume: &Resume, have: &Have) -> Result<()> {
    let range = answer.headers.get(CONTENT_RANGE);
    let range = range.and_then(|range| ContentRange::parse_bytes(range.as_bytes()));
    let Some(ContentRange::Bytes(range)) = range else {
        return Err(UpdateFailure::Http.with("it does not say which part of the file it sends"));
    };
    if range.first_byte != have.bytes {
        return Err(UpdateFailure::Http.with("it sends another part of the file than asked for"));
    }
    // A part need not repeat the manifest (RFC 9110, section 15.3.7); if it does, it is the same.
    let same_manifest = !answer.headers.contains_key(MANIFEST_HEADER)
        || trust::signed_manifest(&answer.headers)? == resume.signed;
    let same = same_manifest
        && range.complete_length == resume.manifest.size
        && answer.strong_etag().as_ref() == Some(&have.etag);
    if !same {
        return Err(UpdateFailure::Changed.with("it sends a part of another file than before"));
    }
    let missing = resume.manifest.size - have.bytes;
    match answer.length()? {
        Some(length) if length != missing => {
            let detail = format!("{length} bytes are sent instead of {missing}");
            Err(UpdateFailure::Size.with(detail))
        }
        _ => Ok(()),
    }
}

fn retry_after(answer: &Answer) -> Duration {
    let value = answer.headers.get(RETRY_AFTER);
    let seconds = value.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(MAX_RETRY_AFTER)
}

/// Does work with the slot on a thread where it may block. The lock is held until the work is done,
/// even if nobody waits for it any more.
async fn on<T: Send + 'static>(
    slot: &Arc<Slot>,
    work: impl FnOnce(&Slot) -> Result<T> + Send + 'static,
) -> Result<T> {
    let slot = slot.clone();
    runtime::blocking(move || work(&slot)).await
}

/// Gathers the body and writes it in large parts.
struct Writer<'a> {
    slot: &'a Arc<Slot>,
    /// How much of the file is on the disk.
    at: u64,
    waiting: Vec<u8>,
    written: Instant,
}

impl Writer<'_> {
    /// How much of the file is here.
    fn end(&self) -> u64 {
        self.at + self.waiting.len() as u64
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= WRITE_BYTES || self.written.elapsed() >= WRITE_PACE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let (at, bytes) = (self.at, std::mem::take(&mut self.waiting));
        let written = on(self.slot, move |slot| {
            slot.write(at, &bytes)?;
            Ok(bytes)
        });
        self.waiting = written.await?;
        self.at += self.waiting.len() as u64;
        self.waiting.clear();
        self.written = Instant::now();
        Ok(())
    }
}
