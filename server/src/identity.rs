//! The file of the server's identity key: the Ed25519 private seed as 64 hex digits, for the
//! server's eyes only.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use skyline_protocol::{IdentityKeyPair, limits::IDENTITY_KEY_BYTES};
use zeroize::Zeroizing;

/// More than the file can hold: what is longer is not read.
const MAX_FILE_BYTES: u64 = 256;

/// Why there is no identity key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// There is no file.
    #[error(
        "there is no identity key at {}: make one with `skyline-server keygen {}`",
        .0.display(), .0.display()
    )]
    Missing(PathBuf),
    /// There is a file where a new one was to be made.
    #[error("{} exists already: a key in use must not be overwritten", .0.display())]
    Exists(PathBuf),
    /// The file is something else.
    #[error("{} is no identity key: 64 hex digits are expected", .0.display())]
    Invalid(PathBuf),
    /// The file system failed.
    #[error("the identity key {} cannot be used: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

/// Makes a new key and its file, readable by the owner only.
///
/// # Errors
/// [`IdentityFileError::Exists`], or that the file cannot be written.
pub fn create(path: &Path) -> Result<IdentityKeyPair, IdentityFileError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => IdentityFileError::Exists(path.to_owned()),
        _ => IdentityFileError::Io(path.to_owned(), error),
    };
    let identity = IdentityKeyPair::generate();
    let text = Zeroizing::new(format!("{}\n", hex::encode(*identity.seed())));
    let mut file = create_private(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    // A key that clients pin must not be lost to a power cut.
    file.sync_all().map_err(failed)?;
    Ok(identity)
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Reads a key that [`create`] has written.
///
/// # Errors
/// When the file is missing, is something else, or cannot be read.
pub fn load(path: &Path) -> Result<IdentityKeyPair, IdentityFileError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => IdentityFileError::Missing(path.to_owned()),
        io::ErrorKind::InvalidData => IdentityFileError::Invalid(path.to_owned()),
        _ => IdentityFileError::Io(path.to_owned(), error),
    };
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(failed)?;
    warn_if_readable_by_others(path, &file);
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let mut seed = Zeroizing::new([0; IDENTITY_KEY_BYTES]);
    hex::decode_to_slice(text.trim(), seed.as_mut_slice())
        .map_err(|_| IdentityFileError::Invalid(path.to_owned()))?;
    Ok(IdentityKeyPair::from_seed(&seed))
}

/// Only warns: some systems that hand secrets to a container mount them readable to all in it.
#[cfg(unix)]
fn warn_if_readable_by_others(path: &Path, file: &File) {
    use std::os::unix::fs::PermissionsExt;

    if let Ok(metadata) = file.metadata()
        && metadata.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "the identity key is open to other users of this machine");
    }
}

#[cfg(not(unix))]
fn warn_if_readable_by_others(_path: &Path, _file: &File) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_loaded_as_it_was_made_and_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let made = create(&path).unwrap();
        assert_eq!(load(&path).unwrap().public(), made.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let made = create(&path).unwrap();
        assert!(matches!(create(&path), Err(IdentityFileError::Exists(_))));
        assert_eq!(load(&path).unwrap().public(), made.public());
    }

    #[test]
    fn what_is_no_key_is_told_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let missing = load(&path).err().unwrap();
        assert!(missing.to_string().contains("skyline-server keygen"));
        for text in [
            "",
            "abcdef",
            &"zz".repeat(32),
            &"ab".repeat(33),
            &"ab".repeat(9999),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path).err().unwrap();
            assert!(matches!(error, IdentityFileError::Invalid(_)));
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
        std::fs::write(&path, [0xff; 64]).unwrap();
        assert!(matches!(load(&path), Err(IdentityFileError::Invalid(_))));
    }
}
