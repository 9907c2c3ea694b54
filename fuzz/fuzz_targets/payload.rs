//! What both ends do with the payloads of the methods.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use skyline_protocol::methods::{
    Limits, RateLimit, SendEvent, StartSessionRequest, StartSessionResponse, decode, encode,
};

fn there_and_back<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(payload: &[u8]) {
    if let Ok(value) = decode::<T>(payload) {
        let again = encode(&value).expect("what was read can be written");
        assert_eq!(decode::<T>(&again), Ok(value));
    }
}

fuzz_target!(|payload: &[u8]| {
    there_and_back::<StartSessionRequest>(payload);
    there_and_back::<StartSessionResponse>(payload);
    there_and_back::<Limits>(payload);
    there_and_back::<RateLimit>(payload);
    if let Ok(event) = SendEvent::decode(payload) {
        let again = event.encode().expect("what was read can be written");
        assert_eq!(SendEvent::decode(&again), Ok(event));
    }
});
