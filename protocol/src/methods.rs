//! The methods and their payloads (docs/protocol.md, section 5).

use std::collections::BTreeMap;

use jiff::civil::Date;
use rmp::encode::{self as write, ByteBuf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::license_key::LicenseKey;
use crate::session_token::SessionToken;
use crate::wire::{self, PacketError};

/// Opens the session: the first request of a connection, always with seq 0.
/// [`StartSessionRequest`] → [`StartSessionResponse`].
pub const START_SESSION: &str = "start-session";

/// Asks for the limits of the license's plan. No payload → [`Limits`].
pub const GET_LIMITS: &str = "get-limits";

/// Reports an event of the product. [`SendEvent`] → no payload.
pub const SEND_EVENT: &str = "send-event";

/// What `start-session` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartSessionRequest {
    /// The product, such as `telepower`.
    pub product_id: String,
    /// Its version, such as `7.0.3`.
    pub product_version: String,
    /// The language of the server's sentences: `russian` or `english`; any other means English.
    pub language: String,
    /// `t` of the last `start-session` request that the server accepted, in seconds since
    /// 1970-01-01 UTC; 0 when the client has none (docs/protocol.md, section 7).
    pub last_login_reported_by_client: i64,
    /// The serial number of this device.
    pub device_serial_number: String,
    /// The UUID of this device's product record.
    #[serde(rename = "csProductUUID")]
    pub cs_product_uuid: String,
    /// The license key.
    pub license_key: LicenseKey,
}

/// What `start-session` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartSessionResponse {
    /// Whether this very login activated the license.
    pub is_activated_now: bool,
    /// When the license was activated, written `YYYY-MM-DD`.
    pub activation_date: Date,
    /// The plan, such as `telepower.licensePlan.release.monthly`.
    pub license_plan: String,
    /// When the license ends, written `YYYY-MM-DD`.
    pub expiry_date: Date,
    /// The token that every later request carries.
    pub session_token: SessionToken,
}

/// What `get-limits` gives: limits by name, such as `engine.limits.sendMessage.dailyLimit`.
pub type Limits = BTreeMap<String, i64>;

/// What a response with status `RATE_LIMITED` may carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// After how many seconds to try again, if the server says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// What `send-event` takes. The data is spliced in and sliced out as it is, never decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendEvent<'a> {
    /// The event's name, such as `app.navigation`.
    pub event: &'a str,
    /// The MessagePack of a map.
    pub data: &'a [u8],
    /// A name of this one event, by which a server drops repeats; `None` leaves the key out.
    pub id: Option<&'a str>,
}

impl<'a> SendEvent<'a> {
    /// The payload.
    ///
    /// # Errors
    /// [`PayloadError::Packet`] when the data is not exactly one MessagePack map of bounded depth.
    pub fn encode(&self) -> Result<Vec<u8>, PayloadError> {
        check_data(self.data)?;
        let mut out = ByteBuf::with_capacity(self.event.len() + self.data.len() + 64);
        // Writing into memory cannot fail.
        let _ = write::write_map_len(&mut out, if self.id.is_some() { 3 } else { 2 });
        let _ = write::write_str(&mut out, "event");
        let _ = write::write_str(&mut out, self.event);
        let _ = write::write_str(&mut out, "data");
        out.as_mut_vec().extend_from_slice(self.data);
        if let Some(id) = self.id {
            let _ = write::write_str(&mut out, "id");
            let _ = write::write_str(&mut out, id);
        }
        let payload = out.into_vec();
        // The data lies one level deeper here.
        wire::validate(&payload)?;
        Ok(payload)
    }

    /// Reads a payload. Unknown keys are ignored; an `id` that is nil or missing is none.
    ///
    /// # Errors
    /// [`PayloadError::Packet`] when the payload or its data is not what it should be.
    pub fn decode(payload: &'a [u8]) -> Result<Self, PayloadError> {
        wire::validate(payload)?;
        let (mut event, mut data, mut id) = (None, None, None);
        let mut input = payload;
        wire::read_map(&mut input, |key, value| match key {
            b"event" => wire::keep(&mut event, "event", wire::read_str(value, "event")?),
            b"data" => wire::keep(&mut data, "data", wire::read_raw(value)?),
            b"id" => wire::keep(&mut id, "id", wire::read_optional_str(value, "id")?),
            _ => Ok(false),
        })?;
        let data = data.ok_or(PacketError::Missing("data"))?;
        check_data(data)?;
        Ok(Self {
            event: event.ok_or(PacketError::Missing("event"))?,
            data,
            id: id.flatten(),
        })
    }
}

impl std::fmt::Debug for SendEvent<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SendEvent")
            .field("event", &self.event)
            .field("data", &format_args!("{} bytes", self.data.len()))
            .field("id", &self.id)
            .finish()
    }
}

fn check_data(data: &[u8]) -> Result<(), PacketError> {
    wire::validate(data)?;
    if data.first().is_some_and(|first| wire::is_map(*first)) {
        Ok(())
    } else {
        Err(PacketError::WrongType("data"))
    }
}

/// Why a payload could not be written or read. It holds names and types, and no value of the
/// payload, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// The value cannot be written as MessagePack.
    #[error("the payload cannot be written as MessagePack: {0}")]
    Encode(String),
    /// The MessagePack is well-formed and not of the wanted shape.
    #[error("the payload does not have the expected shape: {0}")]
    Decode(String),
    /// The bytes are not the MessagePack that they should be.
    #[error("the payload is not usable: {0}")]
    Packet(#[from] PacketError),
}

/// Writes a payload: structs as maps with the names of their fields.
///
/// # Errors
/// [`PayloadError::Encode`] when the value has no MessagePack form, [`PayloadError::Packet`] when
/// it is nested deeper than [`MAX_DEPTH`](crate::limits::MAX_DEPTH).
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, PayloadError> {
    let payload =
        rmp_serde::to_vec_named(value).map_err(|error| PayloadError::Encode(error.to_string()))?;
    wire::validate(&payload)?;
    Ok(payload)
}

/// Reads a payload: all of the bytes. Unknown fields are ignored where the type does so.
///
/// # Errors
/// [`PayloadError::Packet`] when the bytes are not one MessagePack value of bounded depth,
/// [`PayloadError::Decode`] when it is not of the wanted type.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, PayloadError> {
    wire::validate(payload)?;
    rmp_serde::from_slice(payload).map_err(|error| PayloadError::Decode(without_values(&error)))
}

/// What went wrong, without the values that serde writes into its messages.
fn without_values(error: &rmp_serde::decode::Error) -> String {
    use rmp_serde::decode::Error;

    let Error::Syntax(text) = error else {
        return match error {
            Error::TypeMismatch(_) => "a value has the wrong type".to_owned(),
            Error::OutOfRange => "a number is out of range".to_owned(),
            Error::Utf8Error(_) => "a text is not UTF-8".to_owned(),
            Error::LengthMismatch(_) => "an array or a map has the wrong length".to_owned(),
            _ => "it cannot be read".to_owned(),
        };
    };
    // These name fields of the wanted type only.
    if text.starts_with("missing field `") || text.starts_with("duplicate field `") {
        return text.clone();
    }
    // Here the value stands in front of what was expected.
    if text.starts_with("invalid ")
        && let Some((_, expected)) = text.rsplit_once(", expected ")
    {
        return format!("a value has the wrong type, expected {expected}");
    }
    "a value is not valid".to_owned()
}
