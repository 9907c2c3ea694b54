//! Whether bytes are one MessagePack value: our bounded reader against an independent one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyline_protocol::limits::MAX_DEPTH;
use skyline_protocol::{PacketError, validate};

fuzz_target!(|bytes: &[u8]| {
    let ours = validate(bytes);
    // Far deeper than ours, so that its own bound is never what decides.
    let mut rest = bytes;
    let value = rmpv::decode::read_value_with_max_depth(&mut rest, 4 * MAX_DEPTH);
    match ours {
        Ok(()) => assert!(value.is_ok() && rest.is_empty()),
        Err(PacketError::TooDeep) => {}
        // The other one takes the marker that MessagePack does not use for a nil.
        Err(_) if bytes.contains(&0xc1) => {}
        Err(_) => assert!(value.is_err() || !rest.is_empty()),
    }
});
