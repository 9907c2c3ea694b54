//! The methods of an open session, and the test hooks.

mod common;

use std::collections::BTreeMap;

use common::{Login, Received, Rig, milliseconds};
use rmpv::Value;
use serde::Serialize;
use skyline_protocol::{
    KeyDerivation, Payload, Request,
    methods::{Limits, RateLimit, SendEvent},
};

#[derive(Serialize)]
struct StatusRequest<'a> {
    status: &'a str,
    message: Option<&'a str>,
    #[serde(rename = "retryAfterSeconds", skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

fn event(name: &str, id: Option<&str>) -> Vec<u8> {
    let data = b"\x81\xa2to\xb0/account-manager";
    SendEvent {
        event: name,
        data,
        id,
    }
    .encode()
    .unwrap()
}

use skyline_server::store::EventFilter;

#[tokio::test]
async fn limits_are_the_plans_with_the_licenses_own_before_them() {
    let rig = Rig::start().await;
    let own = BTreeMap::from([
        ("engine.limits.sendMessage.dailyLimit".to_owned(), i64::MAX),
        ("engine.limits.more".to_owned(), i64::MIN),
    ]);
    let key = rig.license_with(common::MONTHLY, own).await;
    let mut peer = rig.peer().await;
    peer.log_in(&Login::new(&key)).await.expect_ok();
    let limits: Limits = peer.call("get-limits", None).await.expect_ok().payload();
    let expected = [
        ("engine.limits.inviteToChannel.dailyLimit", 500),
        ("engine.limits.more", i64::MIN),
        ("engine.limits.sendMessage.dailyLimit", i64::MAX),
    ];
    assert_eq!(limits.len(), expected.len());
    for (name, value) in expected {
        assert_eq!(limits[name], value);
    }
    let mut plain = rig.session().await;
    let limits: Limits = plain.call("get-limits", None).await.expect_ok().payload();
    assert_eq!(limits["engine.limits.sendMessage.dailyLimit"], 150);
}

#[tokio::test]
async fn an_event_is_stored_once_for_each_id() {
    let rig = Rig::start().await;
    let key = rig.license().await;
    let mut peer = rig.peer().await;
    peer.log_in(&Login::new(&key)).await.expect_ok();
    for payload in [
        event("app.navigation", None),
        event("app.navigation", None),
        event("навигация 🚀", Some("first")),
        event("a repeat", Some("first")),
        event("app.other", Some("second")),
    ] {
        let answer = peer.call("send-event", Some(&payload)).await.expect_ok();
        assert!(answer.payload.is_none());
    }
    let filter = EventFilter {
        license: Some(rig.stored(&key).await.id),
        ..EventFilter::default()
    };
    let stored = rig.store.events(&filter, 0).await.unwrap();
    let stored: Vec<_> = stored.into_iter().map(|stored| stored.event).collect();
    let names: Vec<_> = stored.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "app.navigation",
            "app.navigation",
            "навигация 🚀",
            "app.other"
        ]
    );
    assert_eq!(stored[0].data, &b"\x81\xa2to\xb0/account-manager"[..]);
    assert_eq!(stored[0].sent_at, 1_765_529_203);

    // An id is the license's own.
    let mut other = rig.session().await;
    let payload = event("app.navigation", Some("first"));
    other.call("send-event", Some(&payload)).await.expect_ok();
    let events: Value = other.call("test.events", None).await.expect_ok().payload();
    let events = events.as_array().unwrap();
    assert_eq!(events.len(), 1);
    let fields: BTreeMap<_, _> = events[0]
        .as_map()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.as_str().unwrap(), value.clone()))
        .collect();
    assert_eq!(fields["event"], "app.navigation".into());
    assert_eq!(fields["id"], "first".into());
    assert_eq!(
        fields["data"],
        Value::Map(vec![("to".into(), "/account-manager".into())])
    );
}

#[tokio::test]
async fn a_bad_payload_is_answered_and_the_session_goes_on() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    let long_name = event(&"x".repeat(257), None);
    let long_id = event("app", Some(&"x".repeat(257)));
    let empty_name = event("", None);
    let nul_name = event("a\0b", None);
    let nul_id = event("app", Some("\0"));
    let line_in_name = event("app\nlog: forged", None);
    let no_map = [&b"\x82\xa5event\xa1a\xa4data"[..], b"\x05"].concat();
    for payload in [
        None,
        Some(&b"\x80"[..]),
        Some(b"\xa3abc"),
        Some(&no_map),
        Some(&long_name),
        Some(&long_id),
        Some(&empty_name),
        Some(&nul_name),
        Some(&nul_id),
        Some(&line_in_name),
    ] {
        peer.call("send-event", payload).await.expect("BAD_REQUEST");
    }
    let ok = event("app", None);
    peer.call("send-event", Some(&ok)).await.expect_ok();
    let events: Value = peer.call("test.events", None).await.expect_ok().payload();
    assert_eq!(events.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_method_is_refused_by_its_name_and_the_session_goes_on() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    let answer = peer.call("нет-такого", None).await.expect("UNKNOWN_METHOD");
    assert_eq!(
        answer.message.unwrap(),
        "Сервер не знает метод «нет-такого»."
    );
    peer.call("get-limits", None).await.expect_ok();
}

#[tokio::test]
async fn a_second_start_session_is_a_bad_request() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    peer.call("start-session", None).await.expect("BAD_REQUEST");
    peer.call("get-limits", None).await.expect_ok();
}

#[tokio::test]
async fn without_the_switch_there_are_no_test_hooks() {
    let rig = Rig::start_with(|config| config.test_hooks = false).await;
    let mut peer = rig.session().await;
    for method in [
        "test.echo",
        "test.status",
        "test.delay",
        "test.events",
        "test.forget-logins",
        "test.drop-connection",
    ] {
        peer.call(method, None).await.expect("UNKNOWN_METHOD");
    }
}

#[tokio::test]
async fn an_echo_returns_every_byte() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    // Integers in longer forms than they need come back in the same form.
    for payload in [
        &b"\x01"[..],
        b"\xcf\0\0\0\0\0\0\0\x01",
        b"\xc4\0",
        b"\xd4\x05\x07",
        b"\x80",
    ] {
        let answer = peer.call("test.echo", Some(payload)).await.expect_ok();
        assert_eq!(answer.payload.as_deref(), Some(payload));
    }
    let answer = peer.call("test.echo", None).await.expect_ok();
    assert_eq!(answer.payload, None);
}

#[tokio::test]
async fn a_status_is_answered_as_it_was_asked_for() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    let mut request = StatusRequest {
        status: "TEAPOT",
        message: Some("Я чайник 🫖"),
        retry_after_seconds: None,
    };
    let answer = peer.call_with("test.status", &request).await;
    assert_eq!(answer.status, "TEAPOT");
    assert_eq!(answer.message.as_deref(), Some("Я чайник 🫖"));
    assert_eq!(answer.payload, None);
    request.status = "RATE_LIMITED";
    request.message = None;
    request.retry_after_seconds = Some(7);
    let answer = peer.call_with("test.status", &request).await;
    assert_eq!(
        (answer.status.as_str(), &answer.message),
        ("RATE_LIMITED", &None)
    );
    let limit: RateLimit = answer.payload();
    assert_eq!(limit.retry_after_seconds, Some(7));
}

#[tokio::test]
async fn a_delayed_call_does_not_hold_up_the_others() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    let delay = milliseconds(60_000);
    peer.send("test.delay", Some(&delay)).await;
    let quick = peer.send("test.echo", Some(b"\x05")).await;
    assert_eq!(peer.answer().await.seq, quick);
    let answer = peer.call("test.delay", Some(&milliseconds(60_001))).await;
    answer.expect("BAD_REQUEST");
    peer.call("test.delay", Some(&milliseconds(1)))
        .await
        .expect_ok();
}

#[tokio::test]
async fn after_forgotten_logins_the_next_one_is_a_breach() {
    let rig = Rig::start().await;
    let login = Login::new(&rig.license().await);
    let mut peer = rig.peer().await;
    peer.log_in(&login).await.expect_ok();
    peer.call("test.forget-logins", None).await.expect_ok();
    let answer = rig
        .confirmed_login(&login.at(2_000, 1_000))
        .await
        .expect("INTEGRITY_BREACH");
    assert!(answer.message.unwrap().ends_with("LL"));
}

#[tokio::test]
async fn a_dropped_connection_ends_without_an_answer_and_without_a_close_frame() {
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    peer.send("test.drop-connection", None).await;
    let received = peer.socket.receive().await;
    assert!(matches!(received, Received::Dropped), "{received:?}");
}

#[tokio::test]
async fn payloads_may_come_inline_and_are_written_inline_where_that_is_set() {
    let mut lengths = Vec::new();
    for inline in [false, true] {
        let rig = Rig::start_with(|config| config.inline_payloads = inline).await;
        let mut peer = rig.session().await;
        let token = peer.token.clone();
        let request = Request {
            seq: peer.seq,
            timestamp: 1,
            method: "test.echo",
            token: token.as_deref(),
            payload: Payload::Inline(b"\x93\x01\x02\x03"),
        };
        let packet = peer.seal(&request);
        peer.seq += 1;
        peer.socket.send_binary(packet).await;
        let answer = peer.answer().await.expect_ok();
        assert_eq!(answer.payload.as_deref(), Some(&b"\x93\x01\x02\x03"[..]));
        lengths.push(answer.packet.len());
    }
    // A bin has a head of two bytes before the same payload.
    assert_eq!(lengths[0], lengths[1] + 2);
}

#[tokio::test]
async fn other_values_of_the_key_derivation_are_used_by_both_ends_or_by_neither() {
    let derivation = KeyDerivation {
        salt: Some(b"salt".to_vec()),
        info: b"info".to_vec(),
    };
    let rig = Rig::start_with(|config| config.key_derivation = derivation.clone()).await;
    let login = Login::new(&rig.license().await);
    let socket = rig.socket().await;
    let mut same = socket.shake_hands_with(&rig.identity, &derivation).await;
    same.log_in(&login).await.expect_ok();
    let mut other = rig.peer().await;
    other.send("start-session", None).await;
    other.socket.is_closed_with(1002).await;
}

#[tokio::test]
async fn the_data_of_an_event_has_a_bound() {
    const MOST: usize = 64 * 1024;
    let rig = Rig::start().await;
    let mut peer = rig.session().await;
    // {"x": a text of 16-bit length}
    let payload = |length: usize| {
        let text = length - 6;
        let head = [b"\x81\xa1x\xda".as_slice(), &(text as u16).to_be_bytes()].concat();
        let data = [head, vec![b'x'; text]].concat();
        assert_eq!(data.len(), length);
        SendEvent {
            event: "app",
            data: &data,
            id: None,
        }
        .encode()
        .unwrap()
    };
    peer.call("send-event", Some(&payload(MOST)))
        .await
        .expect_ok();
    let answer = peer
        .call("send-event", Some(&payload(MOST + 1)))
        .await
        .expect("BAD_REQUEST");
    assert!(answer.message.unwrap().contains("data"));
}
