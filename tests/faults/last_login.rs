//! The last-login file over real logins (docs/protocol.md, section 7).

use std::fs;
use std::path::PathBuf;

use skyline::Client;
use skyline_protocol::packet::Payload;
use skyline_protocol::status::Status;

use crate::support::peer::{Link, Peer, Told, login_answer, login_request};
use crate::support::{Server, soon};

/// A peer that accepts every login and tells what each reported and by which `t` it came.
async fn recording(told: Told<(i64, i64)>) -> Peer {
    Peer::start(move |socket, identity| {
        let told = told.clone();
        async move {
            let Some(mut link) = Link::accept(socket, &identity).await else {
                return;
            };
            let Some(request) = link.request().await else {
                return;
            };
            let reported = login_request(&request).last_login_reported_by_client;
            told.lock().unwrap().push((reported, request.timestamp));
            let payload = login_answer(&skyline_protocol::SessionToken::generate());
            link.respond(0, Status::Ok, None, Payload::Binary(&payload))
                .await;
            link.until_closed().await;
        }
    })
    .await
}

fn login_file(folder: &std::path::Path) -> PathBuf {
    let mut files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .find(|path| path.extension().is_some_and(|end| end == "login"))
        .unwrap()
}

#[tokio::test]
async fn each_login_reports_the_time_of_the_one_before() {
    let told: Told<(i64, i64)> = Told::default();
    let peer = recording(told.clone()).await;
    for _ in 0..3 {
        soon(peer.connect().await.unwrap().shutdown()).await;
    }
    let told = told.lock().unwrap();
    assert_eq!(told[0].0, 0);
    assert_eq!(told[1].0, told[0].1);
    assert_eq!(told[2].0, told[1].1);
}

#[tokio::test]
async fn an_edited_file_counts_as_absent() {
    let told: Told<(i64, i64)> = Told::default();
    let peer = recording(told.clone()).await;
    soon(peer.connect().await.unwrap().shutdown()).await;
    let path = login_file(peer.state.path());
    let mut bytes = fs::read(&path).unwrap();
    let last_of_time = bytes.len() - 33;
    bytes[last_of_time] ^= 1;
    fs::write(&path, bytes).unwrap();
    soon(peer.connect().await.unwrap().shutdown()).await;
    assert_eq!(told.lock().unwrap()[1].0, 0);
}

#[tokio::test]
async fn a_refused_login_does_not_move_the_value() {
    let server = Server::start();
    let owner = server.owner();
    soon(owner.connect().await.shutdown()).await;
    let path = login_file(owner.state.path());
    let before = fs::read(&path).unwrap();
    let key = owner.license_key.expose();
    server.admin(&["license", "suspend", key]);
    let error = owner.try_connect().await.unwrap_err();
    assert_eq!(error.code(), "LICENSE_SUSPENDED");
    assert_eq!(fs::read(&path).unwrap(), before);
    server.admin(&["license", "resume", key]);
    owner.connect().await;
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_used_is_a_typed_error() {
    let server = Server::start();
    let owner = server.owner();
    let file = owner.state.path().join("a-file");
    fs::write(&file, b"").unwrap();
    let mut config = owner.config();
    config.state_folder = Some(file.join("below-a-file"));
    let error = soon(Client::connect(config)).await.unwrap_err();
    assert_eq!(error.code(), "STATE");
    assert!(error.to_string().contains("a-file"), "{error}");
}

#[tokio::test]
async fn logins_of_one_device_at_once_do_not_race() {
    // Without a budget, a login that reports anything but the newest one is refused.
    let server = Server::start_with(&["--resync-budget", "0"]);
    let owner = server.owner();
    let logins: Vec<_> = (0..5)
        .map(|_| {
            let config = owner.config();
            tokio::spawn(async move { Client::connect(config).await })
        })
        .collect();
    for login in logins {
        soon(login).await.unwrap().unwrap();
    }
    owner.connect().await;
}
