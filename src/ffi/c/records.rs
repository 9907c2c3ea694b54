//! Many calls in one buffer.

use std::time::Duration;

use bytes::Bytes;

use super::call::{Call, FLAGS, SKYLINE_CALL_PAYLOAD};
use super::memory;
use crate::error::{Error, Result};

/// What precedes each call of `skyline_submit_many`: this struct, then the method's bytes, then the
/// payload's, then the next struct, without padding between them and without alignment.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SkylineCallHeader {
    /// The caller's name for the call, which its completion carries: unique among the calls of the
    /// queue that are not drained yet.
    pub id: u64,
    /// How long the call may take, in milliseconds, reconnecting and waiting for its turn included;
    /// `UINT64_MAX`: the client's `call_deadline`.
    pub deadline_ms: u64,
    /// The method's length in bytes of UTF-8.
    pub method_len: u32,
    /// The payload's length in bytes.
    pub payload_len: u32,
    /// `SKYLINE_CALL_…`, added up.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

const HEADER_BYTES: usize = size_of::<SkylineCallHeader>();

impl SkylineCallHeader {
    fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        let long = |at: usize| u64::from_ne_bytes(part(bytes, at));
        let short = |at: usize| u32::from_ne_bytes(part(bytes, at));
        Self {
            id: long(0),
            deadline_ms: long(8),
            method_len: short(16),
            payload_len: short(20),
            flags: short(24),
            reserved: short(28),
        }
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// The calls of a buffer, which is copied once for all of them.
///
/// # Errors
///
/// [`Error::InvalidConfiguration`] for the argument `records` when they are malformed.
pub(super) fn read(records: &[u8]) -> Result<Vec<Call>> {
    let malformed = || {
        Error::invalid(
            "records",
            "headers, each with its method and payload behind it, and known flags",
        )
    };
    let all = Bytes::copy_from_slice(records);
    let mut calls = Vec::with_capacity(records.len() / (2 * HEADER_BYTES));
    let mut at = 0;
    while at < all.len() {
        let header = all[at..]
            .first_chunk::<HEADER_BYTES>()
            .ok_or_else(malformed)?;
        let header = SkylineCallHeader::read(header);
        let method = at + HEADER_BYTES;
        // Sums of three lengths below 2^32 and one of a buffer in memory.
        let payload = method
            .checked_add(header.method_len as usize)
            .ok_or_else(malformed)?;
        let end = payload
            .checked_add(header.payload_len as usize)
            .ok_or_else(malformed)?;
        let has_payload = header.flags & SKYLINE_CALL_PAYLOAD != 0;
        if end > all.len()
            || header.flags & !FLAGS != 0
            || header.reserved != 0
            || !has_payload && header.payload_len != 0
        {
            return Err(malformed());
        }
        calls.push(Call {
            id: header.id,
            method: memory::text("method", &all[method..payload])?.into(),
            payload: has_payload.then(|| all.slice(payload..end)),
            deadline: deadline(header.deadline_ms),
            flags: header.flags,
        });
        at = end;
    }
    Ok(calls)
}

/// A deadline of the C interface; none: the client's own.
pub(super) fn deadline(milliseconds: u64) -> Option<Duration> {
    (milliseconds != u64::MAX).then(|| Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64, flags: u32, method: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        record.extend_from_slice(&id.to_ne_bytes());
        record.extend_from_slice(&u64::MAX.to_ne_bytes());
        record.extend_from_slice(&(method.len() as u32).to_ne_bytes());
        record.extend_from_slice(&(payload.len() as u32).to_ne_bytes());
        record.extend_from_slice(&flags.to_ne_bytes());
        record.extend_from_slice(&0_u32.to_ne_bytes());
        record.extend_from_slice(method);
        record.extend_from_slice(payload);
        record
    }

    #[test]
    fn each_record_is_one_call() {
        let records = [
            record(1, 0, b"first", b""),
            record(2, SKYLINE_CALL_PAYLOAD, b"second", b"\xc0"),
        ]
        .concat();
        let calls = read(&records).unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!((calls[0].id, &*calls[0].method), (1, "first"));
        assert_eq!(calls[0].payload, None);
        assert_eq!(calls[0].deadline, None);
        assert_eq!((calls[1].id, &*calls[1].method), (2, "second"));
        assert_eq!(calls[1].payload.as_deref(), Some(&b"\xc0"[..]));
    }

    #[test]
    fn no_calls_are_no_mistake() {
        assert!(read(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_buffer_cut_anywhere_is_refused_whole() {
        let records = [
            record(1, SKYLINE_CALL_PAYLOAD, b"first", b"\xc0"),
            record(2, SKYLINE_CALL_PAYLOAD, b"second", b"\xc0"),
        ]
        .concat();
        let boundary = records.len() - record(2, 0, b"second", b"\xc0").len();
        for length in (1..records.len()).filter(|length| *length != boundary) {
            let error = read(&records[..length]).err().unwrap();
            assert_eq!(error.code(), "INVALID_CONFIGURATION", "{length}");
        }
    }

    #[test]
    fn what_is_unknown_or_contradicts_itself_is_refused() {
        for records in [
            record(1, 1 << 31, b"unknown flag", b""),
            record(1, 0, b"payload without its flag", b"\xc0"),
            record(1, 0, b"\xff", b""),
        ] {
            read(&records).err().unwrap();
        }
    }
}
