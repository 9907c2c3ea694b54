//! The folder with the files of the releases, each under its SHA-256 in hex: a name says what is in
//! the file, and the same file of two releases is there once.
//!
//! Nodes that share a database share this folder too, or each has a copy of it.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use skyline_protocol::limits::SHA256_BYTES;

/// How much of a file is copied at once, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// The folder with the files of the releases.
#[derive(Clone, Debug)]
pub struct ReleaseFiles {
    folder: PathBuf,
}

/// A file that was taken into the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; SHA256_BYTES],
}

impl ReleaseFiles {
    /// The files in that folder, which need not be there yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, sha256: &[u8; SHA256_BYTES]) -> PathBuf {
        self.folder.join(hex::encode(sha256))
    }

    /// Copies a file into the folder, durably.
    ///
    /// # Errors
    /// When the file cannot be read or the folder not be written.
    pub fn add(&self, file: &Path) -> io::Result<StoredFile> {
        let mut source = File::open(file)?;
        fs::create_dir_all(&self.folder)?;
        let mut copy = tempfile::NamedTempFile::new_in(&self.folder)?;
        let (mut hash, mut size) = (Sha256::new(), 0);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match source.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&chunk[..read]);
                    copy.write_all(&chunk[..read])?;
                    size += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let sha256 = hash.finalize().into();
        // Clients may have it, and so may the user that the server runs as.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            copy.as_file()
                .set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        copy.as_file().sync_all()?;
        copy.persist(self.path(&sha256))?;
        if cfg!(unix) {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(StoredFile { size, sha256 })
    }

    /// Opens a file of the folder.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn open(&self, sha256: &[u8; SHA256_BYTES]) -> io::Result<File> {
        File::open(self.path(sha256))
    }

    /// Removes a file that no release refers to any more. Whoever downloads it goes on doing so.
    ///
    /// # Errors
    /// When it cannot be removed; that it is not there is none.
    pub fn remove(&self, sha256: &[u8; SHA256_BYTES]) -> io::Result<()> {
        match fs::remove_file(self.path(sha256)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_under_its_hash_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = ReleaseFiles::new(folder.path().join("releases"));
        let source = folder.path().join("source");
        let bytes: Vec<u8> = (0..CHUNK_BYTES + 7).map(|at| at as u8).collect();
        fs::write(&source, &bytes).unwrap();
        let stored = files.add(&source).unwrap();
        assert_eq!(stored.size, bytes.len() as u64);
        assert_eq!(files.add(&source).unwrap(), stored);
        assert_eq!(fs::read_dir(&files.folder).unwrap().count(), 1);
        let mut read = Vec::new();
        files
            .open(&stored.sha256)
            .unwrap()
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, bytes);
        assert_eq!(Sha256::digest(&read)[..], stored.sha256);
        files.remove(&stored.sha256).unwrap();
        files.remove(&stored.sha256).unwrap();
        assert!(files.open(&stored.sha256).is_err());
    }
}
