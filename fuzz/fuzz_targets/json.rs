//! The JSON of the host languages, both ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyline::fuzzing::{json_to_message_pack, message_pack_to_json};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(json) = message_pack_to_json(bytes) {
        let _: serde_json::Value = serde_json::from_str(&json).expect("what was written is JSON");
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(message_pack) = json_to_message_pack(text)
    {
        skyline_protocol::validate(&message_pack).expect("what was written is MessagePack");
        let json = message_pack_to_json(&message_pack).expect("it came from JSON");
        assert_eq!(
            json_to_message_pack(&json).expect("it is JSON"),
            message_pack
        );
    }
});
