//! The maps inside packets (docs/protocol.md, section 3).

use std::fmt;

use bytes::{BufMut, BytesMut};
use rmp::encode;

use crate::limits::PACKET_OVERHEAD_BYTES;
use crate::status::Status;
use crate::wire;

pub use crate::wire::{PacketError, validate};

/// The payload of a packet: the MessagePack of whatever the method takes or gives.
///
/// `Debug` shows the length only: payloads hold license keys and session tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// There is none: written as nil.
    None,
    /// Written as a bin that holds the MessagePack: the form to send.
    Binary(&'a [u8]),
    /// Written as part of the packet's own map: for peers that want it so.
    ///
    /// A value that is itself a bin is written as [`Payload::Binary`] all the same, since a reader
    /// could not tell the two apart.
    Inline(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The MessagePack of the payload, or `None` when there is none: no bytes and nil count as none.
    pub fn message_pack(&self) -> Option<&'a [u8]> {
        match *self {
            Self::None => None,
            Self::Binary(bytes) | Self::Inline(bytes) => match bytes {
                [] | [0xc0] => None,
                _ => Some(bytes),
            },
        }
    }

    /// The form in which the payload is written.
    fn normalized(&self) -> Self {
        match (self.message_pack(), self) {
            (None, _) => Self::None,
            (Some(bytes), Self::Inline(_)) if !wire::is_bin(bytes[0]) => Self::Inline(bytes),
            (Some(bytes), _) => Self::Binary(bytes),
        }
    }

    fn encoded_len(&self) -> usize {
        match self.normalized() {
            Self::None => 1,
            Self::Binary(bytes) => bin_len(bytes),
            Self::Inline(bytes) => bytes.len(),
        }
    }

    fn encode(&self, out: &mut BytesMut) -> Result<(), PacketError> {
        match self.normalized() {
            Self::None => nil(out),
            Self::Binary(bytes) => {
                let length = u32::try_from(bytes.len()).map_err(|_| PacketError::TooLong)?;
                encode::write_bin_len(&mut out.writer(), length)
                    .map_err(|_| PacketError::TooLong)?;
                out.extend_from_slice(bytes);
                Ok(())
            }
            Self::Inline(bytes) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn decode(input: &mut &'a [u8], key: &'static str) -> Result<Self, PacketError> {
        let payload = match input.first() {
            Some(first) if wire::is_bin(*first) => {
                let bytes = wire::read_bin(input, key)?;
                if !bytes.is_empty() {
                    validate(bytes)?;
                }
                Self::Binary(bytes)
            }
            _ => Self::Inline(wire::read_raw(input)?),
        };
        Ok(match payload.message_pack() {
            Some(_) => payload,
            None => Self::None,
        })
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("None"),
            Self::Binary(bytes) => write!(formatter, "Binary({} bytes)", bytes.len()),
            Self::Inline(bytes) => write!(formatter, "Inline({} bytes)", bytes.len()),
        }
    }
}

/// A request: what a client sends.
#[derive(Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// `q`: 0 for the first request of a connection, then one more each time.
    pub seq: u64,
    /// `t`: when it was made, in seconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// `r`: the method.
    pub method: &'a str,
    /// `s`: the session token; only `start-session` has none.
    pub token: Option<&'a str>,
    /// `d`: what the method takes.
    pub payload: Payload<'a>,
}

impl<'a> Request<'a> {
    /// Appends the request's map. The payload is not checked: see [`validate`].
    ///
    /// # Errors
    /// [`PacketError::TooLong`] for a part of 4 GiB or more; `out` may then hold a part of the map.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), PacketError> {
        map(out, 5)?;
        key(out, b'q');
        integer(out, self.seq)?;
        key(out, b't');
        signed(out, self.timestamp)?;
        key(out, b'r');
        text(out, self.method)?;
        key(out, b's');
        optional_text(out, self.token)?;
        key(out, b'd');
        self.payload.encode(out)
    }

    /// Reads a request's map: all of the bytes, and nothing else.
    ///
    /// # Errors
    /// When the map is malformed, too deep or followed by other bytes, or when a known key is
    /// missing, twice there or wrongly typed, as all are in a response. Unknown keys are ignored.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (mut seq, mut timestamp, mut method, mut token, mut payload) =
            (None, None, None, None, None);
        let mut input = bytes;
        wire::read_map(&mut input, |key, value| match key {
            b"q" => wire::keep(&mut seq, "q", wire::read_u64(value, "q")?),
            b"t" => wire::keep(&mut timestamp, "t", wire::read_i64(value, "t")?),
            b"r" => wire::keep(&mut method, "r", wire::read_str(value, "r")?),
            b"s" => wire::keep(&mut token, "s", wire::read_optional_str(value, "s")?),
            b"d" => wire::keep(&mut payload, "d", Payload::decode(value, "d")?),
            _ => Ok(false),
        })?;
        wire::end(input)?;
        Ok(Self {
            seq: seq.ok_or(PacketError::Missing("q"))?,
            timestamp: timestamp.ok_or(PacketError::Missing("t"))?,
            method: method.ok_or(PacketError::Missing("r"))?,
            token: token.ok_or(PacketError::Missing("s"))?,
            payload: payload.ok_or(PacketError::Missing("d"))?,
        })
    }

    /// The exact size of the sealed packet, in bytes: to be compared with the limit before the
    /// request is numbered.
    pub fn sealed_len(&self) -> usize {
        // One byte for the map and two for each of its five keys.
        PACKET_OVERHEAD_BYTES
            + 11
            + integer_len(self.seq)
            + signed_len(self.timestamp)
            + text_len(self.method)
            + self.token.map_or(1, text_len)
            + self.payload.encoded_len()
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("seq", &self.seq)
            .field("timestamp", &self.timestamp)
            .field("method", &self.method)
            .field("token", &self.token.map(|_| "redacted"))
            .field("payload", &self.payload)
            .finish()
    }
}

/// A response: what a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// `q`: the number of the request that this answers.
    pub seq: u64,
    /// `S`: the outcome.
    pub status: Status,
    /// `e`: a sentence for the user, in the language of the session.
    pub message: Option<&'a str>,
    /// `R`: what the method gives.
    pub payload: Payload<'a>,
}

impl<'a> Response<'a> {
    /// Appends the response's map. The payload is not checked: see [`validate`].
    ///
    /// # Errors
    /// [`PacketError::TooLong`] for a part of 4 GiB or more; `out` may then hold a part of the map.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), PacketError> {
        map(out, 4)?;
        key(out, b'q');
        integer(out, self.seq)?;
        key(out, b'S');
        text(out, self.status.as_str())?;
        key(out, b'e');
        optional_text(out, self.message)?;
        key(out, b'R');
        self.payload.encode(out)
    }

    /// Reads a response's map: all of the bytes, and nothing else.
    ///
    /// # Errors
    /// When the map is malformed, too deep or followed by other bytes, or when a known key is
    /// missing, twice there or wrongly typed, as some are in a request. Unknown keys are ignored.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (mut seq, mut status, mut message, mut payload) = (None, None, None, None);
        let mut input = bytes;
        wire::read_map(&mut input, |key, value| match key {
            b"q" => wire::keep(&mut seq, "q", wire::read_u64(value, "q")?),
            b"S" => wire::keep(&mut status, "S", Status::from(wire::read_str(value, "S")?)),
            b"e" => wire::keep(&mut message, "e", wire::read_optional_str(value, "e")?),
            b"R" => wire::keep(&mut payload, "R", Payload::decode(value, "R")?),
            _ => Ok(false),
        })?;
        wire::end(input)?;
        Ok(Self {
            seq: seq.ok_or(PacketError::Missing("q"))?,
            status: status.ok_or(PacketError::Missing("S"))?,
            message: message.ok_or(PacketError::Missing("e"))?,
            payload: payload.ok_or(PacketError::Missing("R"))?,
        })
    }

    /// The exact size of the sealed packet, in bytes: to be compared with the limit.
    pub fn sealed_len(&self) -> usize {
        // One byte for the map and two for each of its four keys.
        PACKET_OVERHEAD_BYTES
            + 9
            + integer_len(self.seq)
            + text_len(self.status.as_str())
            + self.message.map_or(1, text_len)
            + self.payload.encoded_len()
    }
}

// The writers below fail only where a length does not fit: a buffer in memory takes everything.

fn map(out: &mut BytesMut, length: u32) -> Result<(), PacketError> {
    encode::write_map_len(&mut out.writer(), length).map_err(|_| PacketError::TooLong)?;
    Ok(())
}

/// A key: all of them are a character, a str of one byte.
fn key(out: &mut BytesMut, name: u8) {
    out.extend_from_slice(&[0xa1, name]);
}

fn integer(out: &mut BytesMut, value: u64) -> Result<(), PacketError> {
    encode::write_uint(&mut out.writer(), value).map_err(|_| PacketError::TooLong)?;
    Ok(())
}

fn signed(out: &mut BytesMut, value: i64) -> Result<(), PacketError> {
    encode::write_sint(&mut out.writer(), value).map_err(|_| PacketError::TooLong)?;
    Ok(())
}

fn nil(out: &mut BytesMut) -> Result<(), PacketError> {
    encode::write_nil(&mut out.writer()).map_err(|_| PacketError::TooLong)
}

fn text(out: &mut BytesMut, value: &str) -> Result<(), PacketError> {
    let length = u32::try_from(value.len()).map_err(|_| PacketError::TooLong)?;
    encode::write_str_len(&mut out.writer(), length).map_err(|_| PacketError::TooLong)?;
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

fn optional_text(out: &mut BytesMut, value: Option<&str>) -> Result<(), PacketError> {
    match value {
        Some(value) => text(out, value),
        None => nil(out),
    }
}

// What the writers write, in bytes: the shortest forms of the MessagePack specification.

fn integer_len(value: u64) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

fn signed_len(value: i64) -> usize {
    match value {
        0.. => integer_len(value.unsigned_abs()),
        -0x20..0 => 1,
        -0x80..-0x20 => 2,
        -0x8000..-0x80 => 3,
        -0x8000_0000..-0x8000 => 5,
        _ => 9,
    }
}

fn text_len(value: &str) -> usize {
    match value.len() {
        length @ 0..=0x1f => 1 + length,
        length => header_len(length) + length,
    }
}

fn bin_len(value: &[u8]) -> usize {
    header_len(value.len()) + value.len()
}

/// The marker and length in front of a str (from 32 bytes on) or a bin.
fn header_len(length: usize) -> usize {
    match length {
        0..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}
