//! Target folders that another user of the system has a hand in.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use sha2::{Digest, Sha256};
use skyline::download_update;

use crate::site::{Site, file, files};
use crate::support::soon;

const BYTES: usize = 100_000;

async fn site() -> Site {
    Site::serving(file(BYTES), |asked, release| release.answer_to(asked)).await
}

#[tokio::test]
async fn a_folder_that_every_user_may_write_to_is_refused() {
    let site = site().await;
    fs::set_permissions(site.folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let download = download_update(site.config(), site.folder.path()).unwrap();
    let error = soon(download.finish()).await.unwrap_err();
    assert_eq!(error.code(), "UPDATE_FOLDER");
    assert!(error.to_string().contains("only this user"), "{error}");
    assert!(files(site.folder.path()).is_empty());
    assert!(site.asked().is_empty(), "nothing was downloaded");
}

#[tokio::test]
async fn a_folder_in_which_users_keep_their_own_files_apart_will_do() {
    let site = site().await;
    fs::set_permissions(site.folder.path(), PermissionsExt::from_mode(0o1777)).unwrap();
    let download = download_update(site.config(), site.folder.path()).unwrap();
    let update = soon(download.finish()).await.unwrap();
    assert_eq!(fs::read(update.path).unwrap(), file(BYTES));
}

#[tokio::test]
async fn a_planted_link_is_never_written_through() {
    let site = site().await;
    let config = site.config();
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let name = hex::encode(&Sha256::digest(config.product_id.as_bytes())[..8]);
    let planted = format!(".skyline-update-{name}.partial");
    symlink(&victim, site.folder.path().join(planted)).unwrap();
    let download = download_update(config, site.folder.path()).unwrap();
    let update = soon(download.finish()).await.unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(fs::symlink_metadata(&update.path).unwrap().is_file());
    assert_eq!(fs::read(&update.path).unwrap(), file(BYTES));
}

#[tokio::test]
async fn a_link_under_the_final_name_gives_way_to_the_file() {
    let site = site().await;
    let first = download_update(site.config(), site.folder.path()).unwrap();
    let place = soon(first.finish()).await.unwrap().path;
    // The right bytes, but where somebody else may change them.
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("moved");
    fs::copy(&place, &moved).unwrap();
    fs::remove_file(&place).unwrap();
    symlink(&moved, &place).unwrap();
    let again = download_update(site.config(), site.folder.path()).unwrap();
    let update = soon(again.finish()).await.unwrap();
    assert_eq!(update.path, place);
    assert!(fs::symlink_metadata(&place).unwrap().is_file());
}
