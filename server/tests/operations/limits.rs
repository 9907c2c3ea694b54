//! Peers that want more than their share.

use std::time::{Duration, Instant};

use skyline_protocol::methods::RateLimit;
use skyline_server::store::AuditFilter;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use super::http::{get, status, upgrade};
use crate::common::{Answer, Login, QUIET, Rig, Socket, within};

/// Asserts that an answer is the refusal of a limit of one in an hour, with the time to wait.
fn expect_limited(answer: Answer) {
    let answer = answer.expect("RATE_LIMITED");
    let seconds = answer.payload::<RateLimit>().retry_after_seconds.unwrap();
    assert!((3_500..=3_600).contains(&seconds), "{seconds}");
    let message = answer.message.unwrap();
    assert!(message.contains(&seconds.to_string()), "{message}");
}

#[tokio::test]
async fn a_license_that_logs_in_too_often_is_told_when_to_come_back() {
    let rig = Rig::start_with(|config| {
        config.rates.logins_per_license = "1/h burst 2".parse().unwrap();
    })
    .await;
    let login = Login::new(&rig.license().await);
    rig.confirmed_login(&login).await.expect_ok();
    rig.confirmed_login(&login.at(2_000, 1_000))
        .await
        .expect_ok();
    let mut third = rig.peer().await;
    expect_limited(third.log_in(&login.at(3_000, 2_000)).await);
    third.socket.is_closed_with(1008).await;
    // Nobody else is in its way, and it was not written down.
    rig.still_serves().await;
    let other = Login::new(&rig.license().await);
    rig.confirmed_login(&other).await.expect_ok();
}

#[tokio::test]
async fn an_address_that_logs_in_too_often_is_told_when_to_come_back() {
    let rig = Rig::start_with(|config| {
        config.rates.logins_per_address = "1/h burst 2".parse().unwrap();
    })
    .await;
    rig.still_serves().await;
    rig.still_serves().await;
    let login = Login::new(&rig.license().await);
    expect_limited(rig.peer().await.log_in(&login).await);
}

#[tokio::test]
async fn a_license_that_calls_too_often_keeps_its_session() {
    let rig = Rig::start_with(|config| {
        config.rates.calls_per_license = "20/m burst 4".parse().unwrap();
    })
    .await;
    let key = rig.license().await;
    let mut peer = rig.peer().await;
    peer.log_in(&Login::new(&key)).await.expect_ok();
    let begun = Instant::now();
    for _ in 0..4 {
        peer.call("get-limits", None).await.expect_ok();
    }
    let event = b"\x82\xa5event\xa1x\xa4data\x80";
    let limited = peer
        .call("send-event", Some(event))
        .await
        .expect("RATE_LIMITED");
    let wait = limited.payload::<RateLimit>().retry_after_seconds.unwrap();
    // A call is allowed every three seconds, counted from the first one.
    let passed = begun.elapsed().as_secs();
    assert!((3_u64.saturating_sub(passed)..=3).contains(&wait), "{wait}");
    let mut other = rig.session().await;
    other.call("get-limits", None).await.expect_ok();
    sleep(Duration::from_secs(wait)).await;
    let answer = peer.call("test.events", None).await.expect_ok();
    let stored: Vec<rmpv::Value> = answer.payload();
    assert!(stored.is_empty(), "a refused call does nothing");
}

#[tokio::test]
async fn an_address_that_calls_too_often_is_told_whatever_its_license() {
    let rig = Rig::start_with(|config| {
        config.rates.calls_per_address = "1/h burst 2".parse().unwrap();
    })
    .await;
    let mut first = rig.session().await;
    first.call("get-limits", None).await.expect_ok();
    let mut second = rig.session().await;
    second
        .call("no-such-method", None)
        .await
        .expect("UNKNOWN_METHOD");
    expect_limited(first.call("get-limits", None).await);
    expect_limited(second.call("get-limits", None).await);
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_refused_before_the_upgrade() {
    let rig = Rig::start_with(|config| {
        config.rates.connections_per_address = "1/h burst 2".parse().unwrap();
    })
    .await;
    rig.still_serves().await;
    assert_eq!(status(&upgrade(rig.address, &[]).await), "101");
    let refused = upgrade(rig.address, &[]).await;
    assert_eq!(status(&refused), "429", "{refused}");
    let retry_after = refused
        .lines()
        .find_map(|line| line.strip_prefix("retry-after: "));
    let seconds: u64 = retry_after.unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&seconds), "{seconds}");
    // A load balancer asks as often as it likes.
    for _ in 0..10 {
        let healthy = get(rig.address, "/readyz", &[]).await;
        assert_eq!(status(&healthy), "200");
    }
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_gets_the_place_of_one_that_ended() {
    let rig = Rig::start_with(|config| config.max_connections_per_address = 2).await;
    let first = rig.session().await;
    let mut second = rig.session().await;
    let mut third = within(TcpStream::connect(rig.address)).await.unwrap();
    let read = within(third.read_u8()).await;
    assert!(read.is_err(), "it is dropped: {read:?}");
    second.call("get-limits", None).await.expect_ok();
    drop(first);
    let again = async {
        while Socket::try_open(rig.address).await.is_none() {
            sleep(QUIET / 10).await;
        }
    };
    within(again).await;
}

#[tokio::test]
async fn whom_the_node_turns_away_is_in_the_audit_log() {
    let rig = Rig::start_with(|config| {
        config.max_connections_per_address = 1;
        config.rates.connections_per_address = "1/h burst 1".parse().unwrap();
    })
    .await;
    let only = rig.socket().await;
    for _ in 0..3 {
        let mut other = within(TcpStream::connect(rig.address)).await.unwrap();
        assert!(within(other.read_u8()).await.is_err(), "it is dropped");
    }
    drop(only);
    let refused = async {
        loop {
            // Until the node has seen the first one go.
            let mut tcp = TcpStream::connect(rig.address).await.unwrap();
            let request = b"GET /ws HTTP/1.1\r\nhost: localhost\r\n\r\n";
            let mut answer = String::new();
            if tcp.write_all(request).await.is_ok()
                && tcp.read_to_string(&mut answer).await.is_ok()
                && !answer.is_empty()
            {
                return answer;
            }
            sleep(QUIET / 10).await;
        }
    };
    assert_eq!(status(&within(refused).await), "429");
    rig.server.write_refusals().await;
    let log = rig.store.audit_log(&AuditFilter::default(), 0).await;
    let log = log.unwrap();
    let count = |action: &str| -> u64 {
        let of = log.iter().filter(|entry| entry.action == action);
        of.map(|entry| entry.times).sum()
    };
    assert!(count("refused-too-many-connections") >= 3);
    assert_eq!(count("refused-rate-limited"), 1);
}
