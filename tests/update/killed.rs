//! A program that is killed while it downloads, and the next start of it.

use std::path::Path;
use std::process::{Output, Stdio};

use skyline_fault_proxy::{Fault, FaultProxy, Script};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::site::{file, files, partial};
use crate::support::{Owner, PRODUCT, Server, soon};

const BYTES: usize = 20_000_000;

/// At how much of the answer the network stops, so that the program can be killed in the middle.
const STOPS_AT: u64 = 9_000_000;

/// Starts the example program, which logs in, is refused and downloads.
fn start(owner: &Owner, proxy: &FaultProxy, folder: &Path) -> Child {
    // cargo builds the examples with the tests, beside their folder.
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/update");
    Command::new(example)
        .env("SKYLINE_URL", format!("ws://{}/ws", proxy.address()))
        .env("SKYLINE_IDENTITY_KEY", &owner.identity_key)
        .env("SKYLINE_LICENSE_KEY", owner.license_key.expose())
        .env("SKYLINE_STATE_FOLDER", owner.state.path())
        .env("SKYLINE_DOWNLOADS", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn finish(program: Child) -> Output {
    soon(program.wait_with_output()).await.unwrap()
}

#[tokio::test]
async fn a_killed_download_goes_on_where_it_stopped() {
    let server = Server::start();
    let owner = server.owner();
    server.publish("telepower.bin", &file(BYTES), &[]);
    server.admin(&["product", "set", PRODUCT, "--minimum-version", "7.1.0"]);
    let proxy = FaultProxy::start(server.address().parse().unwrap())
        .await
        .unwrap();
    let folder = TempDir::new().unwrap();

    // The first connection is the login, the second one the download.
    proxy.play_without_bytes(|connection| match connection {
        0 => Script::default(),
        _ => Script::to_client(Fault::Stall { at: STOPS_AT }),
    });
    let mut program = start(&owner, &proxy, folder.path());
    let stored = || partial(folder.path()).map_or(0, |bytes| bytes.len());
    let written = async {
        // All that came: the head of the answer takes less than 4 KiB of it.
        while stored() < STOPS_AT as usize - 4096 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(written).await;
    // SIGKILL: nothing of the program has a say in it.
    soon(program.kill()).await.unwrap();
    assert_eq!(files(folder.path()), Vec::<String>::new());
    let had = stored();

    proxy.play_without_bytes(|_| Script::default());
    let output = finish(start(&owner, &proxy, folder.path())).await;
    let told = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert!(
        told.starts_with("OUTDATED_VERSION: Версия ПО устарела."),
        "{told}"
    );
    assert!(told.contains("logged in as 7.1.0"), "{told}");
    assert!(std::fs::read(folder.path().join("telepower.bin")).unwrap() == file(BYTES));
    let sent: u64 = proxy
        .connections()
        .iter()
        .map(|record| record.to_client)
        .sum();
    let missing = (BYTES - had) as u64;
    println!("{had} of {BYTES} bytes were here, {sent} were sent");
    // The rest, two logins and the heads.
    assert!(
        (missing..missing + 20_000).contains(&sent),
        "{sent} for {missing}"
    );
}
