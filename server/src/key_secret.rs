//! The secret under which license keys are hashed (docs/adr/0016): who has the database alone
//! can neither read a key nor test a guess.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use rand::{TryRng, rngs::SysRng};
use sha2::Sha256;
use skyline_protocol::LicenseKey;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of the secret: as many as the hash has, beyond which HMAC gains nothing (RFC 2104,
/// section 3).
const SECRET_BYTES: usize = 32;

/// Characters of a key that are kept in the clear, so that its owner and the support can tell two
/// licenses apart: the last group. The other 20 characters are 92 random bits.
pub const HINT_CHARACTERS: usize = 5;

/// What is hashed to tell whether a secret is the one of a database. No license key has this form.
const CHECK_TEXT: &[u8] = b"skyline license key secret";

/// The secret; wiped when dropped, and never shown.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct KeySecret([u8; SECRET_BYTES]);

/// Why there is no usable secret.
#[derive(Debug, thiserror::Error)]
pub enum KeySecretError {
    /// Only for SQLite there is a default place.
    #[error(
        "name the file of the license key secret (--license-key-secret): all nodes of a PostgreSQL database share it"
    )]
    Unnamed,
    /// The database has one, and it is not there.
    #[error(
        "the license key secret {0} is missing: bring the file with which this database was made"
    )]
    Missing(PathBuf),
    /// It is not the one of this database.
    #[error("the license key secret {0} is not the one with which this database was made")]
    Other(PathBuf),
    /// The file holds something else.
    #[error("{0} is no license key secret: 64 hex digits are expected")]
    Malformed(PathBuf),
    /// The file cannot be read or made.
    #[error("the license key secret {0} cannot be used: {1}")]
    File(PathBuf, io::Error),
}

impl KeySecret {
    /// Reads the secret; `None`: there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn read(file: &Path) -> Result<Option<Self>, KeySecretError> {
        let text = match fs::read_to_string(file) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(KeySecretError::Malformed(file.to_owned()));
            }
            Err(error) => return Err(KeySecretError::File(file.to_owned(), error)),
        };
        let mut secret = Self([0; SECRET_BYTES]);
        hex::decode_to_slice(text.trim_end(), &mut secret.0)
            .map_err(|_| KeySecretError::Malformed(file.to_owned()))?;
        Ok(Some(secret))
    }

    /// Makes the file, readable by its owner only, with a new secret; if another process has just
    /// made it, its secret is the one.
    ///
    /// # Errors
    /// When the file can neither be made nor read.
    pub fn create(file: &Path) -> Result<Self, KeySecretError> {
        let failed = |error| KeySecretError::File(file.to_owned(), error);
        let mut secret = Self([0; SECRET_BYTES]);
        SysRng
            .try_fill_bytes(&mut secret.0)
            .map_err(|error| failed(io::Error::other(error)))?;
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Written whole under another name (with mode 0600), so that nobody reads half of it.
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let text = Zeroizing::new(format!("{}\n", hex::encode(secret.0)));
        temporary.write_all(text.as_bytes()).map_err(failed)?;
        temporary.as_file().sync_all().map_err(failed)?;
        match temporary.persist_noclobber(file) {
            Ok(_) => {
                sync_folder(folder).map_err(failed)?;
                Ok(secret)
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Self::read(file)?.ok_or_else(|| failed(error.error))
            }
            Err(error) => Err(failed(error.error)),
        }
    }

    /// What is stored of a key: HMAC-SHA256 of its text, in hex.
    pub fn hash(&self, key: &LicenseKey) -> String {
        self.digest(key.expose().as_bytes())
    }

    /// What is stored once per database, to notice another secret.
    pub fn check_value(&self) -> String {
        self.digest(CHECK_TEXT)
    }

    fn digest(&self, text: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("HMAC takes a key of any length (RFC 2104, section 2)");
        mac.update(text);
        hex::encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeySecret(redacted)")
    }
}

/// The part of a key that may be shown: its last characters.
pub fn hint(key: &LicenseKey) -> &str {
    let text = key.expose();
    text.get(text.len().saturating_sub(HINT_CHARACTERS)..)
        .unwrap_or_default()
}

/// Makes a new name in a folder survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        assert!(KeySecret::read(&file).unwrap().is_none());
        let made = KeySecret::create(&file).unwrap();
        let again = KeySecret::create(&file).unwrap();
        let read = KeySecret::read(&file).unwrap().unwrap();
        assert_eq!(made.check_value(), again.check_value());
        assert_eq!(made.check_value(), read.check_value());
        assert_eq!(format!("{made:?}"), "KeySecret(redacted)");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_of_something_else_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        for text in [&b""[..], b"abc", &[b'0'; 66], b"\xff\xfe"] {
            fs::write(&file, text).unwrap();
            let error = KeySecret::read(&file).unwrap_err();
            assert!(matches!(error, KeySecretError::Malformed(_)), "{error}");
        }
    }

    #[test]
    fn a_hash_depends_on_the_key_and_on_the_secret() {
        let (one, two) = (KeySecret([1; SECRET_BYTES]), KeySecret([2; SECRET_BYTES]));
        let (key, other) = (LicenseKey::generate(), LicenseKey::generate());
        assert_eq!(one.hash(&key), one.hash(&key));
        assert_ne!(one.hash(&key), two.hash(&key));
        assert_ne!(one.hash(&key), one.hash(&other));
        assert!(key.expose().ends_with(hint(&key)) && hint(&key).len() == HINT_CHARACTERS);
    }
}
