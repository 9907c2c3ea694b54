//! The scenarios of docs/scenarios.md in Rust; the other languages run the same ones by the same
//! names.

#[path = "scenarios/reconnecting.rs"]
mod reconnecting;
mod support;
#[path = "scenarios/updating.rs"]
mod updating;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmpv::Value;
use serde::{Deserialize, Serialize};
use skyline::{
    BreachReason, Client, ConnectionFailure, ConnectionState, Error, EventOverflow, LicenseKey,
};
use skyline_protocol::identity::IdentityKeyPair;
use support::{Server, device, logs, soon};

/// What `test.status` takes.
#[derive(Serialize)]
struct TestStatus {
    status: &'static str,
    message: &'static str,
}

/// What `test.delay` takes.
#[derive(Serialize)]
struct Delay {
    milliseconds: u64,
}

/// A delay that outlives every test, unless something ends it.
const LONG: Delay = Delay {
    milliseconds: 50_000,
};

/// What `test.events` gives.
#[derive(Deserialize)]
struct Stored {
    event: String,
    data: Value,
}

async fn events(client: &Client) -> Vec<Stored> {
    soon(client.call("test.events", &())).await.unwrap()
}

async fn echo(client: &Client, value: &Value) -> Value {
    soon(client.call("test.echo", value)).await.unwrap()
}

#[tokio::test]
async fn a_first_login_activates_the_license() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let session = client.session();
    assert!(session.is_activated_now);
    assert_eq!(session.license_plan, support::MONTHLY);
    let month = jiff::Span::new().months(1);
    assert_eq!(
        session.expiry_date,
        session.activation_date.checked_add(month).unwrap()
    );
}

#[tokio::test]
async fn a_second_login_finds_the_license_active() {
    let server = Server::start();
    let owner = server.owner();
    let first = owner.connect().await;
    let activation = first.session().activation_date;
    soon(first.shutdown()).await;
    let second = owner.connect().await.session();
    assert!(!second.is_activated_now);
    assert_eq!(second.activation_date, activation);
}

#[tokio::test]
async fn an_outdated_version_is_refused() {
    let server = Server::start();
    server.admin(&[
        "product",
        "set",
        support::PRODUCT,
        "--minimum-version",
        "8.0.0",
    ]);
    let mut config = server.owner().config();
    config.language = "russian".to_owned();
    let error = soon(Client::connect(config)).await.unwrap_err();
    assert_eq!(error.code(), "OUTDATED_VERSION");
    assert_eq!(error.to_string(), "Версия ПО устарела.");
}

#[tokio::test]
async fn a_key_bound_to_another_device_is_refused() {
    let server = Server::start();
    let owner = server.owner();
    soon(owner.connect().await.shutdown()).await;
    let mut config = owner.config();
    config.device = Some(device("ANOTHER"));
    let error = soon(Client::connect(config)).await.unwrap_err();
    assert_eq!(error.code(), "KEY_BOUND_TO_ANOTHER_DEVICE");
    let year = jiff::Timestamp::now().strftime("%Y").to_string();
    assert!(
        error.to_string().contains(&year),
        "the date in words: {error}"
    );
}

#[tokio::test]
async fn an_integrity_breach_reported_by_the_server_latches() {
    let server = Server::start();
    let owner = server.owner();
    let first = owner.connect().await;
    let () = soon(first.call("test.forget-logins", &())).await.unwrap();
    soon(first.shutdown()).await;
    let error = owner.try_connect().await.unwrap_err();
    let Error::IntegrityBreach {
        reason: BreachReason::ReportedByServer,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(error.to_string().contains("LL"), "{error}");

    let client = server.owner().connect().await;
    let mut states = client.states();
    assert_eq!(
        soon(states.next_state()).await,
        Some(ConnectionState::Ready)
    );
    let status = TestStatus {
        status: "INTEGRITY_BREACH",
        message: "Broken: XX",
    };
    let breach = soon(client.call::<_, ()>("test.status", &status))
        .await
        .unwrap_err();
    assert_eq!(breach.code(), "INTEGRITY_BREACH");
    assert_eq!(breach.to_string(), "Broken: XX");
    assert_eq!(soon(client.get_limits()).await.unwrap_err(), breach);
    let closed = ConnectionState::Breached(breach);
    assert_eq!(soon(states.next_state()).await, Some(closed));
    assert_eq!(soon(states.next_state()).await, None);
}

#[tokio::test]
async fn a_wrong_identity_key_is_a_breach() {
    let server = Server::start();
    let mut config = server.owner().config();
    config.identity_keys = vec![IdentityKeyPair::generate().public()];
    let error = soon(Client::connect(config)).await.unwrap_err();
    let reason = BreachReason::ServerSignature;
    assert_eq!(
        error,
        Error::IntegrityBreach {
            reason,
            server_message: None
        }
    );
}

#[tokio::test]
async fn an_unknown_license_is_refused() {
    let server = Server::start();
    let error = server
        .owner_of(LicenseKey::generate())
        .try_connect()
        .await
        .unwrap_err();
    assert_eq!(error.code(), "LICENSE_NOT_FOUND");
    assert!(error.server_message().is_some());
}

#[tokio::test]
async fn limits_are_read() {
    let server = Server::start();
    let limits = soon(server.owner().connect().await.get_limits())
        .await
        .unwrap();
    assert_eq!(limits["engine.limits.inviteToChannel.dailyLimit"], 500);
    assert_eq!(limits["engine.limits.sendMessage.dailyLimit"], 150);
}

#[tokio::test]
async fn an_event_is_stored() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let data = Value::Map(vec![
        (Value::from("to"), Value::from("/account-manager")),
        (
            Value::from("from"),
            Value::Map(vec![(
                Value::from("visits"),
                Value::from(vec![Value::from(3)]),
            )]),
        ),
    ]);
    soon(client.send_event("app.navigation", &data))
        .await
        .unwrap();
    let stored = events(&client).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(
        (stored[0].event.as_str(), &stored[0].data),
        ("app.navigation", &data)
    );
}

#[tokio::test]
async fn every_messagepack_type_survives_a_call() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let value = Value::Map(vec![
        (Value::from("nothing"), Value::Nil),
        (
            Value::from("truth"),
            Value::from(vec![Value::from(true), Value::from(false)]),
        ),
        (
            Value::from("integers"),
            Value::from(vec![Value::from(0), Value::from(-1), Value::from(128)]),
        ),
        (
            Value::from("floats"),
            Value::from(vec![Value::F32(1.5), Value::F64(-2.25)]),
        ),
        (Value::from("text"), Value::from("text")),
        (Value::from("binary"), Value::Binary(vec![0, 127, 128, 255])),
        (Value::from("extension"), Value::Ext(5, vec![1, 2, 3])),
        (
            Value::from(7),
            Value::Map(vec![(Value::Nil, Value::from(Vec::<Value>::new()))]),
        ),
    ]);
    let mut sent = Vec::new();
    rmpv::encode::write_value(&mut sent, &value).unwrap();
    let call = client.call_raw("test.echo", Some(Bytes::from(sent.clone())));
    let received = soon(call).await.unwrap().unwrap();
    assert_eq!(received, sent);
    assert_eq!(rmpv::decode::read_value(&mut &received[..]).unwrap(), value);
    assert_eq!(
        soon(client.call_raw("test.echo", None)).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn an_unknown_status_is_kept_as_it_came() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let status = TestStatus {
        status: "TEAPOT_IS_SHORT",
        message: "и толстый 🫖",
    };
    let error = soon(client.call::<_, ()>("test.status", &status))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "UNKNOWN_STATUS");
    assert_eq!(error.status(), Some("TEAPOT_IS_SHORT"));
    assert_eq!(error.server_message(), Some("и толстый 🫖"));
    soon(client.get_limits()).await.unwrap();
}

#[tokio::test]
async fn an_unknown_method_is_refused() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let error = soon(client.call::<_, ()>("no-such-method", &()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "UNKNOWN_METHOD");
    soon(client.get_limits()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_concurrent_calls_get_their_own_answers() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let calls: Vec<_> = (0..500u64)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { echo(&client, &Value::from(number)).await })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(soon(call).await.unwrap(), Value::from(number));
    }
}

#[tokio::test]
async fn a_large_payload_goes_both_ways() {
    const SIZE: usize = 8 << 20;
    let server = Server::start();
    let client = server.owner().connect().await;
    let sent: Vec<u8> = (0..SIZE).map(|position| (position % 251) as u8).collect();
    assert_eq!(
        echo(&client, &Value::Binary(sent.clone())).await,
        Value::Binary(sent)
    );
    let too_large = serde_bytes::ByteBuf::from(vec![0; 17 << 20]);
    let error = soon(client.call::<_, ()>("test.echo", &too_large))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "PACKET_TOO_LARGE");
    soon(client.get_limits()).await.unwrap();
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let deadline = Duration::from_millis(200);
    let started = Instant::now();
    let hasty = client.with_deadline(deadline);
    let error = soon(hasty.call::<_, ()>("test.delay", &LONG))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "DEADLINE_EXCEEDED");
    assert_eq!(error.maybe_executed(), Some(true));
    assert!(started.elapsed() >= deadline);
    soon(client.get_limits()).await.unwrap();
}

#[tokio::test]
async fn cancelling_one_call_leaves_the_others() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let delay = |milliseconds| {
        let client = client.clone();
        tokio::spawn(async move {
            client
                .call::<_, ()>("test.delay", &Delay { milliseconds })
                .await
        })
    };
    let (before, cancelled, after) = (delay(300), delay(30_000), delay(300));
    tokio::time::sleep(Duration::from_millis(100)).await;
    cancelled.abort();
    assert!(soon(cancelled).await.unwrap_err().is_cancelled());
    soon(before).await.unwrap().unwrap();
    soon(after).await.unwrap().unwrap();
    soon(client.get_limits()).await.unwrap();
}

#[tokio::test]
async fn shutting_down_fails_the_calls_in_flight() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.call::<_, ()>("test.delay", &LONG).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    soon(client.shutdown()).await;
    assert_eq!(soon(call).await.unwrap().unwrap_err().code(), "SHUT_DOWN");
}

#[tokio::test]
async fn a_client_that_was_shut_down_refuses_calls() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let mut states = client.states();
    soon(client.shutdown()).await;
    soon(client.shutdown()).await;
    let error = soon(client.get_limits()).await.unwrap_err();
    assert_eq!(
        error,
        Error::ShutDown {
            maybe_executed: false
        }
    );
    assert_eq!(
        soon(states.next_state()).await,
        Some(ConnectionState::ShutDown)
    );
    assert_eq!(soon(states.next_state()).await, None);
}

#[tokio::test]
async fn a_client_dropped_without_shutdown_does_no_harm() {
    let server = Server::start();
    let owner = server.owner();
    for _ in 0..10 {
        let client = owner.connect().await;
        let call = client.call_raw("test.echo", None);
        drop(call);
        drop(client);
    }
    soon(owner.connect().await.get_limits()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_goes_away_fails_the_calls() {
    let mut server = Server::start();
    let owner = server.owner();
    let client = owner.connect().await;
    let mut states = client.states();
    assert_eq!(
        soon(states.next_state()).await,
        Some(ConnectionState::Ready)
    );
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.call::<_, ()>("test.delay", &LONG).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.kill();
    let error = soon(call).await.unwrap().unwrap_err();
    assert_eq!(
        (error.code(), error.maybe_executed()),
        ("CONNECTION_LOST", Some(true))
    );
    let hasty = client.with_deadline(Duration::from_millis(100));
    let later = soon(hasty.get_limits()).await.unwrap_err();
    assert_eq!(
        (later.code(), later.maybe_executed()),
        ("DEADLINE_EXCEEDED", Some(false))
    );
    let state = soon(states.next_state()).await;
    assert!(
        matches!(
            state,
            Some(ConnectionState::Reconnecting { .. } | ConnectionState::Connecting)
        ),
        "{state:?}"
    );
    let error = owner.try_connect().await.unwrap_err();
    let Error::Connection {
        failure: ConnectionFailure::Refused,
        ..
    } = error
    else {
        panic!("{error:?}");
    };
}

#[tokio::test]
async fn each_invalid_configuration_field_is_named() {
    let server = Server::start();
    let owner = server.owner();
    type Change = fn(&mut skyline::ClientConfig);
    let changes: [(&str, Change); 18] = [
        ("url", |c| c.url = "not a url".into()),
        ("url", |c| c.url = "ws://192.0.2.1/ws".into()),
        ("product_id", |c| c.product_id.clear()),
        ("product_version", |c| c.product_version.clear()),
        ("language", |c| c.language.clear()),
        ("identity_keys", |c| c.identity_keys.clear()),
        ("device", |c| c.device = Some(device("Default string"))),
        ("connect_deadline", |c| c.deadlines.connect = Duration::ZERO),
        ("handshake_deadline", |c| {
            c.deadlines.handshake = Duration::ZERO
        }),
        ("call_deadline", |c| c.deadlines.call = Duration::ZERO),
        ("max_packet_bytes", |c| c.limits.packet_bytes = 1),
        ("max_calls_in_flight", |c| c.limits.calls_in_flight = 0),
        ("max_bytes_in_flight", |c| c.limits.bytes_in_flight = 0),
        ("max_packets_per_connection", |c| {
            c.limits.packets_per_connection = 0
        }),
        ("max_queued_events", |c| c.events.max_events = 0),
        ("max_queued_event_bytes", |c| c.events.max_bytes = 0),
        ("extra_root_certificates", |c| {
            c.extra_root_certificates = vec![b"junk".to_vec()]
        }),
        ("proxy", |c| {
            c.proxy = skyline::Proxy::Url("nonsense".to_owned().into())
        }),
    ];
    for (expected, change) in changes {
        let mut config = owner.config();
        change(&mut config);
        match soon(Client::connect(config)).await {
            Err(Error::InvalidConfiguration {
                field,
                expected: text,
            }) => {
                assert_eq!(field, expected);
                assert!(!text.is_empty());
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    let key: skyline::Result<LicenseKey> = "WDGQX".parse().map_err(Error::from);
    assert!(matches!(
        key,
        Err(Error::InvalidConfiguration {
            field: "license_key",
            ..
        })
    ));
    let identity: skyline::Result<skyline::IdentityPublicKey> = "abcd".parse().map_err(Error::from);
    assert!(matches!(
        identity,
        Err(Error::InvalidConfiguration {
            field: "identity_keys",
            ..
        })
    ));
}

#[tokio::test]
async fn clients_run_side_by_side() {
    let server = Server::start();
    let owners: Vec<_> = (0..8).map(|_| server.owner()).collect();
    let mut clients = Vec::new();
    for owner in &owners {
        clients.push(owner.connect().await);
    }
    soon(clients[0].shutdown()).await;
    for (number, client) in clients.iter().enumerate().skip(1) {
        assert_eq!(
            echo(client, &Value::from(number)).await,
            Value::from(number)
        );
    }
}

#[tokio::test]
async fn no_secret_reaches_the_log() {
    logs::keep();
    let server = Server::start();
    let owner = server.owner();
    let client = owner.connect().await;
    soon(client.get_limits()).await.unwrap();
    soon(client.call::<_, ()>("no-such-method", &()))
        .await
        .unwrap_err();
    soon(client.shutdown()).await;
    let mut config = owner.config();
    config.device = Some(device("ANOTHER"));
    let error = soon(Client::connect(config)).await.unwrap_err();
    let text = logs::text() + &format!("{error} {error:?}");
    assert!(
        text.contains("session open"),
        "the session was logged at all"
    );
    assert!(!text.contains(owner.license_key.expose()));
    // What a session token looks like; whole tokens of the scripted peer are searched for in
    // tests/faults/secrets.rs, with the session keys.
    let token_like = text
        .split(|c: char| !c.is_ascii_hexdigit() && c != '-')
        .find(|word| {
            word.len() == 17
                && word
                    .char_indices()
                    .all(|(place, c)| (place == 8) == (c == '-'))
        });
    assert_eq!(token_like, None);
}

#[tokio::test]
async fn text_of_every_script_survives() {
    let server = Server::start();
    let mut config = server.owner().config();
    config.language = "russian".to_owned();
    let client = soon(Client::connect(config)).await.unwrap();
    for text in [
        "Привет, мир",
        "שלום",
        "你好",
        "नमस्ते",
        "🦀👩‍👩‍👧‍👦",
        "e\u{301}",
        "\u{0}",
    ] {
        assert_eq!(echo(&client, &Value::from(text)).await, Value::from(text));
    }
    let data = Value::Map(vec![(Value::from("куда"), Value::from("שלום 🦀"))]);
    soon(client.send_event("приложение.переход", &data))
        .await
        .unwrap();
    let stored = events(&client).await;
    assert_eq!(
        (stored[0].event.as_str(), &stored[0].data),
        ("приложение.переход", &data)
    );
    let error = soon(client.call::<_, ()>("несуществующий", &()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "UNKNOWN_METHOD");
    let russian = error.to_string();
    assert!(
        russian.chars().any(|c| ('а'..='я').contains(&c)),
        "{russian}"
    );
}

#[tokio::test]
async fn integers_keep_their_64_bits() {
    let server = Server::start();
    let most = i64::MAX.to_string();
    let license = server.license_with(&["--limit", &format!("engine.limits.most={most}")]);
    let client = server.owner_of(license).connect().await;
    assert_eq!(
        soon(client.get_limits()).await.unwrap()["engine.limits.most"],
        i64::MAX
    );
    for number in [u64::MAX, 1 << 63, u64::from(u32::MAX) + 1] {
        let echoed: u64 = soon(client.call("test.echo", &number)).await.unwrap();
        assert_eq!(echoed, number);
    }
    for number in [i64::MIN, i64::MAX, -1] {
        let echoed: i64 = soon(client.call("test.echo", &number)).await.unwrap();
        assert_eq!(echoed, number);
    }
}

/// The data of an event, whatever it is.
const NO_DATA: &[u8] = &[0x80];

/// How long tracked events may take to arrive: below the bound of every wait, whose error says less.
const FLUSH: Duration = Duration::from_secs(50);

async fn event_names(client: &Client) -> Vec<String> {
    let events = events(client).await;
    events.into_iter().map(|stored| stored.event).collect()
}

#[tokio::test]
async fn a_tracked_event_arrives_once() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let data = HashMap::from([("to", "/account-manager")]);
    soon(client.track("app.navigation", &data)).await.unwrap();
    soon(client.track_raw("app.quit", NO_DATA)).await.unwrap();
    soon(client.flush_events(FLUSH)).await.unwrap();
    let events = events(&client).await;
    let names: Vec<_> = events.iter().map(|stored| stored.event.as_str()).collect();
    assert_eq!(names, ["app.navigation", "app.quit"]);
    assert_eq!(events[0].data["to"], Value::from("/account-manager"));
    let counters = client.event_counters();
    assert_eq!(
        (counters.tracked, counters.sent, counters.queued),
        (2, 2, 0)
    );
    for (name, data) in [("", NO_DATA), (&"n".repeat(257), NO_DATA), ("a", &[0xc0])] {
        let error = soon(client.track_raw(name, data)).await.unwrap_err();
        assert_eq!(error.code(), "PAYLOAD");
    }
    assert_eq!(client.event_counters().tracked, 2);
}

#[tokio::test]
async fn tracked_events_survive_a_restart() {
    let mut server = Server::start();
    let owner = server.owner();
    let first = owner.connect().await;
    server.kill();
    for name in ["one", "two", "three"] {
        soon(first.track_raw(name, NO_DATA)).await.unwrap();
    }
    soon(first.shutdown()).await;
    server.restart();
    let second = owner.connect().await;
    soon(second.track_raw("four", NO_DATA)).await.unwrap();
    soon(second.flush_events(FLUSH)).await.unwrap();
    assert_eq!(event_names(&second).await, ["one", "two", "three", "four"]);
    let counters = second.event_counters();
    assert_eq!((counters.recovered, counters.sent), (3, 4));
}

#[tokio::test]
async fn a_full_event_queue_follows_its_policy() {
    let mut server = Server::start();
    let mut config = server.owner().config();
    config.events.max_events = 2;
    config.reconnect.max_delay = config.reconnect.initial_delay;
    let dropping = soon(Client::connect(config)).await.unwrap();
    let mut config = server.owner().config();
    config.events.max_events = 2;
    config.events.overflow = EventOverflow::Refuse;
    config.reconnect.max_delay = config.reconnect.initial_delay;
    let refusing = soon(Client::connect(config)).await.unwrap();
    server.kill();
    for client in [&dropping, &refusing] {
        for name in ["one", "two"] {
            soon(client.track_raw(name, NO_DATA)).await.unwrap();
        }
    }
    soon(dropping.track_raw("three", NO_DATA)).await.unwrap();
    let error = soon(refusing.track_raw("three", NO_DATA))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "EVENT_QUEUE_FULL");
    server.restart();
    for client in [&dropping, &refusing] {
        soon(client.flush_events(FLUSH)).await.unwrap();
    }
    assert_eq!(event_names(&dropping).await, ["two", "three"]);
    assert_eq!(dropping.event_counters().dropped, 1);
    assert_eq!(event_names(&refusing).await, ["one", "two"]);
    assert_eq!(refusing.event_counters().dropped, 0);
}

#[tokio::test]
async fn flushing_events_ends_at_its_deadline() {
    let mut server = Server::start();
    let client = server.owner().connect().await;
    server.kill();
    soon(client.track_raw("event", NO_DATA)).await.unwrap();
    let flush = client.flush_events(Duration::from_millis(100));
    let error = soon(flush).await.unwrap_err();
    assert_eq!(error.code(), "DEADLINE_EXCEEDED");
    assert_eq!(error.maybe_executed(), Some(false));
    assert_eq!(client.event_counters().queued, 1);
    server.restart();
    soon(client.flush_events(FLUSH)).await.unwrap();
    assert_eq!(event_names(&client).await, ["event"]);
}

#[tokio::test]
async fn many_calls_in_one_batch_get_their_own_answers() {
    let server = Server::start();
    let client = server.owner().connect().await;
    let calls = (0..500).map(|number| match number % 100 {
        7 => ("no-such-method", number),
        _ => ("test.echo", number),
    });
    let answers: Vec<skyline::Result<u64>> = soon(client.call_many(calls)).await;
    assert_eq!(answers.len(), 500);
    for (number, answer) in (0..).zip(answers) {
        match number % 100 {
            7 => assert_eq!(answer.unwrap_err().code(), "UNKNOWN_METHOD"),
            _ => assert_eq!(answer.unwrap(), number),
        }
    }
}
