//! The scenarios of updates.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use skyline::{Client, Error, UpdateFailure, download_update, verify_update};

use crate::support::{PRODUCT, Server, soon};

const NAME: &str = "telepower-setup.bin";

/// A file of that many bytes, none of which is like its neighbours.
fn file(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| (at ^ at >> 8 ^ at >> 16) as u8)
        .collect()
}

fn is_there(folder: &Path) -> bool {
    folder.join(NAME).exists()
}

#[tokio::test]
async fn an_update_is_downloaded_and_verified() {
    let server = Server::start();
    let owner = server.owner();
    let published = file(3 << 20);
    server.publish(NAME, &published, &[]);
    server.admin(&["product", "set", PRODUCT, "--minimum-version", "7.1.0"]);
    let error = owner.try_connect().await.unwrap_err();
    assert_eq!(error.code(), "OUTDATED_VERSION");

    let folder = tempfile::tempdir().unwrap();
    let download = download_update(owner.config(), folder.path()).unwrap();
    let mut progress = download.progress();
    let mut last = None;
    while let Some(told) = soon(progress.next()).await {
        assert_eq!(told.total, published.len() as u64);
        last = Some(told.bytes);
    }
    assert_eq!(last, Some(published.len() as u64));
    let update = soon(download.finish()).await.unwrap();
    assert_eq!(
        (update.version.as_str(), update.file_name.as_str()),
        ("7.1.0", NAME)
    );
    assert_eq!(update.path, folder.path().join(NAME));
    assert_eq!(std::fs::read(&update.path).unwrap(), published);

    let mut updated = owner.config();
    updated.product_version = update.version;
    let client = soon(Client::connect(updated)).await.unwrap();
    assert!(client.session().is_activated_now);
}

#[tokio::test]
async fn a_cancelled_download_goes_on_where_it_stopped() {
    let server = Server::start();
    let owner = server.owner();
    let published = file(64 << 20);
    server.publish(NAME, &published, &[]);
    let folder = tempfile::tempdir().unwrap();
    let download = download_update(owner.config(), folder.path()).unwrap();
    let mut progress = download.progress();
    while soon(progress.next()).await.unwrap().bytes == 0 {}
    download.cancel();
    assert_eq!(
        soon(download.finish()).await.unwrap_err().code(),
        "CANCELLED"
    );
    assert!(!is_there(folder.path()));

    let again = download_update(owner.config(), folder.path()).unwrap();
    let first = soon(again.progress().next()).await.unwrap();
    assert!(first.bytes > 0);
    let update = soon(again.finish()).await.unwrap();
    assert!(std::fs::read(update.path).unwrap() == published);
}

#[tokio::test]
async fn an_update_with_a_wrong_signature_is_refused() {
    let server = Server::start();
    server.admin(&["keygen", "other.key"]);
    server.publish(NAME, &file(1000), &["--release-key", "other.key"]);
    let folder = tempfile::tempdir().unwrap();
    let download = download_update(server.owner().config(), folder.path()).unwrap();
    let error = soon(download.finish()).await.unwrap_err();
    let Error::Update {
        failure: UpdateFailure::SignatureWrong,
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(error.code(), "UPDATE_SIGNATURE_WRONG");
    assert!(!is_there(folder.path()));
}

#[tokio::test]
async fn a_file_from_elsewhere_is_verified() {
    let server = Server::start();
    let owner = server.owner();
    let mut bytes = file(100_000);
    let published = server.publish(NAME, &bytes, &["--json"]);
    let published: serde_json::Value = serde_json::from_str(&published).unwrap();
    let [manifest, signature] = ["manifest", "signature"]
        .map(|key| STANDARD.decode(published[key].as_str().unwrap()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("from a stick");
    std::fs::write(&path, &bytes).unwrap();
    let verified = verify_update(owner.config(), &path, &manifest, &signature);
    let update = soon(verified).await.unwrap();
    assert_eq!(
        (update.version.as_str(), update.path.as_path()),
        ("7.1.0", path.as_path())
    );
    bytes[50_000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let verified = verify_update(owner.config(), &path, &manifest, &signature);
    assert_eq!(soon(verified).await.unwrap_err().code(), "UPDATE_HASH");
}
