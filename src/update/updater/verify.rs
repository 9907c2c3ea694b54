//! Whether a file is the one that a manifest describes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use skyline_protocol::update::Manifest;

use crate::error::{Error, Result};
use crate::update::UpdateFailure;

/// How much of a file is read at once, in bytes: more is not faster.
const CHUNK_BYTES: usize = 256 << 10;

/// Compares a file's size and SHA-256 with the manifest's. `go_on` is asked between the parts of a
/// large file.
///
/// # Errors
///
/// [`UpdateFailure::Size`], [`UpdateFailure::Hash`], [`UpdateFailure::Folder`] when the file cannot
/// be read, or what `go_on` says.
pub(super) fn file(path: &Path, manifest: &Manifest, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
    let unreadable = |error: &io::Error| -> Error {
        UpdateFailure::Folder.with(format!("{}: {error}", path.display()))
    };
    let mut file = File::open(path).map_err(|error| unreadable(&error))?;
    let size = file.metadata().map_err(|error| unreadable(&error))?.len();
    if size != manifest.size {
        let detail = format!("{size} bytes instead of {}", manifest.size);
        return Err(UpdateFailure::Size.with(detail));
    }
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        go_on()?;
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => hash.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
    if hash.finalize()[..] == manifest.sha256 {
        Ok(())
    } else {
        Err(UpdateFailure::Hash.with("its SHA-256 differs"))
    }
}
