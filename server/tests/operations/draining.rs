//! A server that is told to stop.

use std::time::Duration;

use futures_util::{SinkExt, future::join_all};
use skyline_protocol::{Payload, Request};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use super::http::{get, metrics, status, value};
use crate::common::{
    Login, Peer, QUIET, Received, Socket, milliseconds, pack,
    process::{Installation, Running},
    within,
};

/// Sessions that are in the middle of their calls when the signal comes.
const PEERS: usize = 8;

/// Events that each of them sends at once.
const EVENTS: usize = 400;

/// An event with that number as its id.
fn event(number: usize) -> Vec<u8> {
    let id = number.to_string();
    pack(&rmpv::Value::Map(vec![
        ("event".into(), "x".into()),
        ("data".into(), rmpv::Value::Map(Vec::new())),
        ("id".into(), id.into()),
    ]))
}

async fn session(running: &Running, installation: &Installation, login: &Login) -> Peer {
    let mut peer = running.peer(installation).await;
    peer.log_in(login).await.expect_ok();
    peer
}

/// Writes all events without waiting for an answer, then reads until the connection ends. Gives the
/// ids of the events that were answered with OK.
async fn send_all(mut peer: Peer) -> Vec<usize> {
    for number in 0..EVENTS {
        let payload = event(number);
        let token = peer.token.clone();
        let packet = peer.seal(&Request {
            seq: peer.seq,
            timestamp: 1,
            method: "send-event",
            token: token.as_deref(),
            payload: Payload::Binary(&payload),
        });
        peer.seq += 1;
        if peer.socket.0.feed(Message::Binary(packet)).await.is_err() {
            break;
        }
    }
    let _ = peer.socket.0.flush().await;
    let mut answered = Vec::new();
    loop {
        match peer.socket.receive().await {
            Received::Binary(packet) => {
                let answer = peer.open(packet).expect_ok();
                // The first request after the login has seq 1.
                answered.push(answer.seq as usize - 1);
            }
            Received::Closed(1001) => return answered,
            other => panic!("{other:?} instead of the end"),
        }
    }
}

#[tokio::test]
async fn no_call_that_was_accepted_is_lost_when_the_server_stops() {
    let installation = Installation::new().await;
    let mut logins = Vec::new();
    for _ in 0..PEERS {
        logins.push(Login::new(&installation.license().await));
    }
    let running = installation.serve(&["--drain-deadline", "20s"]).await;
    let mut peers = Vec::new();
    for login in &logins {
        peers.push(session(&running, &installation, login).await);
    }
    let sending = tokio::spawn(join_all(peers.into_iter().map(send_all)));
    // Somewhere in the middle: the events of one session take about a second of the database.
    sleep(QUIET).await;
    running.signal("TERM").await;
    let answered = within(sending).await.unwrap();
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");

    let running = installation.serve(&[]).await;
    let mut calls = 0;
    for (login, answered) in logins.iter().zip(answered) {
        let login = login.at(2_000, 1_000);
        let mut peer = session(&running, &installation, &login).await;
        let answer = peer.call("test.events", None).await.expect_ok();
        let events: Vec<rmpv::Value> = answer.payload();
        let mut stored: Vec<usize> = events.iter().map(id).collect();
        let mut answered = answered;
        stored.sort_unstable();
        answered.sort_unstable();
        assert_eq!(
            answered, stored,
            "what was carried out, and only that, was answered"
        );
        calls += stored.len();
    }
    println!(
        "{calls} of {} calls were accepted and answered",
        PEERS * EVENTS
    );
    assert!(calls > 0, "the signal came before any call");
}

fn id(event: &rmpv::Value) -> usize {
    let id = event["id"].as_str().unwrap();
    id.parse().unwrap()
}

#[tokio::test]
async fn a_login_that_has_arrived_is_answered_when_the_server_stops() {
    let installation = Installation::new().await;
    let mut logins = Vec::new();
    for _ in 0..20 {
        logins.push(Login::new(&installation.license().await));
    }
    let running = installation.serve(&[]).await;
    let mut attempts = Vec::new();
    for login in logins.clone() {
        let mut peer = running.peer(&installation).await;
        attempts.push(tokio::spawn(async move {
            peer.send_login(&login).await;
            match peer.socket.receive().await {
                Received::Binary(packet) => {
                    peer.open(packet).expect_ok();
                    true
                }
                _ => false,
            }
        }));
    }
    running.signal("TERM").await;
    let answered = within(join_all(attempts)).await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
    for (login, answered) in logins.iter().zip(answered) {
        let key = login.request.license_key.expose();
        let shown = ["license", "show", key];
        let shown = crate::common::process::succeed(installation.path(), &shown).await;
        let activated = shown.contains("status: active");
        assert_eq!(activated, answered.unwrap(), "{shown}");
    }
}

#[tokio::test]
async fn a_draining_server_is_not_ready_and_still_serves_until_the_delay_is_over() {
    let installation = Installation::new().await;
    let options = ["--admin-listen", "127.0.0.1:0", "--drain-delay", "2s"];
    let mut running = installation.serve(&options).await;
    let admin = running.admin().await;
    let login = Login::new(&installation.license().await);
    let mut peer = session(&running, &installation, &login).await;
    running.signal("TERM").await;
    let turned = async {
        while status(&get(admin, "/readyz", &[]).await) != "503" {
            sleep(QUIET / 10).await;
        }
    };
    within(turned).await;
    assert_eq!(status(&get(running.address, "/readyz", &[]).await), "503");
    assert_eq!(status(&get(admin, "/healthz", &[]).await), "200");
    assert_eq!(value(&metrics(admin).await, "skyline_draining"), 1);
    peer.call("get-limits", None).await.expect_ok();
    let other = Login::new(&installation.license().await);
    session(&running, &installation, &other).await;
    // The delay is over.
    peer.socket.is_closed_with(1001).await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_stopping_server_takes_no_new_connection() {
    let installation = Installation::new().await;
    let options = ["--admin-listen", "127.0.0.1:0"];
    let mut running = installation.serve(&options).await;
    let admin = running.admin().await;
    let login = Login::new(&installation.license().await);
    let mut peer = session(&running, &installation, &login).await;
    peer.send("test.delay", Some(&milliseconds(3_000))).await;
    peer.call("test.echo", Some(b"\x01")).await.expect_ok();
    running.signal("TERM").await;
    let refused = async {
        while tokio::net::TcpStream::connect(running.address)
            .await
            .is_ok()
        {
            sleep(QUIET / 10).await;
        }
    };
    within(refused).await;
    assert_eq!(status(&get(admin, "/readyz", &[]).await), "503");
    peer.answer().await.expect_ok();
    peer.socket.is_closed_with(1001).await;
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let installation = Installation::new().await;
    let running = installation.serve(&["--drain-deadline", "10m"]).await;
    let login = Login::new(&installation.license().await);
    let mut peer = session(&running, &installation, &login).await;
    peer.send("test.delay", Some(&milliseconds(60_000))).await;
    peer.call("test.echo", Some(b"\x01")).await.expect_ok();
    running.signal("TERM").await;
    let refused = async {
        while Socket::try_open(running.address).await.is_some() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(refused).await;
    running.signal("TERM").await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped at once"), "{log}");
    assert!(!matches!(peer.socket.receive().await, Received::Binary(_)));
}
