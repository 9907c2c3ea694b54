//! Wrong packets on an open session: each ends it as an integrity breach, and the client is
//! finished.

use std::time::Duration;

use skyline::{BreachReason, Client, ConnectionState, Error};
use skyline_protocol::packet::Payload;
use skyline_protocol::status::Status;
use tokio_tungstenite::tungstenite::Message;

use crate::support::peer::{Link, Peer, Received, receive};
use crate::support::soon;

/// What a client makes of a peer that answers its first call by `misbehave`: the error of the
/// call, which must also be that of the next call and of the last state.
async fn error_of_call<F>(misbehave: impl Fn(Link, Received) -> F + Clone + Send + 'static) -> Error
where
    F: Future<Output = Link> + Send + 'static,
{
    let peer = Peer::start(move |socket, identity| {
        let misbehave = misbehave.clone();
        async move {
            let (mut link, _) = Link::log_in(socket, &identity).await.unwrap();
            let request = link.request().await.unwrap();
            misbehave(link, request).await.until_closed().await;
        }
    })
    .await;
    let client = peer.connect().await.unwrap();
    let mut states = client.states();
    assert_eq!(
        soon(states.next_state()).await,
        Some(ConnectionState::Ready)
    );
    let error = call(&client).await.unwrap_err();
    if let Error::IntegrityBreach { .. } = error {
        assert_eq!(call(&client).await.unwrap_err(), error);
        assert_eq!(
            soon(states.next_state()).await,
            Some(ConnectionState::Breached(error.clone()))
        );
        assert_eq!(soon(states.next_state()).await, None);
    }
    error
}

async fn call(client: &Client) -> skyline::Result<()> {
    soon(client.call("anything", &())).await
}

fn breach(reason: BreachReason) -> Error {
    Error::IntegrityBreach {
        reason,
        server_message: None,
    }
}

#[tokio::test]
async fn a_session_that_the_server_forgot_gives_way_to_a_new_one() {
    let peer = Peer::start(|socket, identity| async move {
        let (mut link, _) = Link::log_in(socket, &identity).await.unwrap();
        // The server forgets, answers so, and does not close the connection.
        while let Some(request) = link.request().await {
            let status = match request.method.as_str() {
                "forgotten" => Status::InvalidSession,
                _ => Status::Ok,
            };
            link.respond(request.seq, status, None, Payload::None).await;
        }
    })
    .await;
    let mut config = peer.config();
    // So that the state is not over before it is read.
    config.reconnect.initial_delay = Duration::from_secs(24 * 60 * 60);
    config.reconnect.max_delay = config.reconnect.initial_delay;
    let client = soon(Client::connect(config)).await.unwrap();
    let mut states = client.states();
    assert_eq!(
        soon(states.next_state()).await,
        Some(ConnectionState::Ready)
    );
    let error = soon(client.call::<_, ()>("forgotten", &())).await;
    assert_eq!(error.unwrap_err().code(), "INVALID_SESSION");
    let state = soon(states.next_state()).await;
    assert!(
        matches!(state, Some(ConnectionState::Reconnecting { .. })),
        "{state:?}"
    );
    client.reconnect_now();
    soon(client.call::<_, ()>("anything", &())).await.unwrap();
}

#[tokio::test]
async fn a_tampered_packet_ends_the_session() {
    for place in [0, 11, 12, 20, usize::MAX] {
        let error = error_of_call(move |mut link, request| async move {
            let mut packet = link.seal(request.seq, Status::Ok, None, Payload::None);
            let place = place.min(packet.len() - 1);
            packet[place] ^= 0x80;
            link.send(Message::Binary(packet.into())).await;
            link
        })
        .await;
        assert_eq!(error, breach(BreachReason::PacketForged), "byte {place}");
    }
}

#[tokio::test]
async fn a_reflected_packet_ends_the_session() {
    let peer = Peer::start(|socket, identity| async move {
        let (mut link, _) = Link::log_in(socket, &identity).await.unwrap();
        let packet = receive(&mut link.socket).await.unwrap();
        link.send(packet).await;
        link.until_closed().await;
    })
    .await;
    let client = peer.connect().await.unwrap();
    assert_eq!(
        call(&client).await.unwrap_err(),
        breach(BreachReason::Protocol)
    );
}

#[tokio::test]
async fn an_answer_to_a_request_never_sent_ends_the_session() {
    for seq in [2, u64::MAX] {
        let error = error_of_call(move |mut link, _| async move {
            link.respond(seq, Status::Ok, None, Payload::None).await;
            link
        })
        .await;
        assert_eq!(error, breach(BreachReason::Sequence), "seq {seq}");
    }
}

#[tokio::test]
async fn a_second_answer_to_one_request_ends_the_session() {
    let error = error_of_call(|mut link, _| async move {
        // The login had number 0 and was answered.
        link.respond(0, Status::Ok, None, Payload::None).await;
        link
    })
    .await;
    assert_eq!(error, breach(BreachReason::Sequence));
}

#[tokio::test]
async fn a_text_message_ends_the_session() {
    let error = error_of_call(|mut link, _| async move {
        link.send(Message::text("hello")).await;
        link
    })
    .await;
    assert_eq!(error, breach(BreachReason::Protocol));
}

#[tokio::test]
async fn an_oversized_packet_ends_the_session() {
    let peer = Peer::start(|socket, identity| async move {
        let (mut link, _) = Link::log_in(socket, &identity).await.unwrap();
        link.request().await.unwrap();
        link.send(Message::Binary(vec![0; 8193].into())).await;
        link.until_closed().await;
    })
    .await;
    let mut config = peer.config();
    config.limits.packet_bytes = 8192;
    let client = soon(Client::connect(config)).await.unwrap();
    assert_eq!(
        call(&client).await.unwrap_err(),
        breach(BreachReason::Protocol)
    );
}

#[tokio::test]
async fn garbage_ends_the_session() {
    for (garbage, reason) in [
        (Vec::new(), BreachReason::PacketForged),
        (vec![0; 27], BreachReason::PacketForged),
        (vec![0xff; 500], BreachReason::PacketForged),
    ] {
        let error = error_of_call(move |mut link, _| {
            let garbage = garbage.clone();
            async move {
                link.send(Message::Binary(garbage.into())).await;
                link
            }
        })
        .await;
        assert_eq!(error, breach(reason));
    }
}

#[tokio::test]
async fn a_sealed_packet_that_is_no_response_ends_the_session() {
    let too_deep = |depth: usize| {
        // {"q":1,"S":"OK","e":nil,"R":[[[…nil…]]]}
        let head: &[u8] = b"\x84\xa1q\x01\xa1S\xa2OK\xa1e\xc0\xa1R";
        [head, &vec![0x91; depth], &[0xc0]].concat()
    };
    for plaintext in [
        vec![],
        vec![0xc0],
        b"\x81\xa1q\x01".to_vec(),
        b"\x84\xa1q\xa1x\xa1S\xa2OK\xa1e\xc0\xa1R\xc0".to_vec(),
        too_deep(129),
        too_deep(100_000),
    ] {
        let shown = plaintext.len();
        let error = error_of_call(move |mut link, _| {
            let plaintext = plaintext.clone();
            async move {
                link.send_sealed(&plaintext).await;
                link
            }
        })
        .await;
        assert_eq!(error, breach(BreachReason::Protocol), "{shown} bytes");
    }
}

#[tokio::test]
async fn a_malformed_answer_to_the_login_is_a_breach() {
    let peer = Peer::start(|socket, identity| async move {
        let mut link = Link::accept(socket, &identity).await.unwrap();
        link.request().await.unwrap();
        link.respond(0, Status::Ok, None, Payload::None).await;
        link.until_closed().await;
    })
    .await;
    assert_eq!(
        peer.connect().await.unwrap_err(),
        breach(BreachReason::Protocol)
    );
}

#[tokio::test]
async fn a_connection_closed_in_a_call_is_lost_and_no_breach() {
    let error = error_of_call(|mut link, _| async move {
        link.send(Message::Close(None)).await;
        link
    })
    .await;
    assert_eq!(
        (error.code(), error.maybe_executed()),
        ("CONNECTION_LOST", Some(true))
    );
}

#[tokio::test]
async fn both_payload_forms_are_read_and_the_configured_one_is_sent() {
    for inline in [false, true] {
        let peer = Peer::start(move |socket, identity| async move {
            let (mut link, token) = Link::log_in(socket, &identity).await.unwrap();
            while let Some(request) = link.request().await {
                assert_eq!(request.inline, inline);
                assert_eq!(request.token.as_deref(), Some(token.expose()));
                let payload = request.payload.unwrap();
                // Answered in the other form, each time.
                let payload = if inline {
                    Payload::Binary(&payload)
                } else {
                    Payload::Inline(&payload)
                };
                link.respond(request.seq, Status::Ok, None, payload).await;
            }
        })
        .await;
        let mut config = peer.config();
        config.inline_payloads = inline;
        let client = soon(Client::connect(config)).await.unwrap();
        for sent in [
            "text",
            "text of more than thirty-one bytes, so that its form differs",
        ] {
            let received: String = soon(client.call("echo", sent)).await.unwrap();
            assert_eq!(received, sent);
        }
    }
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    let error = error_of_call(|mut link, request| async move {
        // {"retryAfterSeconds": 30}
        let payload = b"\x81\xb1retryAfterSeconds\x1e";
        let status = Status::RateLimited;
        link.respond(
            request.seq,
            status,
            Some("Slow down."),
            Payload::Binary(payload),
        )
        .await;
        link
    })
    .await;
    let Error::RateLimited {
        retry_after_seconds: Some(30),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
}
