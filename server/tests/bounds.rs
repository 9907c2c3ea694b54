//! Deadlines and bounds: peers that are slow, silent or greedy, and a server that stops
//! (docs/protocol.md, sections 1 and 3).

mod common;

use std::time::Duration;

use common::{
    DEADLINE, Peer, QUIET, Received, Rig, Socket, binary, milliseconds, open_answer, within,
};
use futures_util::{SinkExt, StreamExt};
use skyline_protocol::{Payload, Request, methods};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

const POLICY: u16 = 1008;

/// A deadline that tests wait for, and that leaves any machine the time for what comes before.
const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_at_its_deadline() {
    let rig = Rig::start_with(|config| config.handshake_deadline = SHORT).await;
    for head in [
        &b""[..],
        b"G",
        b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: webs",
    ] {
        let mut tcp = within(TcpStream::connect(rig.address)).await.unwrap();
        tcp.write_all(head).await.unwrap();
        let mut rest = Vec::new();
        let _ = within(tcp.read_to_end(&mut rest)).await;
    }
    let mut socket = rig.socket().await;
    socket.is_closed_with(POLICY).await;
}

#[tokio::test]
async fn half_a_handshake_held_open_is_closed_at_its_deadline() {
    let rig = Rig::start_with(|config| {
        config.handshake_deadline = SHORT;
        config.session_deadline = SHORT;
    })
    .await;
    // Half a hello: the first bytes of a frame.
    let mut socket = rig.socket().await;
    within(socket.0.get_mut().write_all(&[0x82, 0xd0, 1, 2]))
        .await
        .unwrap();
    socket.is_closed_with(POLICY).await;
    // A key and no session.
    let mut peer = rig.peer().await;
    peer.socket.is_closed_with(POLICY).await;
    // Pings are no hello.
    let mut socket = rig.socket().await;
    let closed = async {
        loop {
            let _ = socket.0.send(Message::Ping("still here".into())).await;
            sleep(QUIET / 10).await;
            let next = timeout(QUIET / 10, socket.0.next()).await;
            match next {
                Ok(Some(Ok(Message::Close(frame)))) => return frame.map(|frame| frame.code.into()),
                Ok(Some(Ok(_))) | Err(_) => {}
                Ok(other) => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(within(closed).await, Some(POLICY));
    rig.still_serves().await;
}

#[tokio::test]
async fn more_calls_than_the_bound_wait_in_the_network() {
    let rig = Rig::start_with(|config| config.max_calls_in_flight = 4).await;
    let mut peer = rig.session().await;
    for _ in 0..3 {
        peer.send("test.delay", Some(&milliseconds(60_000))).await;
    }
    peer.call("test.echo", Some(b"\x01")).await.expect_ok();
    peer.send("test.delay", Some(&milliseconds(1_000))).await;
    let waiting = peer.send("test.echo", Some(b"\x02")).await;
    let silence = timeout(QUIET, peer.socket.0.next()).await;
    assert!(silence.is_err(), "the fifth call was taken: {silence:?}");
    // The short delay ends and makes room.
    peer.answer().await.expect_ok();
    let answer = peer.answer().await.expect_ok();
    assert_eq!(answer.seq, waiting);
}

#[tokio::test]
async fn a_flood_of_requests_is_answered_to_the_last_one() {
    const FLOOD: u64 = 2_000;
    let rig = Rig::start_with(|config| config.max_calls_in_flight = 8).await;
    let mut peer = rig.session().await;
    for number in 1..=FLOOD {
        let payload = methods::encode(&number).unwrap();
        let token = peer.token.clone();
        let packet = peer.seal(&Request {
            seq: number,
            timestamp: 1,
            method: "test.echo",
            token: token.as_deref(),
            payload: Payload::Binary(&payload),
        });
        within(peer.socket.0.feed(Message::Binary(packet)))
            .await
            .unwrap();
    }
    within(peer.socket.0.flush()).await.unwrap();
    let mut answered = vec![false; FLOOD as usize + 1];
    for _ in 0..FLOOD {
        let answer = peer.answer().await.expect_ok();
        assert_eq!(answer.payload::<u64>(), answer.seq);
        assert!(!std::mem::replace(&mut answered[answer.seq as usize], true));
    }
}

/// The bound of the tests that never read, in bytes.
const LITTLE_IN_FLIGHT: usize = 256 << 10;

/// Sends echoes without ever reading, until the network takes no more. Gives their number.
async fn write_until_stuck(peer: &mut Peer, payload: &[u8]) -> u64 {
    for sent in 1..=10_000 {
        let token = peer.token.clone();
        let packet = peer.seal(&Request {
            seq: peer.seq,
            timestamp: 1,
            method: "test.echo",
            token: token.as_deref(),
            payload: Payload::Binary(payload),
        });
        peer.seq += 1;
        let message = Message::Binary(packet);
        match timeout(QUIET, peer.socket.0.send(message)).await {
            Ok(Ok(())) => {}
            // Stuck, or given up already.
            Err(_) | Ok(Err(_)) => return sent,
        }
    }
    panic!("the server takes everything");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_heard_and_loses_nothing() {
    let rig = Rig::start_with(|config| config.max_bytes_in_flight = LITTLE_IN_FLIGHT).await;
    let mut peer = rig.narrow_session().await;
    let payload = binary(&[9; 32 << 10]);
    let sent = write_until_stuck(&mut peer, &payload).await;
    // It comes to its senses, and everything that it sent is answered.
    let Peer {
        socket, mut opener, ..
    } = peer;
    let (mut sink, mut stream) = socket.0.split();
    let read = async {
        let mut seqs = Vec::new();
        while seqs.len() < sent as usize {
            match within(stream.next()).await.unwrap().unwrap() {
                Message::Binary(packet) => {
                    let answer = open_answer(&mut opener, packet).expect_ok();
                    assert_eq!(answer.payload.as_deref(), Some(&payload[..]));
                    seqs.push(answer.seq);
                }
                other => assert!(other.is_ping(), "{other:?}"),
            }
        }
        seqs
    };
    let (flushed, mut seqs) = within(async { tokio::join!(sink.flush(), read) }).await;
    flushed.unwrap();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=sent).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_peer_that_never_reads_again_is_given_up() {
    let rig = Rig::start_with(|config| {
        config.max_bytes_in_flight = LITTLE_IN_FLIGHT;
        config.ping_interval = QUIET;
    })
    .await;
    let mut peer = rig.narrow_session().await;
    write_until_stuck(&mut peer, &binary(&[9; 32 << 10])).await;
    // Once the server has given up, what is written meets a closed port.
    let gone = async {
        let tcp = peer.socket.0.get_mut();
        while tcp.write_all(&[0; 1 << 16]).await.is_ok() {}
    };
    within(gone).await;
    rig.still_serves().await;
}

#[tokio::test]
async fn a_quiet_peer_stays_as_long_as_it_answers_pings() {
    let rig = Rig::start_with(|config| config.ping_interval = QUIET).await;
    let mut deaf = rig.session().await;
    let mut lively = rig.session().await;
    // Ten intervals; reading answers the pings.
    let nothing = timeout(10 * QUIET, lively.socket.receive()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    lively.call("get-limits", None).await.expect_ok();
    // The other one did not read in that time. It finds the pings, and no connection.
    let received = deaf.socket.receive().await;
    assert!(matches!(received, Received::Dropped), "{received:?}");
}

#[tokio::test]
async fn a_key_that_is_used_up_closes_the_connection_cleanly() {
    // The session takes two packets, each call two more.
    let rig = Rig::start_with(|config| config.max_packets_per_key = 6).await;
    let mut peer = rig.session().await;
    peer.call("test.echo", Some(b"\x01")).await.expect_ok();
    peer.call("test.echo", Some(b"\x02")).await.expect_ok();
    peer.socket.is_closed_with(1000).await;
    rig.still_serves().await;
}

#[tokio::test]
async fn a_key_that_is_used_up_lets_calls_in_flight_finish() {
    let rig = Rig::start_with(|config| config.max_packets_per_key = 8).await;
    let mut peer = rig.session().await;
    let slow = peer.send("test.delay", Some(&milliseconds(500))).await;
    peer.call("test.echo", Some(b"\x01")).await.expect_ok();
    peer.call("test.echo", Some(b"\x02")).await.expect_ok();
    // There is no packet left for this one.
    peer.send("test.echo", Some(b"\x03")).await;
    assert_eq!(peer.answer().await.expect_ok().seq, slow);
    peer.socket.is_closed_with(1000).await;
}

#[tokio::test]
async fn a_stop_lets_calls_finish_and_says_that_it_goes_away() {
    let rig = Rig::start().await;
    let mut busy = rig.session().await;
    let mut idle = rig.session().await;
    let stranger = rig.peer().await;
    busy.send("test.delay", Some(&milliseconds(500))).await;
    busy.call("test.echo", Some(b"\x01")).await.expect_ok();
    rig.server.stop();
    idle.socket.is_closed_with(1001).await;
    busy.answer().await.expect_ok();
    busy.socket.is_closed_with(1001).await;
    drop(stranger);
    within(rig.running).await.unwrap();
    assert!(TcpStream::connect(rig.address).await.is_err());
}

#[tokio::test]
async fn a_stop_leaves_a_slow_peer_its_deadline_for_the_answers() {
    let rig = Rig::start_with(|config| config.drain_deadline = DEADLINE).await;
    let mut peer = rig.narrow_session().await;
    // Together more than the sockets take of the answers.
    let payload = binary(&vec![9; 1 << 20]);
    for _ in 0..16 {
        peer.send("test.echo", Some(&payload)).await;
    }
    sleep(SHORT).await;
    rig.server.stop();
    // Longer than anything but answers is waited for.
    sleep(Duration::from_secs(5)).await;
    let mut answers = 0;
    loop {
        match peer.socket.receive().await {
            Received::Binary(packet) => {
                peer.open(packet).expect_ok();
                answers += 1;
            }
            Received::Closed(1001) => break,
            other => panic!("{other:?} after {answers} answers"),
        }
    }
    assert!(answers > 0);
    within(rig.running).await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_its_deadline() {
    let rig = Rig::start_with(|config| config.drain_deadline = QUIET).await;
    let mut peer = rig.session().await;
    peer.send("test.delay", Some(&milliseconds(60_000))).await;
    peer.call("test.echo", Some(b"\x01")).await.expect_ok();
    // Somebody who does not even answer the close frame.
    let _deaf = rig.session().await;
    let _silent = within(TcpStream::connect(rig.address)).await.unwrap();
    rig.server.stop();
    peer.socket.is_closed_with(1001).await;
    within(rig.running).await.unwrap();
}

#[tokio::test]
async fn more_connections_than_the_bound_wait_for_their_turn() {
    let rig = Rig::start_with(|config| config.max_connections = 2).await;
    let first = rig.session().await;
    let _second = rig.session().await;
    let third = tokio::spawn(Socket::open(rig.address));
    sleep(QUIET).await;
    assert!(!third.is_finished(), "a third connection was served");
    drop(first);
    let mut third = timeout(DEADLINE, third).await.unwrap().unwrap();
    third.send_binary(b"garbage".to_vec()).await;
    assert!(matches!(third.receive().await, Received::Binary(_)));
}
