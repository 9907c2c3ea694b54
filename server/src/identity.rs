//! The file of the server's identity key: the Ed25519 private seed as 64 hex digits, for the
//! server's eyes only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use skyline_protocol::{IdentityKeyPair, IdentityPublicKey, limits::IDENTITY_KEY_BYTES};
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
    /// A running server was given a key of which it was not told before.
    #[error(
        "the identity key {0} was not the next one: clients may not know it; set it as the next \
         identity key first, or restart the server to use it all the same"
    )]
    Unannounced(Box<IdentityPublicKey>),
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

/// The files of the current and of the next identity key.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    /// The key that the server signs with.
    pub current: PathBuf,
    /// The key that is to follow. That its file is missing means that there is none yet, or that it
    /// has become the current one.
    pub next: Option<PathBuf>,
}

/// What [`KeyFiles`] hold.
pub struct Keys {
    /// The key that the server signs with.
    pub current: IdentityKeyPair,
    /// The public part of the key that is to follow, if there is one.
    pub next: Option<IdentityPublicKey>,
}

impl KeyFiles {
    /// Reads both files.
    ///
    /// # Errors
    /// When the current key is missing, or one of them is no key.
    pub fn load(&self) -> Result<Keys, IdentityFileError> {
        let current = load(&self.current)?;
        let next = match self.next.as_deref().map(load) {
            Some(Ok(key)) => Some(key.public()),
            None | Some(Err(IdentityFileError::Missing(_))) => None,
            Some(Err(error)) => return Err(error),
        };
        Ok(Keys { current, next })
    }

    /// Makes the next key the current one and keeps the file of the old one beside it, with
    /// `.retired-` and the beginning of its public key at the end of its name. At any moment there
    /// is a current key; a promotion that was cut off can be repeated. Gives the path of the old
    /// one.
    ///
    /// # Errors
    /// When one of the keys is missing or no key, or a file cannot be moved.
    pub fn promote(&self) -> Result<PathBuf, IdentityFileError> {
        let missing = || IdentityFileError::Missing(self.current.with_extension("next"));
        let next = self.next.as_deref().ok_or_else(missing)?;
        load(next)?;
        let mut retired = self.current.clone().into_os_string();
        let old = load(&self.current)?.public();
        let digits = &old.to_string()[..RETIRED_NAME_DIGITS];
        retired.push(format!(".retired-{digits}"));
        let retired = PathBuf::from(retired);
        let failed = |error| IdentityFileError::Io(self.current.clone(), error);
        match fs::hard_link(&self.current, &retired) {
            // A promotion that was cut off here has kept it already.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && load(&retired)?.public() == old => {}
            result => result.map_err(failed)?,
        }
        fs::rename(next, &self.current).map_err(failed)?;
        // The change of names must not be lost to a power cut half way.
        #[cfg(unix)]
        if let Some(folder) = self
            .current
            .parent()
            .filter(|folder| *folder != Path::new(""))
        {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(failed)?;
        }
        Ok(retired)
    }
}

/// Digits of a public key by which the file of a retired one is told apart from others.
const RETIRED_NAME_DIGITS: usize = 8;

/// The identity keys of a running server.
pub(crate) struct Keyring(RwLock<(Arc<IdentityKeyPair>, Option<IdentityPublicKey>)>);

impl Keyring {
    pub(crate) fn new(current: IdentityKeyPair) -> Self {
        Self(RwLock::new((Arc::new(current), None)))
    }

    /// The key to sign with now.
    pub(crate) fn current(&self) -> Arc<IdentityKeyPair> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys.0)
    }

    /// Takes over keys that were read again. A new current key must have been the next one before:
    /// then it was there to be pinned, and a file that was mixed up locks no client out.
    pub(crate) fn replace(&self, keys: Keys) -> Result<(), IdentityFileError> {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let public = keys.current.public();
        if public != held.0.public() {
            if held.1.as_ref() != Some(&public) {
                return Err(IdentityFileError::Unannounced(Box::new(public)));
            }
            tracing::info!(identity = %public, "signing with the next identity key");
            held.0 = Arc::new(keys.current);
        }
        drop(held);
        self.announce(keys.next);
        Ok(())
    }

    /// Notes the key that is to follow, if there is one.
    pub(crate) fn announce(&self, next: Option<IdentityPublicKey>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = &next
            && held.1.as_ref() != Some(next)
        {
            tracing::info!(next_identity = %next, "the next identity key is known");
        }
        held.1 = next;
    }
}

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

    fn files(folder: &Path) -> KeyFiles {
        KeyFiles {
            current: folder.join("identity.key"),
            next: Some(folder.join("next.key")),
        }
    }

    #[test]
    fn promoting_moves_the_next_key_into_place_and_keeps_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let old = create(&files.current).unwrap().public();
        assert!(files.load().unwrap().next.is_none());
        assert!(matches!(
            files.promote(),
            Err(IdentityFileError::Missing(_))
        ));
        let new = create(files.next.as_ref().unwrap()).unwrap().public();
        assert_eq!(files.load().unwrap().next.as_ref(), Some(&new));
        let retired = files.promote().unwrap();
        assert_eq!(load(&files.current).unwrap().public(), new);
        assert_eq!(load(&retired).unwrap().public(), old);
        assert!(files.load().unwrap().next.is_none());
    }

    #[test]
    fn a_promotion_that_was_cut_off_can_be_repeated_and_overwrites_no_other_key() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let old = create(&files.current).unwrap().public();
        let new = create(files.next.as_ref().unwrap()).unwrap().public();
        let name = format!(
            "identity.key.retired-{}",
            &old.to_string()[..RETIRED_NAME_DIGITS]
        );
        let retired = folder.path().join(name);
        let other = create(&retired).unwrap().public();
        assert!(files.promote().is_err());
        assert_eq!(load(&retired).unwrap().public(), other);
        assert_eq!(load(&files.current).unwrap().public(), old);

        fs::remove_file(&retired).unwrap();
        fs::hard_link(&files.current, &retired).unwrap();
        assert_eq!(files.promote().unwrap(), retired);
        assert_eq!(load(&retired).unwrap().public(), old);
        assert_eq!(load(&files.current).unwrap().public(), new);
    }

    #[test]
    fn a_running_server_changes_to_the_announced_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let old = create(&files.current).unwrap().public();
        let keyring = Keyring::new(load(&files.current).unwrap());
        let new = create(files.next.as_ref().unwrap()).unwrap().public();
        files.promote().unwrap();
        let refused = keyring.replace(files.load().unwrap()).unwrap_err();
        assert!(matches!(refused, IdentityFileError::Unannounced(key) if *key == new));
        assert_eq!(keyring.current().public(), old);

        let announced = Keys {
            current: keyring_key(folder.path(), &old),
            next: Some(new.clone()),
        };
        keyring.replace(announced).unwrap();
        assert_eq!(keyring.current().public(), old);
        keyring.replace(files.load().unwrap()).unwrap();
        assert_eq!(keyring.current().public(), new);
    }

    /// The retired key of that public part.
    fn keyring_key(folder: &Path, public: &IdentityPublicKey) -> IdentityKeyPair {
        let name = format!(
            "identity.key.retired-{}",
            &public.to_string()[..RETIRED_NAME_DIGITS]
        );
        load(&folder.join(name)).unwrap()
    }
}
