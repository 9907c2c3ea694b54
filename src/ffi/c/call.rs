//! One call of the C interface on its way through the client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::Client;
use crate::connection::AT_ONCE_BYTES;
use crate::error::{Error, Result};
use crate::ffi::json;

/// Executing the call twice does no harm: it is sent again when the connection is lost before its
/// answer, and waits out a rate limit, both within its deadline.
pub const SKYLINE_CALL_IDEMPOTENT: u32 = 1;

/// The record has a payload. Without it the payload's length is 0, and the call has none.
pub const SKYLINE_CALL_PAYLOAD: u32 = 2;

/// The payload is the text of one JSON value instead of the MessagePack of one, and so is that of
/// the answer. An answer that holds what JSON cannot say (binary data, extension types) fails with
/// `SKYLINE_KIND_PAYLOAD`.
pub const SKYLINE_CALL_JSON: u32 = 4;

/// All the flags there are.
pub(super) const FLAGS: u32 = SKYLINE_CALL_IDEMPOTENT | SKYLINE_CALL_PAYLOAD | SKYLINE_CALL_JSON;

/// A call that is to be made.
pub(super) struct Call {
    pub(super) id: u64,
    pub(super) method: Arc<str>,
    pub(super) payload: Option<Bytes>,
    /// None: the client's own.
    pub(super) deadline: Option<Duration>,
    pub(super) flags: u32,
}

impl Call {
    /// Whether to check, seal and write it takes no longer than to wake a thread for that.
    pub(super) fn is_small(&self) -> bool {
        self.payload.as_ref().map_or(0, Bytes::len) <= AT_ONCE_BYTES
    }

    /// Makes the call. Needs no runtime to be polled on; dropping it cancels the call.
    pub(super) async fn run(self, client: Client) -> Result<Option<Bytes>> {
        let mut client = client;
        if let Some(deadline) = self.deadline {
            client = client.with_deadline(deadline);
        }
        if self.flags & SKYLINE_CALL_IDEMPOTENT != 0 {
            client = client.idempotent();
        }
        if self.flags & SKYLINE_CALL_JSON == 0 {
            return client.call_raw(&self.method, self.payload).await;
        }
        let payload = self.payload.as_deref().map(from_json).transpose()?;
        let answer = client.call_raw(&self.method, payload).await?;
        answer
            .map(|answer| Ok(json::from_message_pack(&answer)?.into()))
            .transpose()
    }
}

fn from_json(text: &[u8]) -> Result<Bytes> {
    let text = std::str::from_utf8(text).map_err(|error| Error::Payload {
        detail: format!("the JSON does not parse: {error}"),
    })?;
    json::to_message_pack(text).map(Into::into)
}
