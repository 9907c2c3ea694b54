//! The store by itself, on SQLite and on PostgreSQL: two handles on one database stand for two
//! processes, or two nodes.

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{Backend, Database, MONTHLY, PRODUCT, by, within};
use futures_util::future::join_all;
use jiff::Timestamp;
use skyline_protocol::{
    IdentityKeyPair, LicenseKey,
    update::{Manifest, SignedManifest},
    version::Version,
};
use skyline_server::{
    key_secret::KeySecretError,
    licensing::{LoginAttempt, ResyncPolicy, decide},
    model::{Actor, Device, Event, LicenseId, Release},
    store::{
        AuditFilter, EventFilter, LicenseChange, LoginOutcome, NewAuditEntry, NewLicense, PAGE,
        PlanChange, PortableKey, PortableLicense, ProductChange, ReleaseFilter, SqlStore, Store,
        StoreError, StoreOptions,
    },
};
use sqlx::Connection;
use tokio::sync::Barrier;

/// Makes each test run on both databases, under the same name.
macro_rules! on_both_databases {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Database::new(super::Backend::Sqlite).await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Database::new(super::Backend::Postgres).await).await;
            })*
        }
    };
}

on_both_databases! {
    processes_that_make_a_database_at_the_same_time_both_get_it
    logins_by_way_of_two_nodes_bind_a_license_once
    resyncs_of_one_license_are_counted_one_by_one_whichever_nodes_they_come_to
    a_key_is_issued_once
    a_license_needs_a_product_and_a_plan_that_are_there
    an_event_with_an_id_is_kept_once_whichever_node_it_comes_to
    pages_of_events_hold_all_of_them_once
    the_database_holds_no_license_key
    another_secret_or_none_is_refused
    the_audit_log_cannot_be_changed
    changes_of_a_license_do_what_they_say_and_are_in_the_audit_log
    a_plan_keeps_what_is_not_named
    an_import_that_fails_imports_nothing
    exported_licenses_live_on_in_another_database
    a_release_is_offered_once_until_it_is_withdrawn
}

/// A store with the product.
async fn with_product(database: &Database) -> SqlStore {
    let store = database.open().await;
    let change = ProductChange::default();
    store.set_product(PRODUCT, &change, &by()).await.unwrap();
    store
}

fn license(key: &LicenseKey) -> NewLicense {
    NewLicense {
        key: key.clone(),
        product_id: PRODUCT.to_owned(),
        plan_id: MONTHLY.to_owned(),
        limits: BTreeMap::from([("a.b".to_owned(), i64::MIN)]),
        by: by(),
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
        who: Actor::client([127, 0, 0, 1].into()),
        reported: 0,
        value: 1,
        now: Timestamp::UNIX_EPOCH,
        resyncs_since: Timestamp::MIN,
    }
}

async fn log_in(store: &SqlStore, attempt: &LoginAttempt) -> LoginOutcome {
    let policy = ResyncPolicy::default();
    let decide = Box::new(move |attempt: &_, facts: &_| decide(attempt, facts, &policy));
    let attempt = Arc::new(attempt.clone());
    within(store.login(attempt, decide)).await.unwrap()
}

fn accepted(outcome: &LoginOutcome) -> bool {
    matches!(outcome, LoginOutcome::Accepted { .. })
}

async fn actions(store: &SqlStore, license: LicenseId) -> Vec<String> {
    let filter = AuditFilter {
        license: Some(license),
        ..AuditFilter::default()
    };
    let log = store.audit_log(&filter, 0).await.unwrap();
    log.into_iter().map(|entry| entry.action).collect()
}

async fn processes_that_make_a_database_at_the_same_time_both_get_it(database: Database) {
    let stores = join_all((0..3).map(|_| database.open())).await;
    let change = ProductChange::default();
    stores[0]
        .set_product(PRODUCT, &change, &by())
        .await
        .unwrap();
    assert!(stores[1].product(PRODUCT).await.unwrap().is_some());
    assert_eq!(stores[2].plans().await.unwrap().len(), 3);
}

async fn logins_by_way_of_two_nodes_bind_a_license_once(database: Database) {
    let stores = [with_product(&database).await, database.open().await];
    // Several rounds: in the first one most of the time goes into opening connections.
    for _ in 0..5 {
        let key = LicenseKey::generate();
        stores[0].issue_license(&license(&key)).await.unwrap();
        let logins = (0..10).map(|number| {
            let store = &stores[number % 2];
            let attempt = attempt(&key, &format!("device {number}"));
            async move { log_in(store, &attempt).await }
        });
        let outcomes = join_all(logins).await;
        let winners = outcomes.iter().filter(|outcome| accepted(outcome));
        assert_eq!(winners.count(), 1);
    }
}

/// Of logins and confirmations that interleave, two would count the same.
async fn resyncs_of_one_license_are_counted_one_by_one_whichever_nodes_they_come_to(
    database: Database,
) {
    const LOGINS: u32 = 20;
    let stores = [with_product(&database).await, database.open().await];
    let key = LicenseKey::generate();
    stores[0].issue_license(&license(&key)).await.unwrap();
    let LoginOutcome::Accepted { login, .. } = log_in(&stores[0], &attempt(&key, "one")).await
    else {
        panic!("refused");
    };
    let since = Timestamp::MIN;
    assert_eq!(stores[0].confirm_login(login, since).await.unwrap(), 0);
    // Each reports nothing, as nothing of the others is confirmed yet when it is decided.
    let first = Barrier::new(LOGINS as usize);
    let logins = (0..LOGINS).map(|number| {
        let store = &stores[number as usize % 2];
        let attempt = LoginAttempt {
            value: i64::from(number) + 2,
            ..attempt(&key, "one")
        };
        let first = &first;
        async move {
            let LoginOutcome::Accepted { login, .. } = log_in(store, &attempt).await else {
                panic!("refused");
            };
            first.wait().await;
            within(store.confirm_login(login, since)).await.unwrap()
        }
    });
    let mut counts = join_all(logins).await;
    counts.sort_unstable();
    assert_eq!(counts, (1..=LOGINS).collect::<Vec<_>>());
}

async fn a_key_is_issued_once(database: Database) {
    let store = with_product(&database).await;
    let license = license(&LicenseKey::generate());
    store.issue_license(&license).await.unwrap();
    let again = store.issue_license(&license).await;
    assert!(matches!(again, Err(StoreError::KeyTaken)), "{again:?}");
    assert_eq!(store.licenses(None).await.unwrap().len(), 1);
}

async fn a_license_needs_a_product_and_a_plan_that_are_there(database: Database) {
    let store = with_product(&database).await;
    let good = license(&LicenseKey::generate());
    for wrong in [
        NewLicense {
            product_id: "other".to_owned(),
            ..good.clone()
        },
        NewLicense {
            plan_id: "other".to_owned(),
            ..good
        },
    ] {
        let refused = store.issue_license(&wrong).await;
        let told = matches!(refused, Err(StoreError::MissingReference { .. }));
        assert!(told, "{refused:?}");
    }
}

fn event(id: Option<String>) -> Event {
    Event {
        name: "app.навигация".to_owned(),
        data: vec![0x81, 0xa1, b'a', 0xff].into(),
        id,
        sent_at: -1,
    }
}

async fn an_event_with_an_id_is_kept_once_whichever_node_it_comes_to(database: Database) {
    let stores = [with_product(&database).await, database.open().await];
    let key = LicenseKey::generate();
    let id = stores[0].issue_license(&license(&key)).await.unwrap();
    let event = event(Some("one".to_owned()));
    let sent = (0..10)
        .map(|number| within(stores[number % 2].record_event(id, &event, Timestamp::UNIX_EPOCH)));
    let kept = join_all(sent).await;
    assert_eq!(
        kept.into_iter()
            .filter(|kept| *kept.as_ref().unwrap())
            .count(),
        1
    );
    let stored = stores[1].events(&EventFilter::default(), 0).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].license, &stored[0].event), (id, &event));
}

async fn pages_of_events_hold_all_of_them_once(database: Database) {
    let store = with_product(&database).await;
    let key = LicenseKey::generate();
    let id = store.issue_license(&license(&key)).await.unwrap();
    let other = store.issue_license(&license(&LicenseKey::generate())).await;
    let mut connection = database.connection().await;
    sqlx::query(
        "INSERT INTO events (license_id, event, data, sent_at, received_at)
         SELECT licenses.id, 'e', $1, 0, number
         FROM licenses, (WITH RECURSIVE numbers (number) AS
             (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < $2)
             SELECT number FROM numbers) AS numbers",
    )
    .bind(&b"\x80"[..])
    .bind(PAGE + 1)
    .execute(&mut connection)
    .await
    .unwrap();
    let filter = EventFilter {
        license: Some(id),
        product: Some(PRODUCT.to_owned()),
        since: Some(Timestamp::from_second(2).unwrap()),
    };
    let page = store.events(&filter, 0).await.unwrap();
    assert_eq!(i64::try_from(page.len()).unwrap(), PAGE);
    assert!(page.iter().all(|event| event.license == id));
    let last = page.last().unwrap().number;
    assert!(store.events(&filter, last).await.unwrap().is_empty());
    let all = EventFilter {
        license: Some(other.unwrap()),
        ..EventFilter::default()
    };
    let first = store.events(&all, 0).await.unwrap();
    let rest = store.events(&all, first.last().unwrap().number).await;
    assert_eq!(rest.unwrap().len(), 1);
}

async fn the_database_holds_no_license_key(database: Database) {
    let store = with_product(&database).await;
    let key = LicenseKey::generate();
    store.issue_license(&license(&key)).await.unwrap();
    assert!(accepted(&log_in(&store, &attempt(&key, "one")).await));
    let mut connection = database.connection().await;
    let (hash, hint): (String, String) = sqlx::query_as("SELECT key_hash, key_hint FROM licenses")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(hint, key.expose()[24..]);
    assert!(hash.len() == 64 && !hash.contains(key.expose()));
    for file in std::fs::read_dir(database.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&key.expose()[..23]));
    }
    let log = store.audit_log(&AuditFilter::default(), 0).await.unwrap();
    assert!(!format!("{log:?}").contains(&key.expose()[..23]));
}

async fn another_secret_or_none_is_refused(database: Database) {
    with_product(&database).await.close().await;
    let elsewhere = database.folder.path().join("elsewhere");
    let options = StoreOptions {
        key_secret: Some(elsewhere.clone()),
        ..database.options()
    };
    let Err(missing) = options.open().await else {
        panic!("opened without its secret");
    };
    let told = matches!(missing, StoreError::KeySecret(KeySecretError::Missing(_)));
    assert!(told && !elsewhere.exists(), "{missing}");
    std::fs::write(&elsewhere, "0".repeat(64)).unwrap();
    let Err(other) = options.open().await else {
        panic!("opened with another secret");
    };
    let told = matches!(other, StoreError::KeySecret(KeySecretError::Other(_)));
    assert!(told, "{other}");
}

async fn the_audit_log_cannot_be_changed(database: Database) {
    let store = with_product(&database).await;
    let mut connection = database.connection().await;
    for statement in [
        "UPDATE audit_log SET who = 'nobody'",
        "DELETE FROM audit_log",
    ] {
        let error = sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    if !database.address.contains("://") {
        let replaced = sqlx::raw_sql(
            "REPLACE INTO audit_log (id, at, who, action, detail) VALUES (1, 0, 'x', 'x', 'x')",
        )
        .execute(&mut connection)
        .await;
        assert!(replaced.unwrap_err().to_string().contains("append-only"));
    } else {
        let truncated = sqlx::raw_sql("TRUNCATE audit_log")
            .execute(&mut connection)
            .await;
        assert!(truncated.unwrap_err().to_string().contains("append-only"));
    }
    let log = store.audit_log(&AuditFilter::default(), 0).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&*log[0].action, log[0].product.as_deref()),
        ("product-set", Some(PRODUCT))
    );
    assert!(log[0].who.starts_with("admin:"), "{:?}", log[0]);

    let mut entry = NewAuditEntry::new(&by(), "refused-others", "x");
    entry.times = u64::from(u32::MAX);
    store.append_audit(&[entry.clone(), entry]).await.unwrap();
    let filter = AuditFilter {
        action: Some("refused-others".to_owned()),
        since: Some(Timestamp::UNIX_EPOCH),
        license: None,
    };
    let log = store.audit_log(&filter, 0).await.unwrap();
    let times: Vec<_> = log.iter().map(|entry| entry.times).collect();
    assert_eq!(times, [u64::from(u32::MAX); 2]);
}

async fn changes_of_a_license_do_what_they_say_and_are_in_the_audit_log(database: Database) {
    let store = with_product(&database).await;
    let key = LicenseKey::generate();
    let id = store.issue_license(&license(&key)).await.unwrap();
    let change = async |change| store.change_license(id, &change, &by()).await;
    let until = |text: &str| LicenseChange::Extend(text.parse().unwrap());
    for early in [until("2030-01-01"), LicenseChange::Rebind] {
        let refused = change(early).await;
        assert!(
            matches!(refused, Err(StoreError::NotActivated)),
            "{refused:?}"
        );
    }
    assert!(accepted(&log_in(&store, &attempt(&key, "one")).await));
    assert!(change(LicenseChange::Suspend).await.unwrap().suspended);
    assert!(!accepted(&log_in(&store, &attempt(&key, "one")).await));
    assert!(!change(LicenseChange::Resume).await.unwrap().suspended);
    let extended = change(until("2030-01-01")).await.unwrap();
    assert_eq!(
        extended.activation.unwrap().expiry.to_string(),
        "2030-01-01"
    );
    let earlier = change(until("2030-01-01")).await;
    assert!(
        matches!(earlier, Err(StoreError::NotLater(_))),
        "{earlier:?}"
    );

    assert!(!accepted(&log_in(&store, &attempt(&key, "two")).await));
    assert!(change(LicenseChange::Rebind).await.unwrap().rebinding);
    assert!(accepted(&log_in(&store, &attempt(&key, "two")).await));
    let rebound = store.license(id).await.unwrap().unwrap();
    assert!(!rebound.rebinding);
    assert_eq!(rebound.activation.unwrap().device.serial_number, "two");
    assert!(!accepted(&log_in(&store, &attempt(&key, "one")).await));

    let unknown = LoginAttempt {
        reported: -5,
        ..attempt(&key, "two")
    };
    assert!(!accepted(&log_in(&store, &unknown).await));
    change(LicenseChange::ResetLogin).await.unwrap();
    assert!(accepted(&log_in(&store, &unknown).await));
    assert!(
        accepted(&log_in(&store, &unknown).await),
        "its answer may be lost"
    );
    let stranger = LoginAttempt {
        reported: -6,
        ..unknown
    };
    assert!(!accepted(&log_in(&store, &stranger).await), "only once");
    assert_eq!(
        actions(&store, id).await,
        [
            "issued",
            "activated",
            "suspended",
            "resumed",
            "extended",
            "rebinding",
            "rebound",
            "login-reset",
            "adopted"
        ]
    );
    let nobody = store
        .change_license(LicenseId(i64::MAX), &LicenseChange::Suspend, &by())
        .await;
    assert!(matches!(nobody, Err(StoreError::NoLicense)), "{nobody:?}");
}

async fn a_plan_keeps_what_is_not_named(database: Database) {
    let store = database.open().await;
    let none = PlanChange::default();
    let refused = store.set_plan("new", &none, &by()).await;
    assert!(
        matches!(refused, Err(StoreError::PlanWithoutMonths)),
        "{refused:?}"
    );
    let limits = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
    let made = PlanChange {
        months: Some(2),
        limits: limits.clone(),
        removed_limits: Vec::new(),
    };
    let plan = store.set_plan("new", &made, &by()).await.unwrap();
    assert_eq!((plan.months, plan.limits), (2, limits));
    let changed = PlanChange {
        months: None,
        limits: BTreeMap::from([("b".to_owned(), -3)]),
        removed_limits: vec!["a".to_owned()],
    };
    let plan = store.set_plan("new", &changed, &by()).await.unwrap();
    assert_eq!(
        (plan.months, plan.limits.len(), plan.limits["b"]),
        (2, 1, -3)
    );
    assert_eq!(store.plan("new").await.unwrap(), Some(plan));
    assert_eq!(store.plan("other").await.unwrap(), None);
}

fn portable(key: LicenseKey) -> PortableLicense {
    PortableLicense {
        key: PortableKey::Plain(key),
        product_id: PRODUCT.to_owned(),
        plan_id: MONTHLY.to_owned(),
        limits: BTreeMap::new(),
        issued_at: Timestamp::UNIX_EPOCH,
        suspended: false,
        activation: None,
    }
}

async fn an_import_that_fails_imports_nothing(database: Database) {
    let store = with_product(&database).await;
    let (new, taken) = (LicenseKey::generate(), LicenseKey::generate());
    store.issue_license(&license(&taken)).await.unwrap();
    let both = [portable(new.clone()), portable(taken)];
    let refused = store.import_licenses(&both, &by()).await;
    assert!(matches!(refused, Err(StoreError::KeyTaken)), "{refused:?}");
    assert!(store.license_by_key(&new).await.unwrap().is_none());
    store.import_licenses(&both[..1], &by()).await.unwrap();
    assert!(store.license_by_key(&new).await.unwrap().is_some());
}

/// Also from PostgreSQL to SQLite and the reverse: this is how a vendor moves from one to several
/// nodes.
async fn exported_licenses_live_on_in_another_database(database: Database) {
    let store = with_product(&database).await;
    let key = LicenseKey::generate();
    let id = store.issue_license(&license(&key)).await.unwrap();
    assert!(accepted(&log_in(&store, &attempt(&key, "one")).await));
    store
        .change_license(id, &LicenseChange::Suspend, &by())
        .await
        .unwrap();
    let exported = store.export_licenses(Some(PRODUCT)).await.unwrap();
    assert_eq!(exported.len(), 1);
    assert!(
        store
            .export_licenses(Some("other"))
            .await
            .unwrap()
            .is_empty()
    );

    let backend = match database.address.contains("://") {
        true => Backend::Sqlite,
        false => Backend::Postgres,
    };
    let target = Database::new(backend).await;
    std::fs::copy(database.key_secret(), target.key_secret()).unwrap();
    let other = with_product(&target).await;
    assert_eq!(other.key_check_value(), store.key_check_value());
    other.import_licenses(&exported, &by()).await.unwrap();
    assert_eq!(other.export_licenses(None).await.unwrap(), exported);
    let moved = other.license_by_key(&key).await.unwrap().unwrap();
    assert!(moved.suspended && moved.activation.is_some());
    other
        .change_license(moved.id, &LicenseChange::Resume, &by())
        .await
        .unwrap();
    // The client has the last login of the database that it came from.
    let next = LoginAttempt {
        reported: 1,
        value: 2,
        ..attempt(&key, "one")
    };
    assert!(accepted(&log_in(&other, &next).await));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "these are no tables, but a text of some length").unwrap();
    let options = StoreOptions::new(path.to_str().unwrap().parse().unwrap());
    assert!(options.open().await.is_err());
    let missing = folder.path().join("missing.db");
    let options = StoreOptions {
        create: false,
        ..StoreOptions::new(missing.to_str().unwrap().parse().unwrap())
    };
    assert!(options.open().await.is_err());
    assert!(!missing.exists());
}

/// Both as the previous version left it and as a kill between the migrations and the hashing does.
#[tokio::test]
async fn plain_keys_of_the_previous_version_become_hashes_and_nothing_is_lost() {
    for version in [1, 2] {
        let database = Database::sqlite();
        std::fs::write(&database.address, "").unwrap();
        let mut connection = database.connection().await;
        let migrations = sqlx::migrate!("migrations/sqlite");
        migrations.run_to(1, &mut connection).await.unwrap();
        let keys = [LicenseKey::generate(), LicenseKey::generate()];
        sqlx::raw_sql("INSERT INTO products (id) VALUES ('telepower')")
            .execute(&mut connection)
            .await
            .unwrap();
        for key in &keys {
            sqlx::query(
                "INSERT INTO licenses (key, product_id, plan_id, issued_at, activation_date,
                     expiry_date, device_serial_number, cs_product_uuid)
                 VALUES ($1, $2, $3, 5, '1970-01-01', '1970-02-01', 'one', '')",
            )
            .bind(key.expose())
            .bind(PRODUCT)
            .bind(MONTHLY)
            .execute(&mut connection)
            .await
            .unwrap();
        }
        sqlx::raw_sql(
            "INSERT INTO logins (license_id, value, accepted_at, resync, confirmed)
                 SELECT id, 77, 6, 0, 1 FROM licenses;
             INSERT INTO events (license_id, event, data, event_id, sent_at, received_at)
                 VALUES (1, 'e', x'80', 'id', 7, 8);
             INSERT INTO audit_log (at, license_id, action, detail)
                 VALUES (9, 2, 'activated', 'serial number one')",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        migrations.run_to(version, &mut connection).await.unwrap();
        connection.close().await.unwrap();

        let store = database.open().await;
        for key in &keys {
            let next = LoginAttempt {
                reported: 77,
                value: 78,
                ..attempt(key, "one")
            };
            assert!(accepted(&log_in(&store, &next).await));
        }
        assert_eq!(
            store
                .events(&EventFilter::default(), 0)
                .await
                .unwrap()
                .len(),
            1
        );
        let log = store.audit_log(&AuditFilter::default(), 0).await.unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(
            (&*log[0].who, log[0].license),
            ("unknown", Some(LicenseId(2)))
        );
        store.close().await;
        for file in std::fs::read_dir(database.folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            for key in &keys {
                assert!(!text.contains(key.expose()), "version {version}");
            }
        }
    }
}

/// So many keys that their rows and their index take many pages, which the hashes split and move.
#[tokio::test]
async fn no_plain_key_stays_behind_in_any_part_of_a_file_with_thousands() {
    let database = Database::sqlite();
    std::fs::write(&database.address, "").unwrap();
    let mut connection = database.connection().await;
    let migrations = sqlx::migrate!("migrations/sqlite");
    migrations.run_to(1, &mut connection).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO products (id) VALUES ('telepower')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let keys: Vec<_> = (0..4_000).map(|_| LicenseKey::generate()).collect();
    for key in &keys {
        sqlx::query(
            "INSERT INTO licenses (key, product_id, plan_id, issued_at) VALUES ($1, $2, $3, 5)",
        )
        .bind(key.expose())
        .bind(PRODUCT)
        .bind(MONTHLY)
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    transaction.commit().await.unwrap();
    connection.close().await.unwrap();
    let store = database.open().await;
    assert!(store.license_by_key(&keys[0]).await.unwrap().is_some());
    store.close().await;
    let mut files = String::new();
    for file in std::fs::read_dir(database.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        files.push_str(&String::from_utf8_lossy(&bytes));
    }
    // Beginnings are enough: a remainder of a page need not hold a whole key.
    let left = |key: &LicenseKey| files.contains(&key.expose()[..17]);
    assert_eq!(keys.iter().filter(|key| left(key)).count(), 0);
}

async fn a_release_is_offered_once_until_it_is_withdrawn(database: Database) {
    let store = with_product(&database).await;
    let key = IdentityKeyPair::generate();
    let release = |platform: &str, sha256| {
        let manifest = Manifest {
            product: PRODUCT.to_owned(),
            version: "7.1.0".to_owned(),
            platform: platform.to_owned(),
            file_name: "Телепауэр.bin".to_owned(),
            size: 1 << 40,
            sha256,
        };
        Release {
            signed: SignedManifest::sign(&manifest, &key).unwrap(),
            manifest,
            published_at: Timestamp::UNIX_EPOCH,
        }
    };
    // Two releases of one file, and one of another.
    let (linux, macos) = (
        release("linux-x86_64", [7; 32]),
        release("macos-x86_64", [7; 32]),
    );
    let windows = release("windows-x86_64", [8; 32]);
    for release in [&linux, &macos, &windows] {
        within(store.publish_release(release, &by())).await.unwrap();
        let again = within(store.publish_release(release, &by())).await;
        assert!(matches!(again, Err(StoreError::ReleaseExists)), "{again:?}");
    }
    // Another node sees them.
    let other = database.open().await;
    let all = other.releases(&ReleaseFilter::default()).await.unwrap();
    assert_eq!(all, [linux.clone(), macos.clone(), windows.clone()]);
    let filter = ReleaseFilter {
        product: Some(PRODUCT.to_owned()),
        platform: Some("macos-x86_64".to_owned()),
    };
    assert_eq!(
        other.releases(&filter).await.unwrap(),
        std::slice::from_ref(&macos)
    );
    let withdraw = async |release: &Release| other.withdraw_release(&release.manifest, &by()).await;
    assert!(
        !withdraw(&linux).await.unwrap(),
        "the other one has the file still"
    );
    assert!(withdraw(&macos).await.unwrap());
    assert!(withdraw(&windows).await.unwrap());
    assert!(matches!(
        withdraw(&windows).await,
        Err(StoreError::NoRelease)
    ));
    let log = store.audit_log(&AuditFilter::default(), 0).await.unwrap();
    let told = |action: &str| log.iter().filter(|entry| entry.action == action).count();
    assert_eq!(
        (told("release-published"), told("release-withdrawn")),
        (3, 3)
    );
}
