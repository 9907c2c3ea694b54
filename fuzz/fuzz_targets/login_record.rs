//! The last-login file, as whoever can write to the disk left it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyline::fuzzing::{open_login_record, seal_login_record};

const KEY: [u8; 32] = [3; 32];

fuzz_target!(|bytes: &[u8]| {
    // What opens was sealed with the key: it is the one content for its time.
    if let Some(time) = open_login_record(&KEY, bytes) {
        assert_eq!(seal_login_record(&KEY, time), bytes);
    }
    // Whatever time is sealed is read again, and no other key reads it.
    if let Some(time) = bytes.first_chunk().map(|bytes| i64::from_be_bytes(*bytes)) {
        let sealed = seal_login_record(&KEY, time);
        assert_eq!(open_login_record(&KEY, &sealed), Some(time));
        assert_eq!(open_login_record(&[4; 32], &sealed), None);
    }
});
