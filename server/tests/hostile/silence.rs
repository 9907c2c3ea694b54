//! Clients that stop, or are so slow that they may as well have stopped.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use skyline_protocol::{ClientHandshake, Payload, Request, methods::START_SESSION};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    common::{
        DEADLINE, Login, Peer, Socket, pack,
        process::{Installation, Running},
        within,
    },
    siege::{Siege, echo},
};

/// Connections of the largest attack.
const CROWD: usize = 2_000;

/// Connections that are being opened at a time.
const AT_A_TIME: usize = 64;

/// Where a client stops. What it keeps open is in it.
#[allow(dead_code, reason = "what is kept is not looked at")]
enum Stopped {
    AfterTcp(TcpStream),
    InTheHead(TcpStream),
    AfterTheUpgrade(Box<Socket>),
    InTheHello(Box<Socket>),
    AfterTheHello(Box<Peer>),
}

async fn stop(running: &Running, installation: &Installation, number: usize) -> Stopped {
    let address = running.address;
    match number % 5 {
        0 => Stopped::AfterTcp(within(TcpStream::connect(address)).await.unwrap()),
        1 => {
            let mut tcp = within(TcpStream::connect(address)).await.unwrap();
            let head = b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: webs";
            within(tcp.write_all(head)).await.unwrap();
            Stopped::InTheHead(tcp)
        }
        2 => Stopped::AfterTheUpgrade(Box::new(Socket::open(address).await)),
        3 => {
            let mut socket = Socket::open(address).await;
            let hello = frame(&ClientHandshake::start().1);
            let half = &hello[..hello.len() / 2];
            within(socket.0.get_mut().write_all(half)).await.unwrap();
            Stopped::InTheHello(Box::new(socket))
        }
        _ => Stopped::AfterTheHello(Box::new(running.peer(installation).await)),
    }
}

/// A whole binary message as a client frames it, under a mask of zeros (RFC 6455, section 5.2).
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short message");
    let mut frame = vec![0x82, 0xfe];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_clients_that_stop_in_the_handshake_hinder_nobody() {
    // Time for all of them to come before the first is given up.
    let siege = Siege::begin(&["--handshake-deadline", "20s", "--session-deadline", "20s"]).await;
    let crowd: Vec<_> = stream::iter(0..CROWD)
        .map(|number| stop(&siege.running, &siege.installation, number))
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let open = siege.connections();
    assert!(open >= CROWD, "only {open} connections are open at a time");
    // They stay until the server's deadlines end them.
    siege
        .end("2 000 clients that stop in the handshake", 120)
        .await;
    drop(crowd);
}

/// Writes a byte a second until the server has enough of it.
async fn trickle(tcp: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes {
        if tcp.write_all(&[*byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("the server listened to the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_of_a_byte_a_second_hinder_nobody() {
    let siege = Siege::begin(&["--handshake-deadline", "3s", "--session-deadline", "3s"]).await;
    let mut slow = JoinSet::new();
    let head = b"GET /ws HTTP/1.1\r\nhost: example.org\r\nupgrade: websocket\r\n";
    for _ in 0..100 {
        let mut tcp = within(TcpStream::connect(siege.running.address))
            .await
            .unwrap();
        slow.spawn(async move { trickle(&mut tcp, head).await });
        let mut socket = Socket::open(siege.running.address).await;
        let hello = frame(&ClientHandshake::start().1);
        slow.spawn(async move { trickle(socket.0.get_mut(), &hello).await });
    }
    for _ in 0..20 {
        let login = Login::new(&siege.installation.license().await);
        let mut peer = siege.peer().await;
        let payload = pack(&login.request);
        let packet = peer.seal(&Request {
            seq: 0,
            timestamp: login.timestamp,
            method: START_SESSION,
            token: None,
            payload: Payload::Binary(&payload),
        });
        let packet = frame(&packet);
        slow.spawn(async move { trickle(peer.socket.0.get_mut(), &packet).await });
    }
    // One with a session is heard, however slow it is: it takes its own time.
    let mut patient = siege.session().await;
    let packet = frame(&echo(&mut patient, b"\x01"));
    let (first, last) = packet.split_at(packet.len() - 3);
    let patience = async {
        let tcp = patient.socket.0.get_mut();
        tcp.write_all(first).await.unwrap();
        for byte in last {
            sleep(Duration::from_secs(1)).await;
            tcp.write_all(&[*byte]).await.unwrap();
        }
        patient.answer().await.expect_ok();
    };
    within(patience).await;
    let ended = async {
        while let Some(client) = slow.join_next().await {
            client.unwrap();
        }
    };
    timeout(2 * DEADLINE, ended).await.unwrap();
    siege.end("220 senders of a byte a second", 100).await;
}
