//! The reading half: opens packets where they stand and hands each answer to its caller.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use skyline_protocol::cipher::{OpenError, Opener};
use skyline_protocol::methods::{self, RateLimit};
use skyline_protocol::packet::Response;
use skyline_protocol::status::Status;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{Answer, End, Shared};
use crate::error::{BreachReason, Error};
use crate::transport::Socket;

/// Reads until the connection ends.
pub(super) async fn read_all(
    stream: &mut SplitStream<Socket>,
    mut opener: Opener,
    shared: &Shared,
) -> End {
    while let Some(message) = stream.next().await {
        let message = match message {
            Ok(message) => message,
            Err(error) => return end_of(error),
        };
        let packet = match message {
            Message::Binary(packet) => packet,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(frame) => {
                let reason =
                    frame.map(|frame| format!(" ({}: {})", u16::from(frame.code), frame.reason));
                return End::Lost(format!(
                    "the server closed it{}",
                    reason.unwrap_or_default()
                ));
            }
            Message::Text(_) | Message::Frame(_) => return breach(BreachReason::Protocol),
        };
        if let Err(end) = take(packet, &mut opener, shared) {
            return end;
        }
        if opener.packets_used() >= shared.options.limits.packets_per_connection {
            shared.retire();
        }
    }
    End::Lost("the server closed it".to_owned())
}

/// Opens one packet and answers the call that it belongs to.
fn take(packet: Bytes, opener: &mut Opener, shared: &Shared) -> Result<(), End> {
    // The message has no other owner, so this moves nothing.
    let mut packet = packet
        .try_into_mut()
        .unwrap_or_else(|packet| BytesMut::from(&packet[..]));
    let start = packet.as_ptr() as usize;
    let plaintext = match opener.open(&mut packet) {
        Ok(plaintext) => plaintext,
        Err(OpenError::Exhausted) => {
            return Err(End::Lost("the session key is used up".to_owned()));
        }
        Err(OpenError::TooShort | OpenError::Forged) => {
            return Err(breach(BreachReason::PacketForged));
        }
    };
    let response = Response::decode(plaintext).map_err(|error| {
        tracing::warn!(%error, "a packet that is no response");
        breach(BreachReason::Protocol)
    })?;
    let waiting = shared.in_flight().answer(response.seq).map_err(|error| {
        tracing::warn!(%error, "an answer to no call");
        breach(BreachReason::Sequence)
    })?;
    tracing::trace!(seq = response.seq, status = %response.status, "response");
    let payload = response.payload.message_pack();
    let answer = if response.status == Status::Ok {
        let place = payload.map(|payload| place_of(payload, start));
        Answer::Ok(place.map(|place| packet.freeze().slice(place)))
    } else {
        // A Go peer writes the empty string for no message.
        let message = response
            .message
            .filter(|message| !message.is_empty())
            .map(str::to_owned);
        let error = Error::from_status(&response.status, message, retry_after(&response, payload));
        if let Error::IntegrityBreach { .. } = error {
            let _ = waiting.send(Answer::Failed(error.clone()));
            return Err(End::Breach(error));
        }
        if let Error::InvalidSession { .. } = error {
            // No request over this connection would fare better; the next one has a new session.
            let detail = error.to_string();
            let _ = waiting.send(Answer::Failed(error));
            return Err(End::Lost(detail));
        }
        Answer::Failed(error)
    };
    // Nobody waits for the answer of a call that was cancelled or timed out.
    let _ = waiting.send(answer);
    Ok(())
}

/// Where `part` lies in the packet that begins at `start`.
fn place_of(part: &[u8], start: usize) -> Range<usize> {
    let from = part.as_ptr() as usize - start;
    from..from + part.len()
}

fn retry_after(response: &Response<'_>, payload: Option<&[u8]>) -> Option<u64> {
    if response.status != Status::RateLimited {
        return None;
    }
    methods::decode::<RateLimit>(payload?)
        .ok()?
        .retry_after_seconds
}

fn breach(reason: BreachReason) -> End {
    End::Breach(Error::breach(reason))
}

/// What an error of the WebSocket means: the network broke, or the peer broke the protocol.
fn end_of(error: tungstenite::Error) -> End {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            End::Lost("the server closed it".to_owned())
        }
        tungstenite::Error::Io(error) => End::Lost(error.to_string()),
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            End::Lost("it broke without a closing handshake".to_owned())
        }
        error => {
            tracing::warn!(%error, "the server broke the WebSocket protocol");
            breach(BreachReason::Protocol)
        }
    }
}
