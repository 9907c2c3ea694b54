//! The store by itself: two handles on one file stand for two processes.

mod common;

use std::path::Path;

use common::{MONTHLY, PRODUCT, within};
use futures_util::future::join_all;
use jiff::Timestamp;
use semver::Version;
use skyline_protocol::LicenseKey;
use skyline_server::{
    licensing::{LoginAttempt, ResyncPolicy, decide},
    model::Device,
    store::{LoginOutcome, NewLicense, ProductChange, SqliteStore, Store, StoreError},
};

async fn open(path: &Path) -> SqliteStore {
    within(SqliteStore::open(path, true)).await.unwrap()
}

fn license(key: &LicenseKey) -> NewLicense {
    NewLicense {
        key: key.clone(),
        product_id: PRODUCT.to_owned(),
        plan_id: MONTHLY.to_owned(),
        limits: Default::default(),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn attempt(key: &LicenseKey, device: &str) -> LoginAttempt {
    LoginAttempt {
        product_id: PRODUCT.to_owned(),
        product_version: Version::new(7, 0, 3),
        license_key: key.clone(),
        device: Device {
            serial_number: device.to_owned(),
            cs_product_uuid: String::new(),
        },
        reported: 0,
        value: 1,
        now: Timestamp::UNIX_EPOCH,
        resyncs_since: Timestamp::MIN,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_make_a_database_at_the_same_time_both_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skyline.db");
    let stores = join_all((0..2).map(|_| open(&path))).await;
    stores[0]
        .set_product(PRODUCT, &ProductChange::default())
        .await
        .unwrap();
    assert!(stores[1].product(PRODUCT).await.unwrap().is_some());
    assert_eq!(stores[1].plans().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_by_way_of_two_nodes_bind_a_license_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skyline.db");
    let stores = [open(&path).await, open(&path).await];
    stores[0]
        .set_product(PRODUCT, &ProductChange::default())
        .await
        .unwrap();
    let key = LicenseKey::generate();
    stores[0].issue_license(&license(&key)).await.unwrap();
    let policy = ResyncPolicy::default();
    let logins = (0..10).map(|number| {
        let store = &stores[number % 2];
        let attempt = attempt(&key, &format!("device {number}"));
        async move {
            let decide = |facts: &_| decide(&attempt, facts, &policy);
            within(store.login(&attempt, &decide)).await.unwrap()
        }
    });
    let accepted = join_all(logins)
        .await
        .into_iter()
        .filter(|outcome| matches!(outcome, LoginOutcome::Accepted { .. }));
    assert_eq!(accepted.count(), 1);
}

#[tokio::test]
async fn a_key_is_issued_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("skyline.db")).await;
    store
        .set_product(PRODUCT, &ProductChange::default())
        .await
        .unwrap();
    let license = license(&LicenseKey::generate());
    store.issue_license(&license).await.unwrap();
    let again = store.issue_license(&license).await;
    assert!(matches!(again, Err(StoreError::KeyTaken)), "{again:?}");
    assert_eq!(store.licenses(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "these are no tables, but a text of some length").unwrap();
    assert!(SqliteStore::open(&path, true).await.is_err());
    let missing = folder.path().join("missing.db");
    assert!(SqliteStore::open(&missing, false).await.is_err());
    assert!(!missing.exists());
}
