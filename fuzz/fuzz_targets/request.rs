//! What a server does with the plaintext of a packet.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use skyline_protocol::Request;
use skyline_protocol::limits::PACKET_OVERHEAD_BYTES;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = Request::decode(bytes) else {
        return;
    };
    let mut again = BytesMut::new();
    request.encode(&mut again).expect("it fitted before");
    assert_eq!(request.sealed_len(), again.len() + PACKET_OVERHEAD_BYTES);
    let decoded = Request::decode(&again).expect("what was just written");
    assert_eq!(decoded, request);
});
