//! Reading MessagePack that the peer controls: bounded, without copies, without panics.
//!
//! The marker bytes are read by `rmp`; here are the bounds and the rules for maps that packets,
//! hello messages and method payloads share (docs/protocol.md, section 3).

use rmp::Marker;
use rmp::decode::{self, NumValueReadError, RmpReadErr};
use thiserror::Error;

use crate::limits::MAX_DEPTH;

/// Why bytes are not the packet or the value that they should be. On an open session each is a
/// protocol violation. It names keys of the protocol and no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The bytes end too early or hold the one marker that MessagePack does not use.
    #[error("the MessagePack is malformed or cut short")]
    Malformed,
    /// More bytes follow the value.
    #[error("bytes follow the MessagePack value")]
    TrailingBytes,
    /// Arrays and maps lie deeper than [`MAX_DEPTH`] inside each other.
    #[error("the MessagePack is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The value is not a map.
    #[error("a map is expected")]
    NotAMap,
    /// A key that must be there is missing.
    #[error("the key `{0}` is missing")]
    Missing(&'static str),
    /// A known key is there twice.
    #[error("the key `{0}` is there twice")]
    Duplicate(&'static str),
    /// The value of a known key has a wrong type or range.
    #[error("the value of the key `{0}` has the wrong type")]
    WrongType(&'static str),
    /// A text or payload to be written is longer than MessagePack can say (4 GiB).
    #[error("a value is too long for MessagePack")]
    TooLong,
}

/// Checks that the bytes are exactly one well-formed MessagePack value of bounded depth.
///
/// A value may hold [`MAX_DEPTH`] arrays and maps inside each other, itself counted. Lengths that
/// the bytes claim cost nothing until their content is there. The text of strings is not looked
/// at: MessagePack allows any bytes there, and whoever decodes the value decides.
///
/// # Errors
/// [`PacketError::Malformed`], [`PacketError::TooDeep`] or [`PacketError::TrailingBytes`].
pub fn validate(message_pack: &[u8]) -> Result<(), PacketError> {
    let mut input = message_pack;
    skip(&mut input)?;
    end(input)
}

/// Checks that nothing follows.
pub(crate) fn end(input: &[u8]) -> Result<(), PacketError> {
    if input.is_empty() {
        Ok(())
    } else {
        Err(PacketError::TrailingBytes)
    }
}

/// Reads one value of any kind and gives its bytes.
pub(crate) fn read_raw<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], PacketError> {
    let start = *input;
    skip(input)?;
    Ok(&start[..start.len() - input.len()])
}

fn skip(input: &mut &[u8]) -> Result<(), PacketError> {
    skip_within(input, MAX_DEPTH)
}

fn skip_within(input: &mut &[u8], levels: usize) -> Result<(), PacketError> {
    let marker = decode::read_marker(input).map_err(|_| PacketError::Malformed)?;
    // What follows the marker: so many bytes, or so many values.
    let (bytes, values) = match marker {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
            (0, 0)
        }
        Marker::U8 | Marker::I8 => (1, 0),
        Marker::U16 | Marker::I16 => (2, 0),
        Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
        Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
        Marker::FixStr(length) => (u64::from(length), 0),
        Marker::Str8 | Marker::Bin8 => (read_length::<1>(input)?, 0),
        Marker::Str16 | Marker::Bin16 => (read_length::<2>(input)?, 0),
        Marker::Str32 | Marker::Bin32 => (read_length::<4>(input)?, 0),
        // An extension has one byte more: its type.
        Marker::FixExt1 => (2, 0),
        Marker::FixExt2 => (3, 0),
        Marker::FixExt4 => (5, 0),
        Marker::FixExt8 => (9, 0),
        Marker::FixExt16 => (17, 0),
        Marker::Ext8 => (read_length::<1>(input)? + 1, 0),
        Marker::Ext16 => (read_length::<2>(input)? + 1, 0),
        Marker::Ext32 => (read_length::<4>(input)? + 1, 0),
        Marker::FixArray(_)
        | Marker::Array16
        | Marker::Array32
        | Marker::FixMap(_)
        | Marker::Map16
        | Marker::Map32
            if levels == 0 =>
        {
            return Err(PacketError::TooDeep);
        }
        Marker::FixArray(length) => (0, u64::from(length)),
        Marker::Array16 => (0, read_length::<2>(input)?),
        Marker::Array32 => (0, read_length::<4>(input)?),
        Marker::FixMap(length) => (0, 2 * u64::from(length)),
        Marker::Map16 => (0, 2 * read_length::<2>(input)?),
        Marker::Map32 => (0, 2 * read_length::<4>(input)?),
        Marker::Reserved => return Err(PacketError::Malformed),
    };
    take(input, bytes)?;
    // Each value takes at least one byte, so a false count ends with the input.
    for _ in 0..values {
        skip_within(input, levels - 1)?;
    }
    Ok(())
}

/// A big-endian length of `N` bytes.
fn read_length<const N: usize>(input: &mut &[u8]) -> Result<u64, PacketError> {
    let bytes = take(input, N as u64)?;
    Ok(bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn take<'a>(input: &mut &'a [u8], length: u64) -> Result<&'a [u8], PacketError> {
    let length = usize::try_from(length).map_err(|_| PacketError::Malformed)?;
    let (taken, rest) = input
        .split_at_checked(length)
        .ok_or(PacketError::Malformed)?;
    *input = rest;
    Ok(taken)
}

/// Reads a map: `read` gets each text key and reads its value, or answers `false` for a key that it
/// does not know, whose value is then skipped. Keys of other types are unknown keys too.
pub(crate) fn read_map<'a>(
    input: &mut &'a [u8],
    mut read: impl FnMut(&[u8], &mut &'a [u8]) -> Result<bool, PacketError>,
) -> Result<(), PacketError> {
    let is_map = input.first().is_some_and(|byte| is_map(*byte));
    if !is_map {
        return Err(PacketError::NotAMap);
    }
    let length = decode::read_map_len(input).map_err(|_| PacketError::Malformed)?;
    for _ in 0..length {
        let mut key = read_raw(input)?;
        let known = match decode::read_str_len(&mut key) {
            Ok(_) => read(key, input)?,
            Err(_) => false,
        };
        if !known {
            skip(input)?;
        }
    }
    Ok(())
}

/// Whether a value that begins with this byte is a map.
pub(crate) fn is_map(first: u8) -> bool {
    matches!(
        Marker::from_u8(first),
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32
    )
}

/// Keeps a value in its place; answers `true`, as [`read_map`] wants it.
pub(crate) fn keep<T>(
    place: &mut Option<T>,
    key: &'static str,
    value: T,
) -> Result<bool, PacketError> {
    match place.replace(value) {
        None => Ok(true),
        Some(_) => Err(PacketError::Duplicate(key)),
    }
}

/// An unsigned integer, written in any width.
pub(crate) fn read_u64(input: &mut &[u8], key: &'static str) -> Result<u64, PacketError> {
    decode::read_int(input).map_err(|error| integer_error(&error, key))
}

/// A signed integer, written in any width.
pub(crate) fn read_i64(input: &mut &[u8], key: &'static str) -> Result<i64, PacketError> {
    decode::read_int(input).map_err(|error| integer_error(&error, key))
}

fn integer_error<E: RmpReadErr>(error: &NumValueReadError<E>, key: &'static str) -> PacketError {
    match error {
        NumValueReadError::TypeMismatch(_) | NumValueReadError::OutOfRange => {
            PacketError::WrongType(key)
        }
        _ => PacketError::Malformed,
    }
}

/// A text in UTF-8.
pub(crate) fn read_str<'a>(
    input: &mut &'a [u8],
    key: &'static str,
) -> Result<&'a str, PacketError> {
    let mut value = read_raw(input)?;
    decode::read_str_len(&mut value).map_err(|_| PacketError::WrongType(key))?;
    str::from_utf8(value).map_err(|_| PacketError::WrongType(key))
}

/// A text in UTF-8, or nil.
pub(crate) fn read_optional_str<'a>(
    input: &mut &'a [u8],
    key: &'static str,
) -> Result<Option<&'a str>, PacketError> {
    if read_nil(input) {
        return Ok(None);
    }
    read_str(input, key).map(Some)
}

/// Bytes of type bin.
pub(crate) fn read_bin<'a>(
    input: &mut &'a [u8],
    key: &'static str,
) -> Result<&'a [u8], PacketError> {
    let mut value = read_raw(input)?;
    decode::read_bin_len(&mut value).map_err(|_| PacketError::WrongType(key))?;
    Ok(value)
}

/// Reads a nil if one is next.
pub(crate) fn read_nil(input: &mut &[u8]) -> bool {
    match input.split_first() {
        Some((first, rest)) if Marker::from_u8(*first) == Marker::Null => {
            *input = rest;
            true
        }
        _ => false,
    }
}

/// Whether a value that begins with this byte is of type bin.
pub(crate) fn is_bin(first: u8) -> bool {
    matches!(
        Marker::from_u8(first),
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32
    )
}
