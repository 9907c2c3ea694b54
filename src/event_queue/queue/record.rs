//! The records of a log file, as bytes in and bytes out.
//!
//! A log is a sequence of records and nothing else; an empty file is an empty log.
//!
//! ```text
//! marker(8) ‖ kind(1) ‖ length of the body (u32) ‖ body ‖ CRC-32 of all before it (u32)
//! ```
//!
//! Numbers are in big-endian order. The kind `E` is an event: id(16) ‖ length of the name (u16) ‖
//! name ‖ data. The kind `D` says that an event is done with: id(16).
//!
//! The marker is random and differs from file to file: it stands in the file's name. So reading
//! can go on at the next record after a damaged one, and no bytes that an application puts into an
//! event can be mistaken for a record.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::event::{Event, MAX_DATA_BYTES, MAX_NAME_BYTES};

/// What each record of a file begins with. 64 random bits never turn up by chance in a file.
pub(super) type Marker = [u8; 8];

const EVENT: u8 = b'E';
const DONE: u8 = b'D';

const ID_BYTES: usize = 16;
const HEAD_BYTES: usize = size_of::<Marker>() + 1 + size_of::<u32>();
const CHECKSUM_BYTES: usize = size_of::<u32>();
const NAME_LENGTH_BYTES: usize = size_of::<u16>();

/// The longest body that is written; a longer one is damage.
const MAX_BODY_BYTES: usize = ID_BYTES + NAME_LENGTH_BYTES + MAX_NAME_BYTES + MAX_DATA_BYTES;

/// The largest record, in bytes.
pub(super) const MAX_RECORD_BYTES: usize = HEAD_BYTES + MAX_BODY_BYTES + CHECKSUM_BYTES;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// This event is to be delivered.
    Event(Arc<Event>),
    /// The event of this id is not to be delivered any more.
    Done(Uuid),
}

/// The size of a record that says that an event is done with, in bytes.
pub(super) const DONE_BYTES: usize = HEAD_BYTES + ID_BYTES + CHECKSUM_BYTES;

/// What was found in a log.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// The sound records in their order.
    pub(super) records: Vec<Record>,
    /// How many stretches of bytes were no record; each held at least a part of one.
    pub(super) damaged_stretches: u64,
    /// How many bytes they have together.
    pub(super) damaged_bytes: u64,
}

/// The size of an event's record, in bytes: what the event counts for in the queue.
pub(super) fn event_bytes(event: &Event) -> usize {
    let body = ID_BYTES + NAME_LENGTH_BYTES + event.name().len() + event.data().len();
    HEAD_BYTES + body + CHECKSUM_BYTES
}

/// Appends the record of an event.
pub(super) fn encode_event(out: &mut Vec<u8>, marker: &Marker, event: &Event) {
    let name = event.name().as_bytes();
    // The length of a name was checked to fit.
    let name_length = u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes();
    encode(
        out,
        marker,
        EVENT,
        &[event.id().as_bytes(), &name_length, name, event.data()],
    );
}

/// Appends the record that says that an event is done with.
pub(super) fn encode_done(out: &mut Vec<u8>, marker: &Marker, id: Uuid) {
    encode(out, marker, DONE, &[id.as_bytes()]);
}

fn encode(out: &mut Vec<u8>, marker: &Marker, kind: u8, body: &[&[u8]]) {
    let start = out.len();
    let length: usize = body.iter().map(|part| part.len()).sum();
    out.extend_from_slice(marker);
    out.push(kind);
    // A body is far below 4 GiB.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    for part in body {
        out.extend_from_slice(part);
    }
    let checksum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// Reads a log whole. It never fails: what is no sound record counts as damaged, and reading goes
/// on at the next marker.
pub(super) fn decode(marker: &Marker, bytes: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    let mut rest = bytes;
    let mut sound = true;
    while !rest.is_empty() {
        if let Some((record, length)) = read(marker, rest) {
            decoded.records.push(record);
            rest = &rest[length..];
            sound = true;
            continue;
        }
        let skipped = rest[1..]
            .windows(marker.len())
            .position(|window| window == marker)
            .map_or(rest.len(), |position| position + 1);
        decoded.damaged_stretches += u64::from(sound);
        decoded.damaged_bytes += skipped as u64;
        rest = &rest[skipped..];
        sound = false;
    }
    decoded
}

/// The record at the beginning of `bytes` and its size.
fn read(marker: &Marker, bytes: &[u8]) -> Option<(Record, usize)> {
    let rest = bytes.strip_prefix(marker)?;
    let (&kind, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > MAX_BODY_BYTES {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    let (checksum, _) = rest.split_first_chunk()?;
    let covered = HEAD_BYTES + length;
    if crc32fast::hash(&bytes[..covered]) != u32::from_be_bytes(*checksum) {
        return None;
    }
    let (id, body) = body.split_first_chunk::<ID_BYTES>()?;
    let id = Uuid::from_bytes(*id);
    let record = match kind {
        EVENT => {
            let (name_length, body) = body.split_first_chunk()?;
            let (name, data) = body.split_at_checked(u16::from_be_bytes(*name_length).into())?;
            let name = std::str::from_utf8(name).ok()?;
            Record::Event(Arc::new(Event::new(id, name, data).ok()?))
        }
        DONE if body.is_empty() => Record::Done(id),
        _ => return None,
    };
    Some((record, covered + CHECKSUM_BYTES))
}

/// The events of several logs that are still to be delivered: each once, in the order of a log,
/// the logs in the order of their first events. (Ids of UUID version 7 are in the order of time.)
///
/// One event may be in two logs, when a process was killed while it moved from one to the other.
pub(super) fn pending(logs: Vec<Vec<Record>>) -> Vec<Arc<Event>> {
    let mut done = HashSet::new();
    let mut in_order = Vec::new();
    for log in logs {
        let mut events = Vec::new();
        for record in log {
            match record {
                Record::Event(event) => events.push(event),
                Record::Done(id) => {
                    done.insert(id);
                }
            }
        }
        in_order.push(events);
    }
    in_order.sort_by_key(|events| events.first().map(|event| event.id()));
    let mut pending: Vec<_> = in_order.into_iter().flatten().collect();
    // What is pending and has been seen is done with, as far as the rest is concerned.
    pending.retain(|event| done.insert(event.id()));
    pending
}

/// What [`decode_event_log`] found.
#[cfg(any(test, fuzzing))]
#[derive(Debug)]
pub struct DecodedEventLog {
    /// How many records are sound.
    pub records: usize,
    /// The sound records, encoded again.
    pub sound: Vec<u8>,
    /// How many bytes belong to no sound record.
    pub damaged_bytes: u64,
}

/// Reads a log of the event queue, for tests that feed it arbitrary bytes. Not for applications.
#[cfg(any(test, fuzzing))]
pub fn decode_event_log(marker: [u8; 8], bytes: &[u8]) -> DecodedEventLog {
    let decoded = decode(&marker, bytes);
    let mut sound = Vec::new();
    for record in &decoded.records {
        match record {
            Record::Event(event) => encode_event(&mut sound, &marker, event),
            Record::Done(id) => encode_done(&mut sound, &marker, *id),
        }
    }
    DecodedEventLog {
        records: decoded.records.len(),
        sound,
        damaged_bytes: decoded.damaged_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: Marker = *b"\x01marker\xff";

    fn event(name: &str) -> Arc<Event> {
        let data = [0x81, 0xa1, b'n', 0xcd, 0x12, 0x34];
        Arc::new(Event::new(Uuid::now_v7(), name, &data).unwrap())
    }

    /// A log of events and acknowledgements, and where each record begins.
    fn log() -> (Vec<u8>, Vec<Record>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        let mut starts = Vec::new();
        for number in 0..6 {
            let event = event(&format!("event.{number}"));
            starts.push(bytes.len());
            encode_event(&mut bytes, &MARKER, &event);
            assert_eq!(bytes.len() - starts[starts.len() - 1], event_bytes(&event));
            let id = event.id();
            records.push(Record::Event(event));
            if number % 2 == 0 {
                starts.push(bytes.len());
                encode_done(&mut bytes, &MARKER, id);
                records.push(Record::Done(id));
            }
        }
        starts.push(bytes.len());
        (bytes, records, starts)
    }

    #[test]
    fn what_was_written_is_read() {
        let (bytes, records, _) = log();
        let decoded = decode(&MARKER, &bytes);
        assert_eq!(decoded.records, records);
        assert_eq!((decoded.damaged_stretches, decoded.damaged_bytes), (0, 0));
        let again = decode_event_log(MARKER, &bytes);
        assert_eq!((again.records, again.damaged_bytes), (records.len(), 0));
        assert_eq!(again.sound, bytes);
    }

    #[test]
    fn a_log_cut_at_any_byte_keeps_every_whole_record() {
        let (bytes, records, starts) = log();
        for cut in 0..=bytes.len() {
            let whole = starts.iter().filter(|start| **start <= cut).count() - 1;
            let decoded = decode(&MARKER, &bytes[..cut]);
            assert_eq!(decoded.records, records[..whole], "cut at {cut}");
            let torn = cut - starts[whole];
            assert_eq!(decoded.damaged_bytes, torn as u64, "cut at {cut}");
            assert_eq!(decoded.damaged_stretches, u64::from(torn > 0));
        }
        println!("cuts: {}", bytes.len() + 1);
    }

    #[test]
    fn a_log_without_its_first_bytes_keeps_every_whole_record() {
        let (bytes, records, starts) = log();
        for cut in 0..=bytes.len() {
            let lost = starts.iter().filter(|start| **start < cut).count();
            let decoded = decode(&MARKER, &bytes[cut..]);
            assert_eq!(decoded.records, records[lost..], "without the first {cut}");
        }
    }

    #[test]
    fn a_changed_byte_costs_the_record_that_it_is_in_and_no_other() {
        let (bytes, records, starts) = log();
        let mut cases = 0;
        for position in 0..bytes.len() {
            let touched = starts.iter().filter(|start| **start <= position).count() - 1;
            let rest: Vec<_> = [&records[..touched], &records[touched + 1..]]
                .into_iter()
                .flatten()
                .collect();
            let length = starts[touched + 1] - starts[touched];
            for flipped in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[position] ^= flipped;
                let decoded = decode(&MARKER, &damaged);
                assert_eq!(decoded.records.iter().collect::<Vec<_>>(), rest);
                assert_eq!(decoded.damaged_stretches, 1, "byte {position}");
                assert_eq!(decoded.damaged_bytes, length as u64, "byte {position}");
                cases += 1;
            }
        }
        println!("changed bytes: {cases}");
    }

    #[test]
    fn neighbouring_damage_is_one_stretch_and_separate_damage_two() {
        let (mut bytes, records, starts) = log();
        for record in [1, 2, 5] {
            bytes[starts[record] + 9] ^= 1;
        }
        let decoded = decode(&MARKER, &bytes);
        assert_eq!(decoded.records.len(), records.len() - 3);
        assert_eq!(decoded.damaged_stretches, 2);
    }

    #[test]
    fn a_record_inside_an_event_of_another_file_is_no_record() {
        let (foreign, ..) = log();
        let mut data = vec![0x81, 0xa0, 0xc5];
        data.extend_from_slice(&u16::try_from(foreign.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&foreign);
        let event = Event::new(Uuid::now_v7(), "nested", &data).unwrap();
        let marker = *b"anothers";
        let mut bytes = Vec::new();
        encode_event(&mut bytes, &marker, &event);
        bytes[8] = b'?';
        let decoded = decode(&marker, &bytes);
        assert!(decoded.records.is_empty());
        assert_eq!(decoded.damaged_stretches, 1);
    }

    #[test]
    fn a_sound_record_of_what_no_event_can_be_is_damage() {
        let id = Uuid::now_v7();
        let bad: [(u8, &[&[u8]]); 6] = [
            (b'X', &[id.as_bytes()]),
            (DONE, &[id.as_bytes(), b"more"]),
            (DONE, &[b"short"]),
            (EVENT, &[id.as_bytes(), &[0, 0], &[0x80]]),
            (EVENT, &[id.as_bytes(), &[0, 1], b"n", &[0xc0]]),
            (EVENT, &[id.as_bytes(), &[0, 1], &[0xff], &[0x80]]),
        ];
        for (kind, body) in bad {
            let mut bytes = Vec::new();
            encode(&mut bytes, &MARKER, kind, body);
            let decoded = decode(&MARKER, &bytes);
            assert!(decoded.records.is_empty(), "{kind} {body:?}");
            assert_eq!(decoded.damaged_bytes, bytes.len() as u64);
        }
    }

    #[test]
    fn logs_are_taken_in_the_order_of_time_and_each_event_once() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(event);
        let first = vec![
            Record::Event(a.clone()),
            Record::Event(b.clone()),
            Record::Done(a.id()),
        ];
        let second = vec![
            Record::Event(b.clone()),
            Record::Event(d.clone()),
            Record::Done(c.id()),
        ];
        let third = vec![Record::Event(c)];
        let expected = vec![b, d];
        assert_eq!(pending(vec![third, second, first, vec![]]), expected);
    }
}
