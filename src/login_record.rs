//! The last-login file (docs/protocol.md, section 7).
//!
//! One file per product, license and server. It holds the `t` of the last accepted
//! `start-session` and is written atomically, durably and authenticated, under a lock that spans
//! reading, the request and storing, so that two processes of one product cannot race.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use skyline_protocol::license_key::LicenseKey;
use zeroize::Zeroizing;

use crate::device::DeviceIdentity;
use crate::error::{Error, Result};
use crate::{runtime, state};

/// What the first bytes of the file say; another layout gets another line.
const HEADER: &[u8] = b"skyline-login-v1\n";

/// Bytes of the time: an i64 in big-endian order.
const TIME_BYTES: usize = 8;

/// Bytes of the HMAC-SHA256 at the end.
const TAG_BYTES: usize = 32;

/// How often a lock that another process holds is tried again. File locks cannot be awaited; a
/// login takes a few round trips, so a finer step would only burn power.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// The value reported when nothing is stored (docs/protocol.md, section 7).
const NEVER: i64 = 0;

/// The last-login file, locked. The lock goes with the value.
#[derive(Debug)]
pub(crate) struct LoginRecord {
    path: PathBuf,
    authentication_key: Zeroizing<[u8; 32]>,
    lock: File,
}

impl LoginRecord {
    /// Opens the record of this product, license and server, waiting for whoever holds it.
    /// The caller bounds the wait.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when the folder or its lock file cannot be made.
    pub(crate) async fn lock(
        folder: &Path,
        server: &str,
        product_id: &str,
        license_key: &LicenseKey,
        device: &DeviceIdentity,
    ) -> Result<Self> {
        let path = folder.join(file_name(server, product_id, license_key));
        let lock_path = path.with_extension("lock");
        let lock = {
            let lock_path = lock_path.clone();
            runtime::blocking(move || {
                state::open_lock(&lock_path).map_err(|error| unusable(&lock_path, &error))
            })
            .await?
        };
        let mut lock = lock;
        loop {
            // A folder may lie on a network, where even trying takes its time.
            let (tried, result) = runtime::blocking(move || {
                let result = lock.try_lock();
                Ok((lock, result))
            })
            .await?;
            lock = tried;
            match result {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_RETRY).await,
                Err(TryLockError::Error(error)) => return Err(unusable(&lock_path, &error)),
            }
        }
        Ok(Self {
            path: path.with_extension("login"),
            authentication_key: authentication_key(license_key, device),
            lock,
        })
    }

    /// The stored time of the last login, or 0. A damaged or edited file counts as absent and is
    /// logged.
    pub(crate) fn read(&self) -> Result<i64> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(NEVER),
            Err(error) => return Err(unusable(&self.path, &error)),
        };
        Ok(open(&self.authentication_key, &bytes).unwrap_or_else(|| {
            tracing::warn!(
                path = %self.path.display(),
                "the last-login file is damaged or was edited; it counts as absent"
            );
            NEVER
        }))
    }

    /// Stores the time of the login that the server just accepted; on return it is durable.
    pub(crate) fn store(&self, time: i64) -> Result<()> {
        let bytes = seal(&self.authentication_key, time);
        state::write(&self.path, &bytes).map_err(|error| unusable(&self.path, &error))
    }
}

impl Drop for LoginRecord {
    fn drop(&mut self) {
        // Closing the file would not do: a process forked meanwhile holds a copy of it, and the
        // lock with it.
        let _ = self.lock.unlock();
    }
}

/// The content of the file: header, time, tag.
pub(crate) fn seal(authentication_key: &[u8; 32], time: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER.len() + TIME_BYTES + TAG_BYTES);
    bytes.extend_from_slice(HEADER);
    bytes.extend_from_slice(&time.to_be_bytes());
    let tag = mac(authentication_key, &bytes).finalize().into_bytes();
    bytes.extend_from_slice(&tag);
    bytes
}

/// The time in the content of the file, or nothing when it is damaged or was edited.
pub(crate) fn open(authentication_key: &[u8; 32], bytes: &[u8]) -> Option<i64> {
    let (signed, tag) = bytes.split_at_checked(HEADER.len() + TIME_BYTES)?;
    let time = signed.strip_prefix(HEADER)?;
    mac(authentication_key, signed).verify_slice(tag).ok()?;
    Some(i64::from_be_bytes(time.try_into().ok()?))
}

fn mac(authentication_key: &[u8; 32], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(authentication_key)
        .expect("HMAC takes a key of any length (RFC 2104, section 2)");
    mac.update(bytes);
    mac
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    Error::State {
        detail: format!("{}: {error}", path.display()),
    }
}

/// A name that tells products, licenses and servers apart and gives none of them away.
pub(crate) fn file_name(server: &str, product_id: &str, license_key: &LicenseKey) -> String {
    /// 64 bits keep the records of one machine apart.
    const NAME_BYTES: usize = 8;
    let mut hash = Sha256::new();
    for part in [server, product_id, license_key.expose()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..NAME_BYTES])
}

/// The key that authenticates the file: a file copied from another device or license is noticed
/// like an edited one.
fn authentication_key(license_key: &LicenseKey, device: &DeviceIdentity) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(license_key.expose().as_bytes())
        .expect("HMAC takes a key of any length (RFC 2104, section 2)");
    mac.update(HEADER);
    for part in [&device.serial_number, &device.cs_product_uuid] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> DeviceIdentity {
        DeviceIdentity {
            serial_number: "S-1".into(),
            cs_product_uuid: "U-1".into(),
        }
    }

    async fn record(folder: &Path, key: &LicenseKey) -> LoginRecord {
        let device = device();
        let locked = LoginRecord::lock(folder, "wss://host/ws", "product", key, &device);
        tokio::time::timeout(Duration::from_secs(5), locked)
            .await
            .expect("the lock is free")
            .unwrap()
    }

    #[tokio::test]
    async fn a_stored_login_is_read_again_and_nothing_stored_is_zero() {
        let folder = tempfile::tempdir().unwrap();
        let key = LicenseKey::generate();
        let first = record(folder.path(), &key).await;
        assert_eq!(first.read().unwrap(), 0);
        first.store(1_765_529_203).unwrap();
        drop(first);
        assert_eq!(
            record(folder.path(), &key).await.read().unwrap(),
            1_765_529_203
        );
        assert_eq!(
            record(folder.path(), &LicenseKey::generate())
                .await
                .read()
                .unwrap(),
            0
        );
    }

    #[tokio::test]
    async fn an_edited_truncated_or_foreign_file_counts_as_absent() {
        let folder = tempfile::tempdir().unwrap();
        let key = LicenseKey::generate();
        let record = record(folder.path(), &key).await;
        record.store(1_765_529_203).unwrap();
        let sound = std::fs::read(&record.path).unwrap();
        for position in 0..sound.len() {
            let mut edited = sound.clone();
            edited[position] ^= 1;
            std::fs::write(&record.path, &edited).unwrap();
            assert_eq!(record.read().unwrap(), 0, "byte {position}");
            std::fs::write(&record.path, &sound[..position]).unwrap();
            assert_eq!(record.read().unwrap(), 0, "cut at {position}");
        }
        std::fs::write(&record.path, &sound).unwrap();
        assert_eq!(record.read().unwrap(), 1_765_529_203);

        let other = DeviceIdentity {
            serial_number: "S-2".into(),
            ..device()
        };
        assert_ne!(
            *authentication_key(&key, &other),
            *record.authentication_key
        );
    }

    #[tokio::test]
    async fn the_lock_keeps_a_second_login_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let key = LicenseKey::generate();
        let held = record(folder.path(), &key).await;
        let device = device();
        let second = LoginRecord::lock(folder.path(), "wss://host/ws", "product", &key, &device);
        let mut second = std::pin::pin!(second);
        let early = tokio::time::timeout(LOCK_RETRY * 3, second.as_mut()).await;
        assert!(early.is_err(), "the lock was given twice");
        // As a process forked meanwhile would have.
        let _copy = held.lock.try_clone().unwrap();
        drop(held);
        let late = tokio::time::timeout(Duration::from_secs(5), second).await;
        late.expect("the lock was let go").unwrap();
    }
}
