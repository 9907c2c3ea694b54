//! The reconnecting under paused time: thousands of seeded schedules of faults, each a session of
//! some minutes, in the time that computing takes.
//!
//! Only the network, the server and the wall clock are made up. Handshake, cipher, WebSocket,
//! last-login file, back-off and calls are those of the client. What is checked after each
//! schedule is what docs/reliability.md promises: each call ends by its deadline and its outcome
//! is true, nothing that is not idempotent runs twice, the client finds its way back, and nothing
//! is left of it in the end.
//!
//! A failure names its seed; `SKYLINE_SIMULATION_SEED` runs that one alone, and
//! `SKYLINE_SIMULATIONS` says how many are run.

mod network;
mod server;

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use skyline_protocol::license_key::LicenseKey;
use skyline_protocol::methods;
use tokio::time::Instant;

use self::network::{Sky, Weather};
use self::server::Server;
use super::{CallOptions, ConnectionState, Session, Settings, StateStream};
use crate::config::{ClientConfig, Reconnect};
use crate::device::DeviceIdentity;
use crate::error::Error;

/// How many schedules a test run takes: a minute of one core.
const SCHEDULES: u64 = 3_000;

/// How long the faults of one schedule go on.
const STORM: Duration = Duration::from_secs(60);

/// Callers that work side by side in one schedule.
const CALLERS: u64 = 5;

/// What a timer may be late by: tokio's tick. And what a call may take beyond its deadline.
const TICK: Duration = Duration::from_millis(2);

const RECONNECT: Reconnect = Reconnect {
    initial_delay: Duration::from_millis(200),
    max_delay: Duration::from_secs(10),
    stable_after: Duration::from_secs(5),
};

/// What became of a call.
#[derive(Debug)]
struct Outcome {
    id: u64,
    idempotent: bool,
    /// `None`: its caller dropped it.
    result: Option<Result<Option<Bytes>, Error>>,
}

/// What a schedule came to, to be added up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    logins: usize,
    answered: usize,
    lost: usize,
    late: usize,
    limited: usize,
    dropped: usize,
}

#[test]
fn no_schedule_of_faults_makes_the_session_break_its_promises() {
    let seeds = match number("SKYLINE_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SKYLINE_SIMULATIONS").unwrap_or(SCHEDULES),
    };
    let (mut schedules, mut sum) = (0usize, Sum::default());
    for seed in seeds {
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| run(seed)));
        let Ok(ran) = ran else {
            panic!("schedule {seed} failed: SKYLINE_SIMULATION_SEED={seed} runs it again");
        };
        schedules += 1;
        sum.logins += ran.logins;
        sum.answered += ran.answered;
        sum.lost += ran.lost;
        sum.late += ran.late;
        sum.limited += ran.limited;
        sum.dropped += ran.dropped;
    }
    tell(&format!("simulation: {schedules} schedules, {sum:?}"));
    // A storm that hits nothing would prove nothing.
    if schedules as u64 >= SCHEDULES {
        for (what, count) in [
            ("logins", sum.logins),
            ("answered", sum.answered),
            ("lost", sum.lost),
            ("late", sum.late),
            ("limited", sum.limited),
            ("dropped", sum.dropped),
        ] {
            assert!(count > schedules, "{what}: only {count}");
        }
    }
}

#[test]
fn a_seed_replays_its_schedule() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "schedule {seed}");
    }
}

/// Adds a line to the figures that scripts/test-rust prints when all is well too.
fn tell(line: &str) {
    println!("{line}");
    if let Some(file) = std::env::var_os("SKYLINE_FIGURES") {
        let file = OpenOptions::new().create(true).append(true).open(file);
        writeln!(file.unwrap(), "{line}").unwrap();
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

fn run(seed: u64) -> Sum {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let sum = schedule(seed).await;
        // The tasks of connections end within their closing deadline.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let alive = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(alive, 0, "tasks are left");
        sum
    })
}

async fn schedule(seed: u64) -> Sum {
    let mut random = StdRng::seed_from_u64(seed);
    let server = Arc::new(Server::new(random.random()));
    let sky = Arc::new(Sky::new(server.clone(), random.random()));
    // Memory where there is some: the logins of all schedules are synced to it.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.unwrap();
    let session = open(&sky, &server, folder.path(), &mut random).await;
    let states = tokio::spawn(watch(session.states()));

    let storm = tokio::spawn(storm(sky.clone(), session.clone(), random.random()));
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| tokio::spawn(caller(number, session.clone(), random.random())))
        .collect();
    let mut outcomes = Vec::new();
    for caller in callers {
        outcomes.extend(caller.await.unwrap());
    }
    storm.await.unwrap();

    sky.clear();
    let options = CallOptions {
        deadline: RECONNECT.max_delay + Duration::from_secs(60),
        idempotent: true,
    };
    let last = session.call("last", None, options).await;
    last.expect("the client finds its way back under a clear sky");
    session.shutdown().await;
    drop(session);
    let seen = states.await.unwrap();
    assert_eq!(seen.first(), Some(&ConnectionState::Ready));
    assert_eq!(seen.last(), Some(&ConnectionState::ShutDown));
    // Requests that the server still has in its hands.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut sum = Sum {
        logins: server.logins(),
        ..Sum::default()
    };
    for outcome in outcomes {
        check(&outcome, server.executions(outcome.id), &mut sum);
    }
    sum
}

/// Connects, however often it takes.
async fn open(
    sky: &Arc<Sky>,
    server: &Server,
    folder: &std::path::Path,
    random: &mut StdRng,
) -> Arc<Session> {
    let mut config = ClientConfig::new(
        "telepower",
        "7.0.3",
        LicenseKey::generate(),
        [server.identity()],
    );
    config.url = "ws://localhost/ws".to_owned();
    config.device = Some(DeviceIdentity {
        serial_number: "S-1".to_owned(),
        cs_product_uuid: "U-1".to_owned(),
    });
    config.state_folder = Some(folder.to_owned());
    config.reconnect = RECONNECT;
    config.deadlines.connect = Duration::from_secs(5);
    config.deadlines.handshake = Duration::from_secs(5);
    config.limits.packets_per_connection = random.random_range(20..400);
    config.limits.calls_in_flight = random.random_range(1..10);
    for _ in 0..1_000 {
        let dialer = Box::new(sky.clone());
        let settings = Settings::in_world(config.clone(), dialer, sky.wall()).await;
        let jitter = StdRng::seed_from_u64(random.random());
        match Session::open(settings.unwrap(), jitter).await {
            Ok(session) => return Arc::new(session),
            Err(error) => assert_ne!(error.code(), "INTEGRITY_BREACH", "{error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("a thousand attempts under any weather, and no connection");
}

/// Changes the weather until the storm is over.
async fn storm(sky: Arc<Sky>, session: Arc<Session>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let end = Instant::now() + STORM;
    while Instant::now() < end {
        match random.random_range(0..10) {
            0 => sky.set(Weather::Refusing),
            1 => sky.set(Weather::Silent),
            2 => sky.set(Weather::Limiting),
            3..=5 => sky.set(Weather::Flaky),
            _ => sky.set(Weather::Clear),
        }
        match random.random_range(0..12) {
            0 | 1 => sky.cut_all(),
            2 => sky.sleep(Duration::from_secs(random.random_range(60..10_000))),
            3 => session.reconnect_now(),
            _ => {}
        }
        let pause = Duration::from_millis(random.random_range(10..20_000));
        tokio::time::sleep(pause).await;
    }
}

/// Makes calls until the storm is over.
async fn caller(number: u64, session: Arc<Session>, seed: u64) -> Vec<Outcome> {
    let mut random = StdRng::seed_from_u64(seed);
    let end = Instant::now() + STORM;
    let mut outcomes = Vec::new();
    while Instant::now() < end {
        let id = number << 32 | outcomes.len() as u64;
        let idempotent = random.random();
        let deadline = Duration::from_millis(random.random_range(20..40_000));
        let payload = methods::encode(&id).unwrap();
        let options = CallOptions {
            deadline,
            idempotent,
        };
        let call = session.call("work", Some(payload.into()), options);
        let started = Instant::now();
        let result = if random.random_ratio(1, 8) {
            let patience = deadline.mul_f64(random.random());
            tokio::time::timeout(patience, call).await.ok()
        } else {
            Some(call.await)
        };
        let took = started.elapsed();
        assert!(
            took <= deadline + TICK,
            "{took:?} of {deadline:?}: {result:?}"
        );
        outcomes.push(Outcome {
            id,
            idempotent,
            result,
        });
        let pause = Duration::from_millis(random.random_range(0..3_000));
        tokio::time::sleep(pause).await;
    }
    outcomes
}

/// Collects the states, and checks each.
async fn watch(mut states: StateStream) -> Vec<ConnectionState> {
    let mut seen = Vec::new();
    while let Some(state) = states.next_state().await {
        match &state {
            ConnectionState::Connecting | ConnectionState::Ready | ConnectionState::ShutDown => {}
            ConnectionState::Reconnecting {
                attempt,
                next_delay,
                last_error,
            } => {
                let asked = match last_error {
                    Error::RateLimited {
                        retry_after_seconds,
                        ..
                    } => Duration::from_secs(retry_after_seconds.unwrap_or_default()),
                    _ => Duration::ZERO,
                };
                assert!(*next_delay >= asked, "{state:?}");
                assert!(*next_delay <= RECONNECT.max_delay.max(asked), "{state:?}");
                assert!(*attempt >= 1, "{state:?}");
            }
            other => panic!("nobody refused or broke anything: {other:?}"),
        }
        assert_ne!(seen.last(), Some(&state), "a state that is no change");
        seen.push(state);
    }
    seen
}

/// Compares what a call was told with what the server did.
fn check(outcome: &Outcome, executions: usize, sum: &mut Sum) {
    let Outcome { id, idempotent, .. } = outcome;
    assert!(
        executions <= 1 || *idempotent,
        "call {id} ran {executions} times: {outcome:?}"
    );
    match &outcome.result {
        Some(Ok(answer)) => {
            let expected = methods::encode(id).unwrap();
            assert_eq!(
                answer.as_deref(),
                Some(&expected[..]),
                "another call's answer"
            );
            assert!(executions >= 1, "answered and never executed: {outcome:?}");
            sum.answered += 1;
        }
        Some(Err(error)) => {
            match error {
                Error::ConnectionLost { maybe_executed, .. } => {
                    assert!(*maybe_executed && !idempotent, "{outcome:?}");
                    sum.lost += 1;
                }
                Error::DeadlineExceeded { .. } => sum.late += 1,
                Error::RateLimited { .. } => {
                    assert!(executions == 0 || *idempotent, "{outcome:?}");
                    sum.limited += 1;
                }
                other => panic!("{other:?}"),
            }
            if error.maybe_executed() == Some(false) {
                assert_eq!(executions, 0, "{outcome:?}");
            }
        }
        None => sum.dropped += 1,
    }
}
