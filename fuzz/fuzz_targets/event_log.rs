//! A file of the event queue, as a crash, a bad disk or whoever can write to it left it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyline::fuzzing::decode_event_log;

/// What the records of the seeds begin with.
const MARKER: [u8; 8] = *b"\x01marker\xff";

fuzz_target!(|bytes: &[u8]| {
    let decoded = decode_event_log(MARKER, bytes);
    // Every byte is of a sound record or of a damaged stretch.
    let sound = decoded.sound.len() as u64;
    assert_eq!(sound + decoded.damaged_bytes, bytes.len() as u64);
    // The sound records are a sound log.
    let again = decode_event_log(MARKER, &decoded.sound);
    assert_eq!(again.records, decoded.records);
    assert_eq!(again.sound, decoded.sound);
    assert_eq!(again.damaged_bytes, 0);
});
