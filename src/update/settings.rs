//! What a client is told about updates.

use std::time::Duration;

use skyline_protocol::identity::IdentityPublicKey;

use super::address;
use crate::error::{Error, Result};

/// Where updates come from, who may sign them, and how much a download may take.
#[derive(Debug, Clone)]
pub struct UpdateConfig {
    /// The address of the product's updates: `https://`, or `http://` to a loopback address.
    /// `None`: `/updates/PRODUCT` on the host of [`ClientConfig::url`](crate::ClientConfig::url).
    pub url: Option<String>,
    /// The keys that may sign a release. Where there are any, the server's identity keys may not.
    /// Default: none.
    pub release_keys: Vec<IdentityPublicKey>,
    /// The largest file that is downloaded, in bytes. Default 2 GiB: few products are larger, and
    /// a mistaken release does not fill the disk. Not zero.
    pub max_bytes: u64,
    /// How long the server may be silent, before the head of its answer and between two parts of
    /// the file. Default 30 s, as a call's deadline; a slow line is no silent one. Not zero.
    pub stall: Duration,
    /// How many attempts in a row may fail without a byte of progress before the download does.
    /// Default 8: with the default waits that is half a minute without any network. Not zero.
    pub attempts: u32,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            url: None,
            release_keys: Vec::new(),
            max_bytes: 2 << 30,
            stall: Duration::from_secs(30),
            attempts: 8,
        }
    }
}

impl UpdateConfig {
    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfiguration`] with the name of the first field that is wrong.
    pub(crate) fn validate(&self) -> Result<()> {
        if let Some(url) = &self.url {
            address::parse(url).map_err(|expected| Error::invalid("update_url", expected))?;
        }
        if self.max_bytes == 0 {
            return Err(Error::invalid("max_update_bytes", "more than zero bytes"));
        }
        if self.stall.is_zero() {
            return Err(Error::invalid("update_stall", "a time longer than zero"));
        }
        if self.attempts == 0 {
            return Err(Error::invalid("update_attempts", "at least one attempt"));
        }
        Ok(())
    }
}
