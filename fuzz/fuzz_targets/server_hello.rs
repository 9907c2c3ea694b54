//! What a client does with the answer of a server that may be anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyline_fuzz::{
    CLIENT_NONCE, CLIENT_PRIVATE, SERVER_NONCE, SERVER_PRIVATE, derivation, identity,
};
use skyline_protocol::{ClientHandshake, ServerHandshake};

fuzz_target!(|answer: &[u8]| {
    let (client, hello) = ClientHandshake::with_secrets(CLIENT_PRIVATE, CLIENT_NONCE);
    let Ok(key) = client.finish(answer, &[identity().public()], &derivation()) else {
        return;
    };
    // Nobody but the server can sign, and it has signed one answer only.
    let (_, signed) = ServerHandshake::answer_with_secrets(
        &hello,
        &identity(),
        &derivation(),
        SERVER_PRIVATE,
        SERVER_NONCE,
    )
    .expect("our own hello");
    assert_eq!(key.as_bytes(), signed.as_bytes());
});
