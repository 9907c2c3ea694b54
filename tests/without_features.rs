//! What is left of the client in a build without the features that it may do without. Run by
//! `cargo test -p skyline --no-default-features --test without_features`.
#![cfg(not(any(feature = "events", feature = "update")))]

mod support;

use std::path::Path;
use std::time::Duration;

use skyline::{Client, Error, EventCounters, download_update, verify_update};
use support::{Server, soon};

/// Checks that what failed is the feature that was left out, and that the text says so.
fn assert_left_out<T: std::fmt::Debug>(result: skyline::Result<T>, feature: &str) {
    let error = result.unwrap_err();
    let Error::InvalidConfiguration { field, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*field, feature);
    let what_to_do = format!("take a build of Skyline with the feature `{feature}`");
    assert!(error.to_string().contains(&what_to_do), "{error}");
}

#[tokio::test]
async fn calls_work_and_events_are_refused_without_the_queue() {
    let server = Server::start();
    let device = server.owner();
    let client = soon(Client::connect(device.config())).await.unwrap();
    let answer: u64 = soon(client.call("test.echo", &7)).await.unwrap();
    assert_eq!(answer, 7);
    assert_left_out(soon(client.track_raw("event", &[0x80])).await, "events");
    // Nothing is queued.
    soon(client.flush_events(Duration::ZERO)).await.unwrap();
    assert_eq!(client.event_counters(), EventCounters::default());
    // Without the queue an event can be sent all the same.
    soon(client.send_event_raw("event", &[0x80])).await.unwrap();
    soon(client.shutdown()).await;
}

#[tokio::test]
async fn the_queue_of_an_earlier_build_is_left_alone() {
    let server = Server::start();
    let device = server.owner();
    soon(device.connect().await.shutdown()).await;
    // Whatever is there is named after the installation, as the logs of the queue are.
    let mut files = std::fs::read_dir(device.state.path()).unwrap();
    let log = files.next().unwrap().unwrap().path();
    let log = log.with_extension("0123456789abcdef.events");
    std::fs::write(&log, b"events").unwrap();
    soon(device.connect().await.shutdown()).await;
    assert_eq!(std::fs::read(&log).unwrap(), b"events");
}

#[tokio::test]
async fn updates_are_refused_without_the_updater() {
    let server = Server::start();
    let device = server.owner();
    let folder = device.config().state_folder.unwrap().join("updates");
    assert_left_out(download_update(device.config(), &folder), "update");
    assert!(!folder.exists());
    let verified = verify_update(device.config(), Path::new("update.zip"), b"", b"");
    assert_left_out(soon(verified).await, "update");
}
