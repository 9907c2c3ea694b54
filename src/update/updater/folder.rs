//! The target folder: who else may change what is in it.
//!
//! What is checked under one name must be what gets the final name. So the files of a download are
//! made anew and never opened through a link, and a folder in which any user may replace them is
//! refused. The folders above it are the application's to choose.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Checks that other users of the system cannot replace files in `folder`: it belongs to this user
/// or to root, and whoever else may write to it may not remove what is not theirs (the sticky
/// bit). Members of its group are trusted, as the system's usual `umask` does.
///
/// # Errors
///
/// What is wrong with it, and what to do.
#[cfg(unix)]
pub(super) fn check(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;

    /// Whoever is neither the owner nor in the group may write (POSIX, `S_IWOTH`).
    const OTHERS_WRITE: u32 = 0o002;
    /// Only its owner may remove or rename a file (`S_ISVTX`).
    const STICKY: u32 = 0o1000;
    let folder_of = |what: &str| {
        format!(
            "{}: {what}: choose a folder that only this user may write to",
            folder.display()
        )
    };
    let metadata = std::fs::metadata(folder).map_err(|error| folder_of(&error.to_string()))?;
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(folder_of("it belongs to another user"));
    }
    if metadata.mode() & OTHERS_WRITE != 0 && metadata.mode() & STICKY == 0 {
        return Err(folder_of("every user may write to it"));
    }
    Ok(())
}

/// Elsewhere the folders of a user are closed to others by the system.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)]
pub(super) fn check(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Makes a new file in place of whatever has the name.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Opens a file as `options` say, but not through a link.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        let flags = rustix::fs::OFlags::NOFOLLOW.bits();
        // The type that the standard library takes; the flag fits it everywhere.
        options.custom_flags(i32::try_from(flags).unwrap_or_default());
    }
    options.open(path)
}

/// Whether a file, and not a link to one, has the name.
pub(super) fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}
