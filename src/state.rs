//! Files in the state folder: where it is, and how to write one so that it is whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The state folder unless the configuration names one: `skyline` in the user's local data
/// folder (`$XDG_DATA_HOME` or `~/.local/share` on Linux, `%LOCALAPPDATA%` on Windows,
/// `~/Library/Application Support` on macOS).
///
/// # Errors
///
/// [`Error::InvalidConfiguration`] for the field `state_folder` where the system names no home.
pub(crate) fn default_folder() -> Result<PathBuf> {
    directories::BaseDirs::new()
        .map(|base| base.data_local_dir().join("skyline"))
        .ok_or_else(|| {
            Error::invalid(
                "state_folder",
                "a folder: this system names no home to put it in",
            )
        })
}

/// Replaces the file at `path` atomically and durably: after a crash it holds either the old
/// bytes or the new ones. Creates the folder when absent; only its owner may read what is in it.
///
/// The caller holds the lock of the file. What is being written has one name, so that processes
/// that are killed meanwhile, however many, leave one file behind, and the next writer removes it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_folder(folder)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_draft(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // There is nothing more to tell than why it could not be written.
        let _ = fs::remove_file(&draft);
    }
    written?;
    sync_folder(folder)
}

fn write_draft(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Never through a link that somebody has put there.
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Opens a lock file, creating it and its folder when absent. It stays: removing it would let
/// two processes lock two different files.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

/// Creates `folder` and its parents, closed to other users where the system can say so.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Makes a rename in `folder` survive a power cut. Windows has no such call and needs none.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}
