//! The bound on a packet's size, on each side of it, in both directions.

use skyline::{BreachReason, Client, Error};
use skyline_protocol::SessionToken;
use skyline_protocol::packet::{Payload, Request, Response};
use skyline_protocol::status::Status;

use crate::support::peer::{Link, Peer};
use crate::support::soon;

const LIMIT: usize = 8192;

/// The MessagePack of a text of `length` bytes, more than 255.
fn text(length: usize) -> Vec<u8> {
    let head = [&[0xda][..], &(length as u16).to_be_bytes()].concat();
    [head, vec![b'x'; length]].concat()
}

/// How long a text is whose packet, of the length that `sealed` tells, is as large as allowed.
fn longest(sealed: impl Fn(Payload<'_>) -> usize) -> usize {
    (256..LIMIT)
        .rev()
        .find(|length| sealed(Payload::Binary(&text(*length))) <= LIMIT)
        .unwrap()
}

async fn client_of(peer: &Peer) -> Client {
    let mut config = peer.config();
    config.limits.packet_bytes = LIMIT;
    soon(Client::connect(config)).await.unwrap()
}

#[tokio::test]
async fn a_request_may_be_as_large_as_the_limit_and_no_larger() {
    let peer = Peer::start(|socket, identity| async move {
        let Some((mut link, _)) = Link::log_in(socket, &identity).await else {
            return;
        };
        while let Some(request) = link.request().await {
            link.respond(request.seq, Status::Ok, None, Payload::None)
                .await;
        }
    })
    .await;
    let client = client_of(&peer).await;
    let token = SessionToken::generate();
    let longest = longest(|payload| {
        let (seq, timestamp, token) = (1, 1_765_529_203, Some(token.expose()));
        Request {
            seq,
            timestamp,
            method: "take",
            token,
            payload,
        }
        .sealed_len()
    });
    let too_long = client.call_raw("take", Some(text(longest + 1).into()));
    let expected = Error::PacketTooLarge {
        size: LIMIT as u64 + 1,
        limit: LIMIT as u64,
    };
    assert_eq!(soon(too_long).await.unwrap_err(), expected);
    soon(client.call_raw("take", Some(text(longest).into())))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_answer_may_be_as_large_as_the_limit_and_no_larger() {
    let longest = longest(|payload| {
        let (seq, status, message) = (1, Status::Ok, None);
        Response {
            seq,
            status,
            message,
            payload,
        }
        .sealed_len()
    });
    let peer = Peer::start(move |socket, identity| async move {
        let Some((mut link, _)) = Link::log_in(socket, &identity).await else {
            return;
        };
        for length in [longest, longest + 1] {
            let Some(request) = link.request().await else {
                return;
            };
            let payload = text(length);
            link.respond(request.seq, Status::Ok, None, Payload::Binary(&payload))
                .await;
        }
        link.until_closed().await;
    })
    .await;
    let client = client_of(&peer).await;
    let received: String = soon(client.call("give", &())).await.unwrap();
    assert_eq!(received.len(), longest);
    let error = soon(client.call::<_, String>("give", &()))
        .await
        .unwrap_err();
    let reason = BreachReason::Protocol;
    assert_eq!(
        error,
        Error::IntegrityBreach {
            reason,
            server_message: None
        }
    );
}
