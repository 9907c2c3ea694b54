//! Two downloads at once, and one after the other.

use std::time::Duration;

use skyline::download_update;

use crate::site::{Site, Then, file, files};
use crate::support::soon;

const BYTES: usize = 2_000_000;

#[tokio::test]
async fn two_downloads_at_once_give_one_file_and_fetch_it_once() {
    let site = Site::serving(file(BYTES), |asked, release| release.answer_to(asked)).await;
    let downloads: Vec<_> = (0..4)
        .map(|_| download_update(site.config(), site.folder.path()).unwrap())
        .collect();
    for download in &downloads {
        let update = soon(download.finish()).await.unwrap();
        assert_eq!(std::fs::read(update.path).unwrap(), file(BYTES));
    }
    assert_eq!(files(site.folder.path()).len(), 1);
}

#[tokio::test]
async fn a_download_that_waits_for_another_can_be_cancelled() {
    let site = Site::serving(file(BYTES), |_, release| {
        release.whole().cut(BYTES / 2).then(Then::Hang)
    })
    .await;
    let first = download_update(site.config(), site.folder.path()).unwrap();
    assert!(soon(first.progress().next()).await.is_some());
    let second = download_update(site.config(), site.folder.path()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    second.cancel();
    assert_eq!(soon(second.finish()).await.unwrap_err().code(), "CANCELLED");
    assert_eq!(site.asked().len(), 1, "the second never asked");
}

#[tokio::test]
async fn different_products_share_a_folder() {
    let site = Site::serving(file(BYTES), |_, release| {
        release.whole().cut(BYTES / 2).then(Then::Hang)
    })
    .await;
    let first = download_update(site.config(), site.folder.path()).unwrap();
    assert!(soon(first.progress().next()).await.is_some());
    let mut other = site.config();
    other.product_id = "another".to_owned();
    // It is not kept waiting: that the update is of another product is all that is wrong.
    let refused = download_update(other, site.folder.path()).unwrap();
    let error = soon(refused.finish()).await.unwrap_err();
    assert_eq!(error.code(), "UPDATE_WRONG_PRODUCT");
}

#[tokio::test]
async fn a_file_that_is_here_already_is_not_fetched_again() {
    let site = Site::serving(file(BYTES), |asked, release| match asked.number {
        0 => release.whole(),
        _ => release.whole().cut(0).then(Then::Hang),
    })
    .await;
    let update = site.download().await.unwrap();
    assert_eq!(site.download().await.unwrap(), update);
    // Unless it is another one by now.
    std::fs::write(&update.path, "edited").unwrap();
    let mut config = site.config();
    config.update.stall = Duration::from_millis(100);
    config.update.attempts = 1;
    assert_eq!(
        site.download_as(config).await.unwrap_err().code(),
        "CONNECTION"
    );
    assert_eq!(std::fs::read(&update.path).unwrap(), b"edited");
}

#[tokio::test]
async fn a_newer_file_takes_the_place_of_an_older_one_of_its_name() {
    let site = Site::serving(file(BYTES), |_, release| release.whole()).await;
    let place = site.folder.path().join("Телепауэр 7.1.0.bin");
    std::fs::write(&place, "the one before").unwrap();
    site.download().await.unwrap();
    assert_eq!(std::fs::read(&place).unwrap(), file(BYTES));
}

#[tokio::test]
async fn progress_is_told_from_the_first_byte_to_the_last() {
    let site = Site::serving(file(BYTES), |_, release| release.whole()).await;
    let download = download_update(site.config(), site.folder.path()).unwrap();
    let mut progress = download.progress();
    let mut before = 0;
    let mut last = None;
    while let Some(told) = soon(progress.next()).await {
        assert_eq!(told.total, BYTES as u64);
        assert!((before..=told.total).contains(&told.bytes));
        before = told.bytes;
        last = Some(told);
    }
    assert_eq!(last.unwrap().bytes, BYTES as u64);
    soon(download.finish()).await.unwrap();
    assert_eq!(
        soon(download.progress().next()).await,
        last,
        "a late reader is told, too"
    );
}
