//! What both ends do with a message that should be a packet.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use skyline_protocol::{Request, Response, SessionKey};

fuzz_target!(|bytes: &[u8]| {
    // As it came: nothing opens that was not sealed.
    let (mut sealer, mut opener) = SessionKey::from_bytes([8; 32]).cipher();
    assert!(opener.open(&mut bytes.to_vec()).is_err());
    // As a plaintext that the other end sealed: it comes out as it went in.
    let mut packet = BytesMut::new();
    sealer
        .seal_with_nonce([7; 12], bytes, &mut packet)
        .expect("a key that is not used up");
    let plaintext = opener.open(&mut packet).expect("what was just sealed");
    assert_eq!(plaintext, bytes);
    // It may be a request or a response, and never both.
    assert!(Request::decode(bytes).is_err() || Response::decode(bytes).is_err());
});
