//! What a client does with the plaintext of a packet.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use skyline_protocol::Response;
use skyline_protocol::limits::PACKET_OVERHEAD_BYTES;

fuzz_target!(|bytes: &[u8]| {
    let Ok(response) = Response::decode(bytes) else {
        return;
    };
    let mut again = BytesMut::new();
    response.encode(&mut again).expect("it fitted before");
    assert_eq!(response.sealed_len(), again.len() + PACKET_OVERHEAD_BYTES);
    let decoded = Response::decode(&again).expect("what was just written");
    assert_eq!(decoded, response);
});
