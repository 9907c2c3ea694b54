//! The place in the target folder where one product's update is gathered.
//!
//! Beside the partial file lies what it is a part of: the signed manifest, which is verified again
//! whenever it is read, and the ETag. A lock file keeps two downloads apart; it stays, since
//! removing it would let two processes lock two different files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use skyline_protocol::update::{Manifest, SignedManifest};

use super::folder;
use super::trust::Trust;
use super::verify;
use crate::error::{Error, Result};
use crate::state;
use crate::update::UpdateFailure;

/// What the first line of the notes says; another layout gets another line.
const HEADER: &str = "skyline-update-v1";

/// Longer notes are none of ours: the longest manifest, its signature and a long ETag.
const MAX_NOTES_BYTES: u64 = 16 << 10;

/// How often a lock that another download holds is tried again: it is held for a whole download.
pub(super) const LOCK_RETRY: Duration = Duration::from_millis(100);

/// The locked place of one product's update. The lock goes with the value.
#[derive(Debug)]
pub(super) struct Slot {
    folder: PathBuf,
    /// The path of the files here without their extensions.
    stem: PathBuf,
    lock: File,
}

/// A partial file and what it is a part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resume {
    pub(super) signed: SignedManifest,
    pub(super) manifest: Manifest,
    /// The strong ETag; without one only the whole file can be asked for.
    pub(super) etag: Option<String>,
    /// The length of the partial file, at most the manifest's size.
    pub(super) bytes: u64,
}

impl Slot {
    /// Opens the place without locking it yet.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::Folder`] when the folder or the lock file cannot be made.
    pub(super) fn open(folder: &Path, product: &str) -> Result<Self> {
        /// 64 bits keep the products of one folder apart.
        const NAME_BYTES: usize = 8;
        let name = hex::encode(&Sha256::digest(product.as_bytes())[..NAME_BYTES]);
        let stem = folder.join(format!(".skyline-update-{name}"));
        state::create_folder(folder).map_err(|error| unusable(folder, &error))?;
        folder::check(folder).map_err(|wrong| UpdateFailure::Folder.with(wrong))?;
        let path = stem.with_extension("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let lock = folder::open(&path, &mut options).map_err(|error| unusable(&path, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            stem,
            lock,
        })
    }

    /// Takes the lock; `false` when another download has it.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::Folder`] when files cannot be locked there.
    pub(super) fn try_lock(&self) -> Result<bool> {
        match self.lock.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(unusable(&self.folder, &error)),
        }
    }

    fn partial(&self) -> PathBuf {
        self.stem.with_extension("partial")
    }

    fn notes(&self) -> PathBuf {
        self.stem.with_extension("notes")
    }

    /// Where the file will be.
    pub(super) fn destination(&self, manifest: &Manifest) -> PathBuf {
        self.folder.join(&manifest.file_name)
    }

    /// What an earlier attempt has left, if it may be gone on with: the notes are those of an
    /// update that `trust` still believes.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::Folder`] when what is there can neither be read nor removed.
    pub(super) fn resume(&self, trust: &Trust) -> Result<Option<Resume>> {
        match self.read(trust) {
            Some(resume) => Ok(Some(resume)),
            None => {
                self.discard()?;
                Ok(None)
            }
        }
    }

    fn read(&self, trust: &Trust) -> Option<Resume> {
        let mut notes = String::new();
        let file = folder::open(&self.notes(), OpenOptions::new().read(true)).ok()?;
        file.take(MAX_NOTES_BYTES).read_to_string(&mut notes).ok()?;
        let lines: Vec<_> = notes.lines().collect();
        let [HEADER, etag, manifest, signature] = lines[..] else {
            tracing::warn!("the notes of a partial update are damaged; it starts again");
            return None;
        };
        let signed = SignedManifest::from_headers(manifest, signature).ok()?;
        let manifest = match trust.check(&signed) {
            Ok(manifest) => manifest,
            Err(error) => {
                tracing::info!(%error, "a partial update is of no use any more");
                return None;
            }
        };
        let partial = folder::open(&self.partial(), OpenOptions::new().read(true)).ok()?;
        let bytes = partial.metadata().ok()?.len();
        (bytes <= manifest.size).then(|| Resume {
            signed,
            manifest,
            etag: (!etag.is_empty()).then(|| etag.to_owned()),
            bytes,
        })
    }

    /// Begins a file anew: an empty partial file first, so that the notes never lie beside the
    /// bytes of another one.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::Folder`] or [`UpdateFailure::NoSpace`].
    pub(super) fn begin(&self, signed: &SignedManifest, etag: Option<&str>) -> Result<()> {
        let path = self.partial();
        folder::create(&path).map_err(|error| unusable(&path, &error))?;
        let notes = format!(
            "{HEADER}\n{}\n{}\n{}\n",
            etag.unwrap_or_default(),
            signed.manifest_header(),
            signed.signature_header()
        );
        let path = self.notes();
        state::write(&path, notes.as_bytes()).map_err(|error| unusable(&path, &error))
    }

    /// Writes bytes of the file at their place.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::Folder`] or [`UpdateFailure::NoSpace`].
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let path = self.partial();
        let write = || {
            let mut file = folder::open(&path, OpenOptions::new().write(true))?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        write().map_err(|error| unusable(&path, &error))
    }

    /// Compares the whole partial file with the manifest and gives it its final name, durably.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::Size`] and [`UpdateFailure::Hash`] when it is another file;
    /// [`UpdateFailure::Folder`] or [`UpdateFailure::NoSpace`].
    pub(super) fn complete(
        &self,
        manifest: &Manifest,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<PathBuf> {
        let path = self.partial();
        // What is compared is what the disk has got, not what was sent to it.
        let synced = folder::open(&path, OpenOptions::new().write(true));
        synced
            .and_then(|file| file.sync_all())
            .map_err(|error| unusable(&path, &error))?;
        verify::file(&path, manifest, go_on)?;
        let destination = self.destination(manifest);
        fs::rename(&path, &destination)
            .and_then(|()| state::sync_folder(&self.folder))
            .map_err(|error| unusable(&destination, &error))?;
        self.discard()?;
        Ok(destination)
    }

    /// Removes what was gathered.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::Folder`].
    pub(super) fn discard(&self) -> Result<()> {
        for path in [self.notes(), self.partial()] {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unusable(&path, &error)),
            }
        }
        Ok(())
    }

    /// Checks that the disk has room for so many bytes more.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::NoSpace`], or [`UpdateFailure::Folder`] when the system does not say.
    pub(super) fn check_space(&self, bytes: u64) -> Result<()> {
        let available =
            fs4::available_space(&self.folder).map_err(|error| unusable(&self.folder, &error))?;
        if bytes > available {
            let detail = format!("{bytes} bytes are needed and {available} are free");
            return Err(UpdateFailure::NoSpace.with(detail));
        }
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Closing the file would not do: a process forked meanwhile holds a copy of it, and the
        // lock with it.
        let _ = self.lock.unlock();
    }
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    let failure = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => UpdateFailure::NoSpace,
        _ => UpdateFailure::Folder,
    };
    failure.with(format!("{}: {error}", path.display()))
}
