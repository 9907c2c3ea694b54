//! The decoders of this crate that no public function reaches directly, for the targets in `fuzz/`.
//! It is compiled for them alone (`cfg(fuzzing)`), and no part of the interface.

use crate::error::Result;
use crate::ffi::json;
use crate::login_record;

pub use crate::event_queue::{DecodedEventLog, decode_event_log};

/// The MessagePack of a JSON text.
///
/// # Errors
/// [`crate::Error::Payload`] when it is no JSON.
pub fn json_to_message_pack(json: &str) -> Result<Vec<u8>> {
    json::to_message_pack(json)
}

/// The JSON of a MessagePack value.
///
/// # Errors
/// [`crate::Error::Payload`] when JSON cannot say it, or it is malformed.
pub fn message_pack_to_json(message_pack: &[u8]) -> Result<String> {
    json::from_message_pack(message_pack)
}

/// The content of a last-login file.
pub fn seal_login_record(authentication_key: &[u8; 32], time: i64) -> Vec<u8> {
    login_record::seal(authentication_key, time)
}

/// The time in a last-login file.
pub fn open_login_record(authentication_key: &[u8; 32], bytes: &[u8]) -> Option<i64> {
    login_record::open(authentication_key, bytes)
}
