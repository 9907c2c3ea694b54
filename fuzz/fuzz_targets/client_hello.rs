//! What a server does with the first message of anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyline_fuzz::{
    CLIENT_NONCE, CLIENT_PRIVATE, SERVER_NONCE, SERVER_PRIVATE, derivation, identity,
};
use skyline_protocol::{ClientHandshake, ServerHandshake};

fuzz_target!(|hello: &[u8]| {
    let answered = ServerHandshake::answer_with_secrets(
        hello,
        &identity(),
        &derivation(),
        SERVER_PRIVATE,
        SERVER_NONCE,
    );
    let Ok((answer, key)) = answered else { return };
    // What was answered is an answer to its client, whoever that was: ours takes it only if the
    // hello had its key and its nonce.
    let (client, _) = ClientHandshake::with_secrets(CLIENT_PRIVATE, CLIENT_NONCE);
    if let Ok(client_key) = client.finish(&answer, &[identity().public()], &derivation()) {
        assert_eq!(client_key.as_bytes(), key.as_bytes());
    }
});
