//! `start-session` over the wire: every status, the sentences, activation and the last-login rules
//! (docs/protocol.md, sections 5 and 7).

mod common;

use common::{Login, MONTHLY, Rig, Socket, YEARLY, by, within};
use jiff::civil::date;
use skyline_protocol::{LicenseKey, methods::StartSessionResponse};
use skyline_server::{
    licensing::ResyncPolicy,
    model::LicenseId,
    store::{LicenseChange, ProductChange, Setting},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn change(rig: &Rig, license: LicenseId, change: LicenseChange) {
    let changed = rig.store.change_license(license, &change, &by()).await;
    changed.unwrap();
}

#[tokio::test]
async fn the_first_login_activates_and_the_second_finds_it_active() {
    let rig = Rig::start().await;
    rig.clock.set("2024-12-25T23:59:59Z");
    let login = Login::new(&rig.license().await);
    let first: StartSessionResponse = rig.confirmed_login(&login).await.expect_ok().payload();
    assert!(first.is_activated_now);
    assert_eq!(first.activation_date, date(2024, 12, 25));
    assert_eq!(first.expiry_date, date(2025, 1, 25));
    assert_eq!(first.license_plan, MONTHLY);

    rig.clock.advance_days(3);
    let second = login.at(2_000, 1_000);
    let second: StartSessionResponse = rig.confirmed_login(&second).await.expect_ok().payload();
    assert!(!second.is_activated_now);
    assert_eq!(second.activation_date, date(2024, 12, 25));
    assert_eq!(second.expiry_date, date(2025, 1, 25));
    assert_ne!(second.session_token, first.session_token);
}

#[tokio::test]
async fn a_month_from_the_last_of_january_ends_with_february() {
    let rig = Rig::start().await;
    rig.clock.set("2025-01-31T08:00:00Z");
    let login = Login::new(&rig.license().await);
    let session: StartSessionResponse = rig.confirmed_login(&login).await.expect_ok().payload();
    assert_eq!(session.expiry_date, date(2025, 2, 28));
    rig.clock.set("2025-02-27T23:59:59Z");
    let next = login.at(2_000, 1_000);
    rig.confirmed_login(&next).await.expect_ok();
    rig.clock.set("2025-02-28T00:00:00Z");
    rig.confirmed_login(&next.at(3_000, 2_000))
        .await
        .expect("LICENSE_EXPIRED");
}

#[tokio::test]
async fn an_outdated_version_is_refused_in_both_languages() {
    let rig = Rig::start().await;
    let change = ProductChange {
        minimum_version: Setting::Set("7.1".to_owned()),
        update_url: Setting::Keep,
    };
    rig.store
        .set_product("telepower", &change, &by())
        .await
        .unwrap();
    let login = Login::new(&rig.license().await);
    let answer = rig.confirmed_login(&login).await.expect("OUTDATED_VERSION");
    assert_eq!(answer.message.as_deref(), Some("Версия ПО устарела."));
    let english = login.with(|request| request.language = "english".to_owned());
    let answer = rig
        .confirmed_login(&english)
        .await
        .expect("OUTDATED_VERSION");
    assert_eq!(
        answer.message.as_deref(),
        Some("The software version is outdated.")
    );
    let newer = login.with(|request| request.product_version = "7.1".to_owned());
    rig.confirmed_login(&newer).await.expect_ok();
}

#[tokio::test]
async fn a_key_bound_to_another_device_tells_the_day_in_words() {
    let rig = Rig::start().await;
    let login = Login::new(&rig.license().await);
    rig.confirmed_login(&login).await.expect_ok();
    for change in [
        |login: &Login| login.with(|r| r.device_serial_number = "OTHER".to_owned()),
        |login: &Login| login.with(|r| r.cs_product_uuid = "OTHER".to_owned()),
    ] {
        let other = change(&login);
        let answer = rig
            .confirmed_login(&other)
            .await
            .expect("KEY_BOUND_TO_ANOTHER_DEVICE");
        assert_eq!(
            answer.message.unwrap(),
            "Ключ привязан к другому устройству 25 октября 2024 года. \
             Для перепривязки ключа используйте личный кабинет."
        );
        let other = other.with(|request| request.language = "anything".to_owned());
        let answer = rig
            .confirmed_login(&other)
            .await
            .expect("KEY_BOUND_TO_ANOTHER_DEVICE");
        assert!(answer.message.unwrap().contains("on October 25, 2024."));
    }
}

#[tokio::test]
async fn two_devices_that_race_for_a_license_do_not_both_get_it() {
    let rig = Rig::start().await;
    let login = Login::new(&rig.license().await);
    let attempts = (0..8).map(|number| {
        let login = login.with(|request| request.device_serial_number = format!("device {number}"));
        let rig = &rig;
        async move { rig.peer().await.log_in(&login).await.status }
    });
    let statuses = futures_util::future::join_all(attempts).await;
    assert_eq!(statuses.iter().filter(|status| *status == "OK").count(), 1);
    let others = statuses
        .iter()
        .filter(|status| *status == "KEY_BOUND_TO_ANOTHER_DEVICE");
    assert_eq!(others.count(), 7);
}

#[tokio::test]
async fn an_unknown_license_is_refused_whatever_is_wrong_with_it() {
    let rig = Rig::start().await;
    let known = rig.license().await;
    rig.store
        .set_product("other", &ProductChange::default(), &by())
        .await
        .unwrap();
    let login = Login::new(&known);
    let unknown = Login::new(&LicenseKey::generate());
    rig.confirmed_login(&unknown)
        .await
        .expect("LICENSE_NOT_FOUND");
    let malformed = skyline_protocol::methods::decode(b"\xa4oops").unwrap();
    rig.confirmed_login(&Login::new(&malformed))
        .await
        .expect("LICENSE_NOT_FOUND");
    // PostgreSQL takes no U+0000.
    for product in ["other", "never-made", "tele\0power"] {
        let elsewhere = login.with(|request| request.product_id = product.to_owned());
        rig.confirmed_login(&elsewhere)
            .await
            .expect("LICENSE_NOT_FOUND");
    }
    // A key typed in small letters is the same key.
    let small = skyline_protocol::methods::encode(&known.expose().to_lowercase()).unwrap();
    let small = skyline_protocol::methods::decode(&small).unwrap();
    rig.confirmed_login(&Login::new(&small)).await.expect_ok();
}

#[tokio::test]
async fn updates_of_a_product_with_an_impossible_name_are_not_found() {
    let rig = Rig::start().await;
    for path in [
        "/updates/%00",
        "/updates/tele%00power?platform=linux-x86_64",
    ] {
        let mut tcp = within(TcpStream::connect(rig.address)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        within(tcp.write_all(request.as_bytes())).await.unwrap();
        let mut answer = String::new();
        within(tcp.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_suspended_license_is_refused_until_it_is_resumed() {
    let rig = Rig::start().await;
    let key = rig.license().await;
    let id = rig.stored(&key).await.id;
    let login = Login::new(&key);
    change(&rig, id, LicenseChange::Suspend).await;
    rig.confirmed_login(&login)
        .await
        .expect("LICENSE_SUSPENDED");
    change(&rig, id, LicenseChange::Resume).await;
    rig.confirmed_login(&login).await.expect_ok();
    let actions = rig.audit_actions(id).await;
    assert_eq!(
        actions,
        [
            "issued",
            "suspended",
            "refused-suspended",
            "resumed",
            "activated"
        ]
    );
}

#[tokio::test]
async fn a_device_that_takes_a_license_over_may_lose_its_first_answers() {
    let rig = Rig::start_with(|config| config.resync.budget = 0).await;
    let key = rig.license().await;
    let id = rig.stored(&key).await.id;
    let login = Login::new(&key);
    rig.confirmed_login(&login.at(100, 0)).await.expect_ok();
    change(&rig, id, LicenseChange::Rebind).await;
    let moved = login.with(|request| request.device_serial_number = "OTHER".to_owned());
    for timestamp in [200, 300] {
        let mut peer = rig.peer().await;
        peer.log_in(&moved.at(timestamp, 0)).await.expect_ok();
    }
    rig.confirmed_login(&moved.at(400, 300)).await.expect_ok();
    rig.peer()
        .await
        .log_in(&moved.at(500, 0))
        .await
        .expect("INTEGRITY_BREACH");
}

#[tokio::test]
async fn an_open_session_notices_that_its_license_ends_or_is_suspended() {
    let rig = Rig::start().await;
    let key = rig.license().await;
    let id = rig.stored(&key).await.id;
    let mut peer = rig.peer().await;
    peer.log_in(&Login::new(&key)).await.expect_ok();
    peer.call("get-limits", None).await.expect_ok();
    change(&rig, id, LicenseChange::Suspend).await;
    peer.call("get-limits", None)
        .await
        .expect("LICENSE_SUSPENDED");
    change(&rig, id, LicenseChange::Resume).await;
    rig.clock.advance_days(31);
    let answer = peer
        .call("get-limits", None)
        .await
        .expect("LICENSE_EXPIRED");
    assert!(answer.message.unwrap().contains("25 ноября 2024 года"));
}

#[tokio::test]
async fn a_start_session_that_says_nonsense_is_a_bad_request_and_ends_the_connection() {
    let rig = Rig::start().await;
    let login = Login::new(&rig.license().await);
    let long = "x".repeat(257);
    for (part, wrong) in [
        (
            "productVersion",
            login.with(|r| r.product_version = "seven".to_owned()),
        ),
        (
            "productVersion",
            login.with(|r| r.product_version = "7.0.3.1".to_owned()),
        ),
        (
            "deviceSerialNumber",
            login.with(|r| r.device_serial_number = long.clone()),
        ),
        (
            "csProductUUID",
            login.with(|r| r.cs_product_uuid = long.clone()),
        ),
        (
            "csProductUUID",
            login.with(|r| r.cs_product_uuid = "a\nlog: forged".to_owned()),
        ),
        (
            "deviceSerialNumber",
            login.with(|r| {
                r.device_serial_number = String::new();
                r.cs_product_uuid = String::new();
            }),
        ),
    ] {
        let mut peer = rig.peer().await;
        let answer = peer.log_in(&wrong).await.expect("BAD_REQUEST");
        assert!(answer.message.unwrap().contains(part));
        peer.socket.is_closed_with(1008).await;
    }
    for payload in [None, Some(&b"\x80"[..]), Some(&b"\xa3abc"[..])] {
        let mut peer = rig.peer().await;
        peer.call("start-session", payload)
            .await
            .expect("BAD_REQUEST");
        peer.socket.is_closed_with(1008).await;
    }
}

#[tokio::test]
async fn a_refused_login_ends_the_connection() {
    let rig = Rig::start().await;
    let mut peer = rig.peer().await;
    let unknown = Login::new(&LicenseKey::generate());
    peer.log_in(&unknown).await.expect("LICENSE_NOT_FOUND");
    Socket::expect_closed(peer.socket.receive().await, 1008);
}

#[tokio::test]
async fn a_value_that_was_never_accepted_is_a_breach_with_code_ll_and_changes_nothing() {
    let rig = Rig::start().await;
    let key = rig.license().await;
    let login = Login::new(&key);
    // Before any login, nothing was ever accepted.
    rig.confirmed_login(&login.at(1_000, 999))
        .await
        .expect("INTEGRITY_BREACH");
    assert!(rig.stored(&key).await.activation.is_none());
    rig.confirmed_login(&login.at(1_000, 0)).await.expect_ok();
    let answer = rig
        .confirmed_login(&login.at(2_000, 1_001))
        .await
        .expect("INTEGRITY_BREACH");
    assert_eq!(
        answer.message.unwrap(),
        "Нарушена целостность программного обеспечения. \
         Пожалуйста, обратитесь в техническую поддержку с кодом: LL"
    );
    // The refused login at 2000 did not become the newest.
    rig.confirmed_login(&login.at(3_000, 2_000))
        .await
        .expect("INTEGRITY_BREACH");
    rig.confirmed_login(&login.at(4_000, 1_000))
        .await
        .expect_ok();
    let actions = rig.audit_actions(rig.stored(&key).await.id).await;
    let breaches = actions
        .iter()
        .filter(|action| *action == "refused-unknown-last-login");
    assert_eq!(breaches.count(), 3);
}

#[tokio::test]
async fn reporting_the_newest_login_costs_nothing_however_often() {
    let rig = Rig::start().await;
    let key = rig.license_with(YEARLY, Default::default()).await;
    let login = Login::new(&key);
    let mut reported = 0;
    // The values fall: clocks are set back, and the order is that of acceptance.
    for value in (100..120).rev() {
        rig.confirmed_login(&login.at(value, reported))
            .await
            .expect_ok();
        reported = value;
    }
    let actions = rig.audit_actions(rig.stored(&key).await.id).await;
    assert!(!actions.contains(&"resync".to_owned()));
}

#[tokio::test]
async fn older_values_and_zero_cost_budget_until_it_is_spent_and_it_comes_back_with_time() {
    let rig = Rig::start().await;
    let key = rig.license_with(YEARLY, Default::default()).await;
    let login = Login::new(&key);
    rig.confirmed_login(&login.at(1_000, 0)).await.expect_ok();
    rig.confirmed_login(&login.at(2_000, 1_000))
        .await
        .expect_ok();
    // A reinstall, a restored backup, a reinstall: three in the window.
    rig.confirmed_login(&login.at(3_000, 0)).await.expect_ok();
    rig.clock.advance_days(1);
    rig.confirmed_login(&login.at(4_000, 1_000))
        .await
        .expect_ok();
    rig.confirmed_login(&login.at(5_000, 0)).await.expect_ok();
    for reported in [0, 1_000, 4_000] {
        let answer = rig.confirmed_login(&login.at(6_000, reported)).await;
        let answer = answer.expect("INTEGRITY_BREACH");
        assert!(answer.message.unwrap().ends_with("LL"));
    }
    // Who kept its value is not concerned.
    rig.confirmed_login(&login.at(6_000, 5_000))
        .await
        .expect_ok();
    // The first of the three leaves the window.
    rig.clock.advance_days(29);
    rig.confirmed_login(&login.at(7_000, 0)).await.expect_ok();
    rig.confirmed_login(&login.at(8_000, 0))
        .await
        .expect("INTEGRITY_BREACH");
    let actions = rig.audit_actions(rig.stored(&key).await.id).await;
    assert_eq!(
        actions.iter().filter(|action| *action == "resync").count(),
        4
    );
}

#[tokio::test]
async fn an_answer_that_was_never_confirmed_costs_nothing() {
    let rig = Rig::start_with(|config| config.resync.budget = 0).await;
    let key = rig.license().await;
    let login = Login::new(&key);
    // Answers are lost before anything was ever confirmed: the client still has nothing.
    for timestamp in [100, 200, 300] {
        rig.peer()
            .await
            .log_in(&login.at(timestamp, 0))
            .await
            .expect_ok();
    }
    // Any of those values may be the one that arrived.
    rig.peer()
        .await
        .log_in(&login.at(400, 200))
        .await
        .expect_ok();
    // 200 has arrived, so an empty state is a loss now, and the budget is 0.
    rig.peer()
        .await
        .log_in(&login.at(500, 0))
        .await
        .expect("INTEGRITY_BREACH");
    rig.peer()
        .await
        .log_in(&login.at(500, 100))
        .await
        .expect("INTEGRITY_BREACH");
    rig.confirmed_login(&login.at(500, 200)).await.expect_ok();
    rig.peer()
        .await
        .log_in(&login.at(600, 400))
        .await
        .expect("INTEGRITY_BREACH");
    rig.peer()
        .await
        .log_in(&login.at(600, 500))
        .await
        .expect_ok();
}

#[tokio::test]
async fn resyncs_that_wait_for_their_confirmation_do_not_get_around_the_budget() {
    let rig = Rig::start_with(|config| {
        config.resync = ResyncPolicy {
            budget: 1,
            window_days: 30,
        };
    })
    .await;
    let login = Login::new(&rig.license().await);
    rig.confirmed_login(&login.at(100, 0)).await.expect_ok();
    let mut peers = Vec::new();
    for timestamp in [200, 300, 400] {
        let mut peer = rig.peer().await;
        peer.log_in(&login.at(timestamp, 0)).await.expect_ok();
        peers.push(peer);
    }
    peers[0].call("get-limits", None).await.expect_ok();
    for peer in &mut peers[1..] {
        let answer = peer
            .call("get-limits", None)
            .await
            .expect("INTEGRITY_BREACH");
        assert!(answer.message.unwrap().ends_with("LL"));
        peer.socket.is_closed_with(1008).await;
    }
    peers[0].call("get-limits", None).await.expect_ok();
}

#[tokio::test]
async fn resyncs_that_are_confirmed_by_the_next_login_do_not_get_around_the_budget() {
    let rig = Rig::start_with(|config| {
        config.resync = ResyncPolicy {
            budget: 1,
            window_days: 30,
        };
    })
    .await;
    let login = Login::new(&rig.license().await);
    rig.confirmed_login(&login.at(100, 0)).await.expect_ok();
    // Three copies of one device, each with an answer of its own.
    for timestamp in [200, 300, 400] {
        let mut peer = rig.peer().await;
        peer.log_in(&login.at(timestamp, 0)).await.expect_ok();
    }
    let mut peer = rig.peer().await;
    peer.log_in(&login.at(500, 200)).await.expect_ok();
    for (timestamp, reported) in [(600, 300), (700, 400)] {
        let mut peer = rig.peer().await;
        let answer = peer.log_in(&login.at(timestamp, reported)).await;
        assert!(
            answer
                .expect("INTEGRITY_BREACH")
                .message
                .unwrap()
                .ends_with("LL")
        );
    }
}
