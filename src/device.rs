//! What tells this device from others: the serial number and the csproduct UUID of SMBIOS, or a
//! stand-in derived from the machine's id.

use std::path::Path;

use crate::error::{Error, Result};

/// What tells this device from others; a license is bound to it (docs/protocol.md, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// The serial number of the system, as SMBIOS or IOKit tells it. Not empty.
    pub serial_number: String,
    /// The UUID of the computer system product, `8-4-4-4-12` hexadecimal digits. Not empty.
    pub cs_product_uuid: String,
}

impl DeviceIdentity {
    /// Finds out what identifies this device.
    ///
    /// Windows and macOS tell serial number and UUID to everybody. Linux keeps them from ordinary
    /// users, mostly; there both are derived from the machine's id by a keyed hash, so that the
    /// id itself never leaves the machine (see `machine-id(5)`). Which of the two it was is
    /// remembered in `state_folder` (`None`: the default one), and on Linux it depends on the
    /// permissions of the SMBIOS files, not on who asks: running once under `sudo` does not
    /// change the identity. Values that vendors leave as filler count as absent.
    ///
    /// Reads a few small files, blocking meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfiguration`] for the field `device` where nothing usable is found. On
    /// Android and iOS that is always so: the application supplies an identity of its own.
    pub fn detect(state_folder: Option<&Path>) -> Result<Self> {
        let folder = match state_folder {
            Some(folder) => folder.to_owned(),
            None => crate::state::default_folder()?,
        };
        source::detect(&folder)
    }

    /// Checks an identity that the application supplied.
    pub(crate) fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("serial_number", &self.serial_number),
            ("cs_product_uuid", &self.cs_product_uuid),
        ] {
            if is_filler(value) {
                return Err(Error::invalid(
                    "device",
                    format!("a {name} that tells this device from others, not {value:?}"),
                ));
            }
        }
        Ok(())
    }
}

/// Values that boards leave the factory with; many devices share them.
const FILLERS: [&str; 7] = [
    "03000200-0400-0500-0006-000700080009",
    "default string",
    "none",
    "not applicable",
    "not specified",
    "system serial number",
    "to be filled by o.e.m.",
];

/// Whether `value` identifies nothing: empty, a known filler, or all zeros or all Fs.
fn is_filler(value: &str) -> bool {
    let value = value.trim().to_lowercase();
    let all = |digit: char| value.chars().all(|c| c == digit || c == '-' || c == ' ');
    value.is_empty() || FILLERS.contains(&value.as_str()) || all('0') || all('f')
}

#[cfg(any(target_os = "android", target_os = "ios"))]
mod source {
    use std::path::Path;

    use super::DeviceIdentity;
    use crate::error::{Error, Result};

    pub(super) fn detect(_: &Path) -> Result<DeviceIdentity> {
        Err(Error::invalid(
            "device",
            "an identity supplied by the application: phones name no device to it",
        ))
    }
}

#[cfg(not(any(target_os = "android", target_os = "ios")))]
mod source {
    use std::fs::{self, TryLockError};
    use std::io;
    use std::path::Path;

    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::{DeviceIdentity, is_filler};
    use crate::error::{Error, Result};
    use crate::state;

    /// The file in the state folder that remembers where the identity came from.
    const SOURCE_FILE: &str = "device-source";

    /// The key of the hash that stands in for the machine's id, so that other software's hash of
    /// the same id says nothing about ours. Changing it changes every derived identity.
    const MACHINE_ID_KEY: &[u8] = b"skyline device identity v1";

    /// Digits of a derived serial number: 64 bits, like the serial numbers of vendors.
    const SERIAL_DIGITS: usize = 16;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Source {
        Smbios,
        MachineId,
    }

    impl Source {
        fn as_str(self) -> &'static str {
            match self {
                Self::Smbios => "smbios",
                Self::MachineId => "machine-id",
            }
        }
    }

    pub(super) fn detect(folder: &Path) -> Result<DeviceIdentity> {
        choose(
            folder,
            open_to_everybody().then(smbios).flatten(),
            machine_id(),
        )
    }

    /// Picks between what the two sources tell, by what was chosen before.
    fn choose(
        folder: &Path,
        smbios: Option<DeviceIdentity>,
        machine_id: Option<DeviceIdentity>,
    ) -> Result<DeviceIdentity> {
        let remembered = remembered(folder);
        let (source, identity) = match (remembered, smbios, machine_id) {
            (Some(Source::MachineId), _, Some(identity)) | (None, None, Some(identity)) => {
                (Source::MachineId, identity)
            }
            (Some(Source::Smbios) | None, Some(identity), _) => (Source::Smbios, identity),
            (Some(source), ..) => {
                return Err(Error::invalid(
                    "device",
                    format!(
                        "the identity that this device had before: it came from {}, which tells nothing now; supply an identity, or remove {} to choose anew",
                        source.as_str(),
                        folder.join(SOURCE_FILE).display(),
                    ),
                ));
            }
            (None, None, None) => {
                return Err(Error::invalid(
                    "device",
                    "an identity supplied by the application: this system tells neither a serial number nor a machine id",
                ));
            }
        };
        if remembered.is_none() {
            remember(folder, source);
        }
        Ok(identity)
    }

    fn remembered(folder: &Path) -> Option<Source> {
        let text = fs::read_to_string(folder.join(SOURCE_FILE)).ok()?;
        [Source::Smbios, Source::MachineId]
            .into_iter()
            .find(|source| text.trim() == source.as_str())
    }

    fn remember(folder: &Path, source: Source) {
        if let Err(error) = write_once(folder, source) {
            tracing::warn!(%error, "the source of the device's identity could not be remembered");
        }
    }

    /// Writes the file unless it is there. Whoever holds the lock is writing it now, and this
    /// process finds it the next time.
    fn write_once(folder: &Path, source: Source) -> io::Result<()> {
        let path = folder.join(SOURCE_FILE);
        let lock = state::open_lock(&path.with_extension("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let written = if remembered(folder).is_none() {
            state::write(&path, source.as_str().as_bytes())
        } else {
            Ok(())
        };
        // Closing the file would not do: a process forked meanwhile holds a copy of it, and the
        // lock with it.
        let _ = lock.unlock();
        written
    }

    /// Whether the serial number can be read by any user, so that all users see one identity.
    #[cfg(target_os = "linux")]
    fn open_to_everybody() -> bool {
        use std::os::unix::fs::PermissionsExt;

        const READABLE_BY_OTHERS: u32 = 0o004;
        ["product_serial", "product_uuid"].iter().all(|name| {
            fs::metadata(Path::new("/sys/class/dmi/id").join(name))
                .is_ok_and(|metadata| metadata.permissions().mode() & READABLE_BY_OTHERS != 0)
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn open_to_everybody() -> bool {
        true
    }

    fn smbios() -> Option<DeviceIdentity> {
        let serial_number = sysinfo::Product::serial_number().ok()?.trim().to_owned();
        let cs_product_uuid = sysinfo::Product::uuid().ok()?.trim().to_uppercase();
        let sound = !is_filler(&serial_number) && !is_filler(&cs_product_uuid);
        sound.then_some(DeviceIdentity {
            serial_number,
            cs_product_uuid,
        })
    }

    fn machine_id() -> Option<DeviceIdentity> {
        let id = machine_uid::get().ok()?;
        let id = id.trim();
        // systemd writes this word into the file of an image that has not booted yet.
        (!is_filler(id) && id != "uninitialized").then(|| derive(id))
    }

    fn derive(machine_id: &str) -> DeviceIdentity {
        let digest = |purpose: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(MACHINE_ID_KEY)
                .expect("HMAC takes a key of any length (RFC 2104, section 2)");
            mac.update(purpose);
            mac.update(machine_id.as_bytes());
            mac.finalize().into_bytes().into()
        };
        let [serial, uuid] = [digest(b"serial\0"), digest(b"uuid\0")];
        let mut uuid_bytes = [0; 16];
        uuid_bytes.copy_from_slice(&uuid[..16]);
        // Version 8 of RFC 9562, section 5.8: a UUID of our own making.
        let uuid = uuid::Builder::from_custom_bytes(uuid_bytes).into_uuid();
        DeviceIdentity {
            serial_number: hex::encode_upper(&serial[..SERIAL_DIGITS / 2]),
            cs_product_uuid: uuid.to_string().to_uppercase(),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn smbios() -> Option<DeviceIdentity> {
            Some(DeviceIdentity {
                serial_number: "ADTFBB4112800098".into(),
                cs_product_uuid: "20240113-E0C2-646E-FDB1-E0C2646EFDB5".into(),
            })
        }

        #[test]
        fn the_source_once_chosen_stays_when_another_becomes_readable() {
            let folder = tempfile::tempdir().unwrap();
            let derived = Some(derive("5d41402abc4b2a76b9719d911017c592"));
            let first = choose(folder.path(), None, derived.clone()).unwrap();
            let under_sudo = choose(folder.path(), smbios(), derived).unwrap();
            assert_eq!(first, under_sudo);
        }

        #[test]
        fn a_chosen_source_that_falls_silent_is_an_error_and_no_new_identity() {
            let folder = tempfile::tempdir().unwrap();
            choose(folder.path(), smbios(), None).unwrap();
            let error = choose(folder.path(), None, Some(derive("id"))).unwrap_err();
            assert!(matches!(
                error,
                Error::InvalidConfiguration {
                    field: "device",
                    ..
                }
            ));
        }

        #[test]
        fn only_the_holder_of_the_lock_writes_the_source_and_only_once() {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(SOURCE_FILE);
            let lock = state::open_lock(&file.with_extension("lock")).unwrap();
            lock.lock().unwrap();
            choose(folder.path(), smbios(), None).unwrap();
            assert!(!file.exists());
            lock.unlock().unwrap();
            choose(folder.path(), smbios(), None).unwrap();
            assert_eq!(remembered(folder.path()), Some(Source::Smbios));
            write_once(folder.path(), Source::MachineId).unwrap();
            assert_eq!(remembered(folder.path()), Some(Source::Smbios));
        }

        #[test]
        fn a_derived_identity_hides_the_machine_id_and_looks_like_one() {
            let id = "5d41402abc4b2a76b9719d911017c592";
            let identity = derive(id);
            assert_eq!(identity, derive(id));
            assert_ne!(identity, derive("another"));
            assert_eq!(identity.serial_number.len(), SERIAL_DIGITS);
            assert_eq!(identity.cs_product_uuid.len(), 36);
            let shown = format!("{identity:?}").to_lowercase();
            assert!(!shown.contains(id));
            identity.validate().unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillers_of_vendors_identify_nothing() {
        for filler in [
            "",
            "   ",
            "00000000-0000-0000-0000-000000000000",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "03000200-0400-0500-0006-000700080009",
            "Default string",
            "To be filled by O.E.M.",
            "To Be Filled By O.E.M.",
            "None",
        ] {
            assert!(is_filler(filler), "{filler:?}");
        }
        for sound in [
            "ADTFBB4112800098",
            "20240113-E0C2-646E-FDB1-E0C2646EFDB5",
            "0F0F",
        ] {
            assert!(!is_filler(sound), "{sound:?}");
        }
    }
}
