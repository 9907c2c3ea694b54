//! Wrong, tampered, replayed and missing answers to the greeting.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::SinkExt;
use skyline::{BreachReason, Client, Error};
use skyline_protocol::handshake::{KeyDerivation, ServerHandshake, refusal};
use skyline_protocol::identity::IdentityKeyPair;
use skyline_protocol::status::Status;
use tokio_tungstenite::tungstenite::Message;

use crate::support::peer::{Link, Peer, receive};
use crate::support::soon;

/// The error of a client whose greeting is answered with what `answer` makes of it.
async fn error_after(
    answer: impl Fn(&[u8], &IdentityKeyPair) -> Message + Clone + Send + 'static,
) -> Error {
    let peer = Peer::start(move |mut socket, identity| {
        let answer = answer.clone();
        async move {
            let hello = receive(&mut socket).await.unwrap().into_data();
            let _ = socket.send(answer(&hello, &identity)).await;
            while receive(&mut socket).await.is_some() {}
        }
    })
    .await;
    peer.connect().await.unwrap_err()
}

fn good_answer(hello: &[u8], identity: &IdentityKeyPair) -> Vec<u8> {
    ServerHandshake::answer(hello, identity, &KeyDerivation::default())
        .unwrap()
        .0
}

/// The place of the signature's bytes in an answer: behind its key and the three bytes of its
/// type and length.
fn signature_place(answer: &[u8]) -> usize {
    let key = b"signature";
    let start = answer
        .windows(key.len())
        .position(|bytes| bytes == key)
        .unwrap();
    start + key.len() + 2
}

#[tokio::test]
async fn a_tampered_signature_is_a_breach_at_every_byte() {
    for byte in [0, 31, 32, 63] {
        let error = error_after(move |hello, identity| {
            let mut answer = good_answer(hello, identity);
            let place = signature_place(&answer) + byte;
            answer[place] ^= 1;
            Message::Binary(answer.into())
        })
        .await;
        assert_eq!(error, breach(BreachReason::ServerSignature), "byte {byte}");
    }
}

#[tokio::test]
async fn a_replayed_server_hello_is_a_breach() {
    let first: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let recorded = first.clone();
    let peer = Peer::start(move |mut socket, identity| {
        let recorded = recorded.clone();
        async move {
            let hello = receive(&mut socket).await.unwrap().into_data();
            let answer = {
                let mut recorded = recorded.lock().unwrap();
                recorded
                    .get_or_insert_with(|| good_answer(&hello, &identity))
                    .clone()
            };
            let _ = socket.send(Message::Binary(answer.into())).await;
        }
    })
    .await;
    let error = peer.connect().await.unwrap_err();
    assert_ne!(
        error,
        breach(BreachReason::ServerSignature),
        "the first answer was fresh"
    );
    let error = peer.connect().await.unwrap_err();
    assert_eq!(error, breach(BreachReason::ServerSignature));
}

#[tokio::test]
async fn the_greeting_sent_back_is_no_answer() {
    let error = error_after(|hello, _| Message::Binary(hello.to_vec().into())).await;
    assert_eq!(error.code(), "HANDSHAKE");
}

#[tokio::test]
async fn garbage_text_and_emptiness_are_no_answers() {
    for message in [
        Message::Binary(vec![0xc1; 200].into()),
        Message::Binary(Vec::new().into()),
        Message::Binary(vec![0x93; 10_000].into()),
        Message::text("hello"),
        Message::Close(None),
    ] {
        let error = error_after(move |_, _| message.clone()).await;
        assert_eq!(error.code(), "HANDSHAKE", "{error}");
    }
}

#[tokio::test]
async fn an_answer_cut_anywhere_is_no_answer() {
    for length in [1, 20, 60, 150] {
        let error = error_after(move |hello, identity| {
            let mut answer = good_answer(hello, identity);
            answer.truncate(length);
            Message::Binary(answer.into())
        })
        .await;
        assert_eq!(error.code(), "HANDSHAKE", "cut at {length}: {error}");
    }
}

#[tokio::test]
async fn a_refused_handshake_says_why() {
    let error = error_after(|_, _| {
        Message::Binary(refusal(&Status::InternalError, Some("Closed for repairs.")).into())
    })
    .await;
    assert_eq!(error.code(), "HANDSHAKE");
    assert!(error.to_string().contains("Closed for repairs."), "{error}");
}

#[tokio::test]
async fn silence_at_the_handshake_ends_at_the_deadline() {
    let peer =
        Peer::start(|mut socket, _| async move { while receive(&mut socket).await.is_some() {} })
            .await;
    let mut config = peer.config();
    config.deadlines.handshake = Duration::from_millis(200);
    let error = soon(Client::connect(config)).await.unwrap_err();
    assert_eq!(error.code(), "HANDSHAKE");
}

#[tokio::test]
async fn silence_at_the_login_ends_at_the_deadline() {
    let peer = Peer::start(|socket, identity| async move {
        Link::accept(socket, &identity)
            .await
            .unwrap()
            .until_closed()
            .await;
    })
    .await;
    let mut config = peer.config();
    // Time for the handshake itself, on any machine.
    config.deadlines.handshake = Duration::from_secs(2);
    let error = soon(Client::connect(config)).await.unwrap_err();
    assert_eq!(error.code(), "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_connection_closed_after_the_handshake_is_lost() {
    let peer = Peer::start(|socket, identity| async move {
        drop(Link::accept(socket, &identity).await);
    })
    .await;
    assert_eq!(peer.connect().await.unwrap_err().code(), "CONNECTION_LOST");
}

#[tokio::test]
async fn any_of_the_pinned_keys_will_do() {
    let peer = Peer::start(|socket, identity| async move {
        Link::log_in(socket, &identity)
            .await
            .unwrap()
            .0
            .until_closed()
            .await;
    })
    .await;
    let mut config = peer.config();
    config
        .identity_keys
        .insert(0, IdentityKeyPair::generate().public());
    soon(Client::connect(config)).await.unwrap();
}

#[tokio::test]
async fn salt_and_info_of_the_deployment_make_another_key() {
    let derivation = KeyDerivation {
        salt: Some(b"salt".to_vec()),
        info: b"info".to_vec(),
    };
    let server =
        crate::support::Server::start_with(&["--hkdf-salt", "73616c74", "--hkdf-info", "696e666f"]);
    let mut config = server.owner().config();
    config.key_derivation = derivation;
    soon(Client::connect(config)).await.unwrap();
    let error = server.owner().try_connect().await.unwrap_err();
    assert!(
        ["INTEGRITY_BREACH", "CONNECTION_LOST"].contains(&error.code()),
        "{error}"
    );
}

fn breach(reason: BreachReason) -> Error {
    Error::IntegrityBreach {
        reason,
        server_message: None,
    }
}
