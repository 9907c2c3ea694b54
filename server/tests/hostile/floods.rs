//! Clients that send as much as the network takes.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt, stream};
use skyline_protocol::LicenseKey;
use tokio::{task::JoinSet, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    common::{Login, Peer, QUIET, binary, process::Installation},
    siege::{Siege, echo},
};

/// How long a flood goes on, if nobody ends it.
const FLOOD: Duration = Duration::from_secs(5);

/// Logins of the flood of wrong keys.
const WRONG_KEYS: usize = 1_000;

/// Clients that never read.
const DEAF: usize = 8;

/// What each of them asks to be echoed, again and again, in bytes.
const LARGE: usize = 1 << 20;

/// Sends pings and reads nothing. Gives how many went out before the flood was over or ended.
async fn ping(mut peer: Peer) -> u64 {
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < FLOOD {
        let ping = Message::Ping("x".repeat(125).into());
        // Stuck: the server has stopped reading until its pongs are read.
        match timeout(QUIET, peer.socket.0.send(ping)).await {
            Ok(Ok(())) => sent += 1,
            Ok(Err(_)) => break,
            Err(_) => {}
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_hinders_nobody() {
    let siege = Siege::begin(&[]).await;
    let mut floods = JoinSet::new();
    for _ in 0..4 {
        floods.spawn(ping(siege.session().await));
        floods.spawn(ping(siege.peer().await));
    }
    let mut sent = 0;
    while let Some(pings) = floods.join_next().await {
        sent += pings.unwrap();
    }
    assert!(sent > 10_000, "{sent} pings are no flood");
    siege
        .end(&format!("{sent} pings of 8 clients that never read"), 120)
        .await;
}

async fn wrong_key(siege: &Siege) {
    let mut peer = siege.peer().await;
    let answer = peer.log_in(&Login::new(&LicenseKey::generate())).await;
    assert_eq!(answer.status, "LICENSE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_logins_with_wrong_keys_hinders_nobody() {
    let siege = Siege::begin(&[]).await;
    stream::iter(0..WRONG_KEYS)
        .map(|_| wrong_key(&siege))
        .buffer_unordered(32)
        .collect::<()>()
        .await;
    siege.end("1 000 logins with wrong keys", 60).await;
}

/// Asks for echoes until the network takes no more. Gives how many, and keeps the connection.
async fn never_read(mut peer: Peer, payload: Vec<u8>) -> (Peer, usize) {
    for sent in 0.. {
        let packet = Message::Binary(echo(&mut peer, &payload));
        match timeout(FLOOD, peer.socket.0.send(packet)).await {
            Ok(Ok(())) => {}
            Err(_) | Ok(Err(_)) => return (peer, sent),
        }
    }
    unreachable!("the server takes everything")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_hinder_nobody() {
    // A ping that is not answered ends them, when each has taken all the memory that it may.
    let siege = Siege::begin(&["--ping-interval", "4s"]).await;
    let payload = binary(&vec![9; LARGE]);
    let mut asked = 0;
    let mut peaks = Vec::new();
    // The second wave must find the memory of the first again.
    for _ in 0..2 {
        let mut deaf = JoinSet::new();
        for _ in 0..DEAF {
            let peer = siege.narrow_session().await;
            deaf.spawn(never_read(peer, payload.clone()));
        }
        let mut kept = Vec::new();
        while let Some(client) = deaf.join_next().await {
            let (peer, sent) = client.unwrap();
            kept.push(peer);
            asked += sent;
        }
        siege.outlast().await;
        peaks.push(siege.peak_mebibytes());
        drop(kept);
    }
    assert!(
        peaks[1] < peaks[0] * 3 / 2,
        "memory is not given back: {peaks:?}"
    );
    let attack = format!("twice {DEAF} clients that ask for {asked} MiB and never read");
    siege.end(&attack, 600).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_few_open_files_serves_as_many_as_it_has_room_for() {
    let installation = Installation::new().await;
    let running = installation.serve_with_open_files(128, &[]).await;
    let login = Login::new(&installation.license().await);
    let mut peer = running.peer(&installation).await;
    peer.log_in(&login).await.expect_ok();
    // Twice what there is room for: half of them are not even accepted, and take nothing from the
    // others. More would wait for room in the system's own queue.
    let mut crowd = Vec::new();
    for _ in 0..128 {
        crowd.push(
            tokio::net::TcpStream::connect(running.address)
                .await
                .unwrap(),
        );
    }
    for _ in 0..20 {
        peer.call("get-limits", None).await.expect_ok();
        peer.call("send-event", Some(b"\x82\xa5event\xa1x\xa4data\x80"))
            .await
            .expect_ok();
    }
    drop(crowd);
    let mut late = running.peer(&installation).await;
    late.log_in(&login.at(2_000, 1_000)).await.expect_ok();
    running.signal("TERM").await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("room for fewer connections"), "{log}");
    assert!(!log.contains("could not be accepted"), "{log}");
}
