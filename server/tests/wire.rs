//! Peers that do not keep to the protocol: what each gets, and that nobody else notices
//! (docs/protocol.md, sections 1 to 4).

mod common;

use std::net::SocketAddr;

use common::{Login, QUIET, Received, Rig, binary, within};
use futures_util::SinkExt;
use serde::Deserialize;
use skyline_protocol::{ClientHandshake, Payload, Request, methods};
use skyline_server::store::AuditFilter;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use tokio_tungstenite::tungstenite::Message;

const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "S")]
    status: String,
    #[serde(rename = "e")]
    message: Option<String>,
}

#[tokio::test]
async fn a_malformed_hello_is_refused_with_a_sentence_and_closed() {
    let rig = Rig::start().await;
    let (_, hello) = ClientHandshake::start();
    let truncated = hello[..hello.len() - 1].to_vec();
    let too_large = [hello.clone(), vec![0; 4096]].concat();
    let zero_key = {
        // A point of small order: the shared secret would be zero.
        let key = hello
            .windows(34)
            .position(|bytes| bytes[..2] == [0xc4, 32])
            .unwrap();
        let mut hello = hello.clone();
        hello[key + 2..key + 34].fill(0);
        hello
    };
    let garbage = b"\xc1\xff\x00garbage".to_vec();
    for bytes in [truncated, too_large, zero_key, garbage, Vec::new()] {
        let mut socket = rig.socket().await;
        socket.send_binary(bytes).await;
        let Received::Binary(answer) = socket.receive().await else {
            panic!("no refusal");
        };
        let refusal: Refusal = methods::decode(&answer).unwrap();
        assert_eq!(refusal.status, "BAD_REQUEST");
        assert!(refusal.message.is_some());
        socket.is_closed_with(PROTOCOL_ERROR).await;
    }
    rig.still_serves().await;
}

#[tokio::test]
async fn a_text_message_ends_the_connection_at_every_step() {
    let rig = Rig::start().await;
    let mut socket = rig.socket().await;
    socket.send(Message::text("hello")).await;
    socket.is_closed_with(UNSUPPORTED).await;
    let mut peer = rig.peer().await;
    peer.socket.send(Message::text("hello")).await;
    peer.socket.is_closed_with(UNSUPPORTED).await;
    let mut peer = rig.session().await;
    peer.socket.send(Message::text("hello")).await;
    peer.socket.is_closed_with(UNSUPPORTED).await;
}

#[tokio::test]
async fn a_request_before_start_session_is_an_invalid_session() {
    let rig = Rig::start().await;
    for token in [None, Some("71ee0979-ea57b170")] {
        let mut peer = rig.peer().await;
        peer.send_as(0, token, "get-limits", None).await;
        peer.answer().await.expect("INVALID_SESSION");
        peer.socket.is_closed_with(POLICY).await;
    }
}

#[tokio::test]
async fn a_session_that_does_not_start_with_seq_0_is_a_breach() {
    let rig = Rig::start().await;
    let login = Login::new(&rig.license().await);
    let mut peer = rig.peer().await;
    peer.seq = 1;
    let answer = peer.log_in(&login).await.expect("INTEGRITY_BREACH");
    assert_eq!(answer.seq, 1);
    peer.socket.is_closed_with(PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn a_wrong_seq_is_a_breach_that_closes_the_connection() {
    let rig = Rig::start().await;
    for seq in [0, 2, u64::MAX] {
        let mut peer = rig.session().await;
        let token = peer.token.clone();
        peer.send_as(seq, token.as_deref(), "get-limits", None)
            .await;
        let answer = peer.answer().await.expect("INTEGRITY_BREACH");
        assert_eq!(answer.seq, seq);
        assert!(answer.message.unwrap().ends_with("SQ"));
        peer.socket.is_closed_with(PROTOCOL_ERROR).await;
    }
    rig.still_serves().await;
}

#[tokio::test]
async fn a_seq_that_comes_twice_is_a_breach() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    peer.call("get-limits", None).await.expect_ok();
    peer.seq = 1;
    peer.call("get-limits", None)
        .await
        .expect("INTEGRITY_BREACH");
    peer.socket.is_closed_with(PROTOCOL_ERROR).await;
    // The second start-session of a connection, again with seq 0.
    let login = Login::new(&rig.license().await);
    let mut peer = rig.peer().await;
    peer.log_in(&login).await.expect_ok();
    peer.seq = 0;
    peer.log_in(&login.at(2_000, 1_000))
        .await
        .expect("INTEGRITY_BREACH");
    peer.socket.is_closed_with(PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn a_token_that_is_not_this_sessions_is_an_invalid_session() {
    let rig = Rig::start().await;
    let other = rig.session().await;
    for token in [
        None,
        Some(""),
        Some("71ee0979-ea57b170"),
        other.token.as_deref(),
    ] {
        let mut peer = rig.session().await;
        peer.send_as(1, token, "get-limits", None).await;
        peer.answer().await.expect("INVALID_SESSION");
        peer.socket.is_closed_with(POLICY).await;
    }
}

#[tokio::test]
async fn packets_that_do_not_open_end_the_connection_without_an_answer() {
    let rig = Rig::start().await;
    let request = Request {
        seq: 1,
        timestamp: 1,
        method: "get-limits",
        token: None,
        payload: Payload::None,
    };
    for change in [
        |packet: &mut Vec<u8>| packet[0] ^= 1,
        |packet: &mut Vec<u8>| *packet.last_mut().unwrap() ^= 1,
        |packet: &mut Vec<u8>| packet[20] ^= 1,
        |packet: &mut Vec<u8>| packet.truncate(27),
        |packet: &mut Vec<u8>| packet.clear(),
        |packet: &mut Vec<u8>| *packet = vec![0xff; 1000],
    ] {
        let mut peer = rig.session().await;
        let mut packet = peer.seal(&request).to_vec();
        change(&mut packet);
        peer.socket.send_binary(packet).await;
        peer.socket.is_closed_with(PROTOCOL_ERROR).await;
    }
    rig.still_serves().await;
}

#[tokio::test]
async fn a_reflected_packet_is_no_request() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    let answer = peer.call("get-limits", None).await.expect_ok();
    peer.socket.send_binary(answer.packet).await;
    peer.socket.is_closed_with(PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn a_replayed_packet_is_a_breach() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    let token = peer.token.clone();
    let request = Request {
        seq: 1,
        timestamp: 1,
        method: "get-limits",
        token: token.as_deref(),
        payload: Payload::None,
    };
    let packet = peer.seal(&request);
    peer.socket.send_binary(packet.clone()).await;
    peer.answer().await.expect_ok();
    peer.socket.send_binary(packet).await;
    peer.answer().await.expect("INTEGRITY_BREACH");
    peer.socket.is_closed_with(PROTOCOL_ERROR).await;
}

#[tokio::test]
async fn plaintexts_that_are_no_request_end_the_connection() {
    let rig = Rig::start().await;
    let deep = [vec![0x91; 200], vec![0xc0]].concat();
    let mut deep_payload = b"\x85\xa1q\x01\xa1t\x01\xa1r\xa1a\xa1s\xc0\xa1d".to_vec();
    deep_payload.extend(&deep);
    let mut deep_binary = b"\x85\xa1q\x01\xa1t\x01\xa1r\xa1a\xa1s\xc0\xa1d\xc4".to_vec();
    deep_binary.push(u8::try_from(deep.len()).unwrap());
    deep_binary.extend(&deep);
    for plaintext in [
        Vec::new(),
        b"\xc0".to_vec(),
        b"\x80".to_vec(),
        b"garbage".to_vec(),
        // A map that claims 2^32 - 1 entries, a text that claims 4 GiB.
        b"\xdf\xff\xff\xff\xff".to_vec(),
        b"\x85\xa1q\xdb\xff\xff\xff\xff".to_vec(),
        deep,
        deep_payload,
        deep_binary,
    ] {
        let mut peer = rig.session().await;
        let packet = peer.seal_plaintext(&plaintext);
        peer.socket.send_binary(packet).await;
        peer.socket.is_closed_with(PROTOCOL_ERROR).await;
    }
    rig.still_serves().await;
}

#[tokio::test]
async fn a_packet_of_the_limit_is_taken_and_one_byte_more_is_not() {
    const LIMIT: usize = 100_000;
    let rig = Rig::start_with(|config| config.max_packet_bytes = LIMIT).await;
    for (excess, accepted) in [(0, true), (1, false)] {
        let mut peer = rig.session().await;
        let token = peer.token.clone();
        let mut payload = binary(&[7; LIMIT - 1000]);
        loop {
            let request = Request {
                seq: 1,
                timestamp: 1,
                method: "test.echo",
                token: token.as_deref(),
                payload: Payload::Binary(&payload),
            };
            let missing = (LIMIT + excess).saturating_sub(request.sealed_len());
            if missing == 0 {
                let packet = peer.seal(&request);
                assert_eq!(packet.len(), LIMIT + excess);
                peer.socket.send_binary(packet).await;
                break;
            }
            payload = binary(&vec![7; payload.len() - 5 + missing]);
        }
        if accepted {
            let answer = peer.answer().await.expect_ok();
            assert_eq!(answer.payload.unwrap(), payload);
        } else {
            peer.socket.is_closed_with(TOO_BIG).await;
        }
    }
    rig.still_serves().await;
}

#[tokio::test]
async fn an_oversize_packet_is_refused_by_its_head() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    // A binary frame of 2^62 bytes, masked; of its content nothing is ever sent.
    let head = [
        &[0x82, 0xff][..],
        &(1_u64 << 62).to_be_bytes(),
        &[1, 2, 3, 4],
    ]
    .concat();
    within(peer.socket.0.get_mut().write_all(&head))
        .await
        .unwrap();
    peer.socket.is_closed_with(TOO_BIG).await;
}

#[tokio::test]
async fn an_oversize_packet_in_fragments_is_refused() {
    let rig = Rig::start_with(|config| config.max_packet_bytes = 10_000).await;
    let mut peer = rig.session().await;
    let mut frames = Vec::new();
    for number in 0..3 {
        // Not the last fragment; 4000 bytes; masked with zeros.
        frames.extend([if number == 0 { 0x02 } else { 0x00 }, 0xfe]);
        frames.extend(4000_u16.to_be_bytes());
        frames.extend([0; 4004]);
    }
    within(peer.socket.0.get_mut().write_all(&frames))
        .await
        .unwrap();
    peer.socket.is_closed_with(TOO_BIG).await;
}

#[tokio::test]
async fn a_stranger_cannot_make_the_server_keep_a_large_packet() {
    let rig = Rig::start().await;
    let mut peer = rig.peer().await;
    // Within the limit of packets, and more than anybody needs before the session.
    let flood = peer.socket.0.send(Message::binary(vec![0; 1 << 20]));
    let _ = within(flood).await;
    let received = peer.socket.receive().await;
    assert!(matches!(received, Received::Dropped), "{received:?}");
    rig.still_serves().await;
}

#[tokio::test]
async fn only_the_websocket_and_the_health_are_there() {
    let rig = Rig::start().await;
    for (path, status) in [
        ("/healthz", "200"),
        ("/readyz", "200"),
        ("/", "404"),
        ("/ws", "400"),
        ("/metrics", "404"),
    ] {
        let answer = get(rig.address, path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {answer}"
        );
    }
    let mut socket = rig.socket().await;
    socket
        .send_binary(b"the connection was upgraded".to_vec())
        .await;
    assert!(matches!(socket.receive().await, Received::Binary(_)));
    // The process lives on without its store, and is not to be sent clients.
    rig.store.close().await;
    // The last answer holds for a second.
    let unready = async {
        while !get(rig.address, "/readyz")
            .await
            .starts_with("HTTP/1.1 503")
        {
            sleep(QUIET / 10).await;
        }
    };
    within(unready).await;
    let answer = get(rig.address, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The whole answer to a request over HTTP.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut tcp = within(TcpStream::connect(address)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(tcp.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_store_that_fails_is_an_internal_error_and_no_end() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    peer.call("get-limits", None).await.expect_ok();
    rig.store.close().await;
    peer.call("get-limits", None).await.expect("INTERNAL_ERROR");
    peer.call("test.echo", Some(b"\x05")).await.expect_ok();
    let login = Login::new(&skyline_protocol::LicenseKey::generate());
    rig.peer()
        .await
        .log_in(&login)
        .await
        .expect("INTERNAL_ERROR");
}

#[tokio::test]
async fn packets_that_are_refused_are_in_the_audit_log() {
    let rig = Rig::start().await;
    let mut stranger = rig.socket().await;
    stranger.send_binary(&b"no hello"[..]).await;
    let Received::Binary(_) = stranger.receive().await else {
        panic!("no refusal");
    };
    let key = rig.license().await;
    let license = rig.stored(&key).await.id;
    let mut peer = rig.peer().await;
    peer.log_in(&Login::new(&key)).await.expect_ok();
    peer.call("send-event", None).await.expect("BAD_REQUEST");
    peer.socket.send_binary(vec![7; 64]).await;
    peer.socket.is_closed_with(PROTOCOL_ERROR).await;
    rig.server.write_refusals().await;
    let log = rig.store.audit_log(&AuditFilter::default(), 0).await;
    let refused: Vec<_> = log
        .unwrap()
        .into_iter()
        .filter(|entry| entry.action.starts_with("refused"))
        .map(|entry| (entry.action, entry.license, entry.detail))
        .collect();
    let expected = [
        ("refused-bad-request", None, "client-hello"),
        ("refused-bad-request", Some(license), "payload"),
        (
            "refused-bad-packet",
            Some(license),
            "a packet does not open",
        ),
    ];
    let expected = expected.map(|(action, id, detail)| (action.to_owned(), id, detail.to_owned()));
    assert_eq!(refused, expected);
}
