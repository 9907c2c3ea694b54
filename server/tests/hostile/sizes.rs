//! Clients that announce more than they send, and MessagePack that is deeper than any value.

use skyline_protocol::limits::{DEFAULT_MAX_PACKET_BYTES, MAX_HELLO_BYTES};
use tokio::io::AsyncWriteExt;

use crate::{
    common::{Socket, within},
    siege::{Siege, echo},
};

/// The head of a binary frame of this length, under a mask of zeros (RFC 6455, section 5.2).
fn head(length: u64) -> Vec<u8> {
    let mut head = vec![0x82, 0xff];
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    head
}

async fn announce(socket: &mut Socket, length: u64) {
    let head = head(length);
    within(socket.0.get_mut().write_all(&head)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_and_not_sent_costs_nothing() {
    const TOO_LARGE: u16 = 1009;
    let siege = Siege::begin(&["--handshake-deadline", "5s", "--ping-interval", "2s"]).await;
    let mut crowd = Vec::new();
    let largest = DEFAULT_MAX_PACKET_BYTES as u64;
    for _ in 0..500 {
        let mut socket = Socket::open(siege.running.address).await;
        announce(&mut socket, largest).await;
        crowd.push(socket);
    }
    let mut known = siege.session().await;
    announce(&mut known.socket, largest).await;
    for length in [largest + 1, 1 << 40, (1 << 63) - 1] {
        let mut socket = Socket::open(siege.running.address).await;
        announce(&mut socket, length).await;
        socket.is_closed_with(TOO_LARGE).await;
        let mut session = siege.session().await;
        announce(&mut session.socket, length).await;
        session.socket.is_closed_with(TOO_LARGE).await;
    }
    siege.end("500 announced packets of 16 MiB", 60).await;
    drop((crowd, known));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deeply_nested_messagepack_is_refused() {
    const PROTOCOL: u16 = 1002;
    let siege = Siege::begin(&[]).await;
    for nesting in [0x91, 0x81] {
        let hello = vec![nesting; MAX_HELLO_BYTES];
        for _ in 0..100 {
            let mut socket = Socket::open(siege.running.address).await;
            socket.send_binary(hello.clone()).await;
            let refusal = socket.receive().await;
            assert!(matches!(refusal, crate::common::Received::Binary(_)));
            socket.is_closed_with(PROTOCOL).await;
        }
        // In a payload, and in the place of a request.
        let deep = vec![nesting; 8 << 20];
        let mut peer = siege.session().await;
        let packet = echo(&mut peer, &deep);
        peer.socket.send_binary(packet).await;
        peer.socket.is_closed_with(PROTOCOL).await;
        let mut peer = siege.session().await;
        let packet = peer.seal_plaintext(&deep);
        peer.socket.send_binary(packet).await;
        peer.socket.is_closed_with(PROTOCOL).await;
    }
    siege.end("nested MessagePack, 8 MiB deep", 100).await;
}
