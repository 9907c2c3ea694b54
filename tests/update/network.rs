//! Downloads from the real server over a network that breaks.

use std::time::Duration;

use skyline::download_update;
use skyline_fault_proxy::{Cut, Fault, FaultProxy, Script};
use tempfile::TempDir;

use crate::site::{file, files};
use crate::support::{Server, soon};

const BYTES: usize = 400_000;

#[tokio::test]
async fn the_connection_may_break_at_any_byte_of_the_answer() {
    let server = Server::start();
    let owner = server.owner();
    server.publish("telepower.bin", &file(BYTES), &[]);
    let proxy = FaultProxy::start(server.address().parse().unwrap())
        .await
        .unwrap();
    let mut config = owner.config();
    config.url = format!("ws://{}/ws", proxy.address());
    config.reconnect.initial_delay = Duration::from_millis(1);
    config.reconnect.max_delay = Duration::from_millis(20);
    // In the head, at its end, and in the body.
    let offsets = (0..1500)
        .step_by(25)
        .chain((1500..BYTES as u64).step_by(33_331));
    let mut cases = 0;
    for offset in offsets {
        for how in [Cut::Reset, Cut::Finish] {
            let folder = TempDir::new().unwrap();
            proxy.play_without_bytes(move |connection| match connection {
                0 => Script::to_client(Fault::Cut { after: offset, how }),
                _ => Script::default(),
            });
            let download = download_update(config.clone(), folder.path()).unwrap();
            let update = soon(download.finish()).await.unwrap();
            assert!(
                std::fs::read(&update.path).unwrap() == file(BYTES),
                "{how:?} at {offset}"
            );
            assert_eq!(files(folder.path()).len(), 1);
            let connections = proxy.connections();
            assert_eq!(connections.len(), 2, "{how:?} at {offset}");
            if how == Cut::Finish && offset > 2000 {
                let sent: u64 = connections.iter().map(|record| record.to_client).sum();
                assert!(
                    sent < BYTES as u64 + 4096,
                    "{sent} bytes were sent, cut at {offset}"
                );
            }
            cases += 1;
        }
    }
    println!("{cases} cuts");
}

#[tokio::test]
async fn a_byte_that_changes_on_the_way_is_noticed() {
    let server = Server::start();
    let owner = server.owner();
    server.publish("telepower.bin", &file(BYTES), &[]);
    let proxy = FaultProxy::start(server.address().parse().unwrap())
        .await
        .unwrap();
    let mut config = owner.config();
    config.url = format!("ws://{}/ws", proxy.address());
    config.reconnect.max_delay = Duration::from_millis(500);
    config.update.attempts = 2;
    config.update.stall = Duration::from_millis(500);
    let mut refusals = std::collections::BTreeMap::new();
    let offsets = (0..1300)
        .step_by(20)
        .chain((2000..BYTES as u64).step_by(50_000));
    for at in offsets {
        let folder = TempDir::new().unwrap();
        proxy.play_without_bytes(move |_| Script::to_client(Fault::Corrupt { at, mask: 1 }));
        let download = download_update(config.clone(), folder.path()).unwrap();
        match soon(download.finish()).await {
            // A byte of the head that nobody reads, or that says the same.
            Ok(update) => assert!(
                std::fs::read(update.path).unwrap() == file(BYTES),
                "byte {at}"
            ),
            Err(error) => {
                assert_eq!(files(folder.path()), Vec::<String>::new(), "byte {at}");
                *refusals.entry(error.code()).or_insert(0) += 1;
            }
        }
    }
    println!("{refusals:?}");
    assert!(refusals["UPDATE_SIGNATURE_WRONG"] > 1, "{refusals:?}");
    assert!(refusals["UPDATE_HASH"] > 1, "{refusals:?}");
}
