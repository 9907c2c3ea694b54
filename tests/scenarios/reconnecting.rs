//! What becomes of a session and its calls when connections come and go.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde::Serialize;
use skyline::{Client, ClientConfig, ConnectionState, Error, StateStream};

use super::support::{Server, soon};
use super::{Delay, LONG};

/// Waits that do not keep a test waiting.
fn impatient(mut config: ClientConfig) -> ClientConfig {
    config.reconnect.initial_delay = Duration::from_millis(20);
    config.reconnect.max_delay = Duration::from_millis(200);
    config
}

/// Waits that last until somebody ends them, so that no state is over before it is read.
fn patient(mut config: ClientConfig) -> ClientConfig {
    // Drawn evenly below a day: hours, but for one run in thousands.
    config.reconnect.initial_delay = Duration::from_secs(24 * 60 * 60);
    config.reconnect.max_delay = config.reconnect.initial_delay;
    config
}

async fn connect(config: ClientConfig) -> Client {
    soon(Client::connect(config)).await.unwrap()
}

/// Has the server drop the connection without an answer.
async fn drop_connection(client: &Client) -> Error {
    soon(client.call::<_, ()>("test.drop-connection", &()))
        .await
        .unwrap_err()
}

/// The next state that is as `wanted`.
async fn state(
    states: &mut StateStream,
    wanted: impl Fn(&ConnectionState) -> bool,
) -> ConnectionState {
    loop {
        let state = soon(states.next_state()).await.expect("a further state");
        if wanted(&state) {
            return state;
        }
    }
}

fn is_reconnecting(state: &ConnectionState) -> bool {
    matches!(state, ConnectionState::Reconnecting { .. })
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let server = Server::start();
    let client = connect(impatient(server.owner().config())).await;
    for _ in 0..3 {
        assert_eq!(drop_connection(&client).await.code(), "CONNECTION_LOST");
        soon(client.get_limits()).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_waits_for_the_next_connection() {
    let mut server = Server::start();
    let client = connect(impatient(server.owner().config())).await;
    let mut states = client.states();
    server.kill();
    state(&mut states, is_reconnecting).await;
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.call::<_, u8>("test.echo", &7u8).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!call.is_finished(), "there was no server to answer it");
    let later = state(&mut states, |state| {
        matches!(state, ConnectionState::Reconnecting { attempt: 2.., .. })
    })
    .await;
    let ConnectionState::Reconnecting { last_error, .. } = later else {
        panic!("{later:?}");
    };
    assert_eq!(last_error.code(), "CONNECTION");
    server.restart();
    assert_eq!(soon(call).await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn a_call_lost_on_the_way_says_that_it_may_have_run() {
    let server = Server::start();
    let client = connect(impatient(server.owner().config())).await;
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.call::<_, ()>("test.delay", &LONG).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop_connection(&client).await;
    let error = soon(call).await.unwrap().unwrap_err();
    assert_eq!(
        (error.code(), error.maybe_executed()),
        ("CONNECTION_LOST", Some(true))
    );
}

#[tokio::test]
async fn an_idempotent_call_is_sent_again() {
    let server = Server::start();
    let client = connect(impatient(server.owner().config())).await;
    let waiting = client.idempotent();
    let delay = Delay { milliseconds: 2000 };
    let call = tokio::spawn(async move { waiting.call::<_, ()>("test.delay", &delay).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop_connection(&client).await;
    assert!(!call.is_finished(), "it was answered before the drop");
    soon(call).await.unwrap().unwrap();
}

#[tokio::test]
async fn reconnecting_now_ends_the_wait() {
    let mut server = Server::start();
    let client = connect(patient(server.owner().config())).await;
    let mut states = client.states();
    server.restart();
    state(&mut states, is_reconnecting).await;
    client.reconnect_now();
    state(&mut states, |state| *state == ConnectionState::Ready).await;
    soon(client.get_limits()).await.unwrap();
}

#[tokio::test]
async fn every_state_is_told() {
    let mut server = Server::start();
    let client = connect(patient(server.owner().config())).await;
    let mut states = client.states();
    assert_eq!(
        soon(states.next_state()).await,
        Some(ConnectionState::Ready)
    );
    server.kill();
    let lost = soon(states.next_state()).await;
    let Some(ConnectionState::Reconnecting {
        attempt: 1,
        next_delay,
        last_error,
    }) = lost
    else {
        panic!("{lost:?}");
    };
    assert!(next_delay <= Duration::from_secs(24 * 60 * 60));
    assert_eq!(last_error.code(), "CONNECTION_LOST");
    // In the server's place, one that takes connections and says nothing.
    let silent = TcpListener::bind(server.address()).unwrap();
    client.reconnect_now();
    assert_eq!(
        soon(states.next_state()).await,
        Some(ConnectionState::Connecting)
    );
    drop(silent);
    let later = soon(states.next_state()).await;
    // The wish to reconnect has begun the count anew.
    let Some(ConnectionState::Reconnecting {
        attempt: 1,
        last_error,
        ..
    }) = later
    else {
        panic!("{later:?}");
    };
    assert_eq!(last_error.code(), "CONNECTION");
    server.restart();
    client.reconnect_now();
    state(&mut states, |state| *state == ConnectionState::Ready).await;
    soon(client.shutdown()).await;
    state(&mut states, |state| *state == ConnectionState::ShutDown).await;
    assert_eq!(soon(states.next_state()).await, None);
}

#[tokio::test]
async fn a_refusal_while_reconnecting_ends_the_client() {
    let server = Server::start();
    let owner = server.owner();
    let client = connect(impatient(owner.config())).await;
    let mut states = client.states();
    server.admin(&["license", "suspend", owner.license_key.expose()]);
    drop_connection(&client).await;
    let refused = state(&mut states, |state| {
        matches!(state, ConnectionState::Refused(_))
    })
    .await;
    let ConnectionState::Refused(error) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(error.code(), "LICENSE_SUSPENDED");
    assert_eq!(soon(client.get_limits()).await.unwrap_err(), error);
    assert_eq!(soon(states.next_state()).await, None);
}

#[tokio::test]
async fn an_idempotent_call_waits_out_a_rate_limit() {
    #[derive(Serialize)]
    struct Limited {
        status: &'static str,
        message: &'static str,
        #[serde(rename = "retryAfterSeconds")]
        retry_after_seconds: u64,
    }
    let limited = Limited {
        status: "RATE_LIMITED",
        message: "Slowly",
        // Long beside what a busy machine may take for an answer.
        retry_after_seconds: 5,
    };
    let expected = Error::RateLimited {
        server_message: Some("Slowly".to_owned()),
        retry_after_seconds: Some(5),
    };
    let server = Server::start();
    let client = server.owner().connect().await;
    let error = soon(client.call::<_, ()>("test.status", &limited)).await;
    assert_eq!(error.unwrap_err(), expected);

    // Sent again after one wait; a second one would go beyond the deadline.
    let started = Instant::now();
    let patient = client.idempotent().with_deadline(Duration::from_secs(9));
    let error = soon(patient.call::<_, ()>("test.status", &limited)).await;
    assert_eq!(error.unwrap_err(), expected);
    assert!(
        started.elapsed() >= Duration::from_secs(5),
        "it did not wait"
    );
}

#[tokio::test]
async fn a_rotated_identity_key_is_accepted() {
    let mut server = Server::start();
    let next_key = server.admin(&["keygen", "next.key"]);
    let mut config = impatient(server.owner().config());
    config.identity_keys.push(next_key.parse().unwrap());
    let prepared = connect(config).await;
    let unprepared = server.owner();
    server.restart_with_identity("next.key");
    soon(prepared.get_limits()).await.unwrap();
    let error = unprepared.try_connect().await.unwrap_err();
    assert_eq!(error.code(), "INTEGRITY_BREACH", "{error}");
}
