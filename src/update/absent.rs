//! In place of the updater, in a build without it.

use std::path::PathBuf;

use crate::config::ClientConfig;
use crate::error::{Error, Result};
use crate::update::{Update, UpdateDownload};

/// # Errors
///
/// Always [`Error::InvalidConfiguration`].
pub(super) fn begin(_: ClientConfig, _: PathBuf) -> Result<UpdateDownload> {
    Err(Error::left_out("update"))
}

/// # Errors
///
/// Always [`Error::InvalidConfiguration`].
pub(super) async fn verify(_: ClientConfig, _: PathBuf, _: &[u8], _: &[u8]) -> Result<Update> {
    Err(Error::left_out("update"))
}
