//! The session that every case goes through, and what became of each of its steps.

use std::collections::BTreeMap;
use std::time::Duration;

use skyline::{Client, ClientConfig, Deadlines, Error, Reconnect, Result};
use tokio::time::{Instant, timeout};

/// How often a client is made anew when the login fails. The first attempt may meet the fault; the
/// second shows that it did no lasting harm.
const LOGINS: usize = 2;

/// By how much a step may exceed its deadline: what a loaded machine may take to schedule it.
const GRACE: Duration = Duration::from_secs(5);

/// The deadlines of a session, all alike.
pub fn deadlines(time: Duration) -> Deadlines {
    Deadlines {
        connect: time,
        handshake: time,
        call: time,
    }
}

/// What became of each step.
#[derive(Debug)]
pub struct Outcome {
    /// The attempts at logging in: failures, and a success at the end if there was one.
    pub logins: Vec<Result<()>>,
    /// `get-limits`, which the client may send again.
    pub limits: Option<Result<BTreeMap<String, i64>>>,
    /// An event without an id, which it may not send again.
    pub once: Option<Result<()>>,
    /// The same by a handle whose calls may be sent again.
    pub again: Option<Result<()>>,
    /// Steps that did not end in time; empty if all is well.
    pub late: Vec<&'static str>,
}

impl Outcome {
    /// The errors of all steps.
    pub fn errors(&self) -> impl Iterator<Item = &Error> {
        let logins = self.logins.iter().filter_map(|login| login.as_ref().err());
        let limits = self
            .limits
            .iter()
            .filter_map(|result| result.as_ref().err());
        let events = self.once.iter().chain(&self.again);
        logins
            .chain(limits)
            .chain(events.filter_map(|result| result.as_ref().err()))
    }

    /// Whether every step succeeded at the first attempt.
    pub fn is_smooth(&self) -> bool {
        self.logins.len() == 1 && self.errors().next().is_none() && self.again.is_some()
    }
}

/// The names of the two events of a case, which no other case uses.
pub fn once(case: usize) -> String {
    format!("once.{case:06}")
}

/// See [`once`].
pub fn again(case: usize) -> String {
    format!("more.{case:06}")
}

/// The data of both: the MessagePack of `{"case": number}`.
pub fn data(case: usize) -> Vec<u8> {
    // A map of one entry, a str of four bytes, a uint 32: of one length for all cases.
    let mut data = b"\x81\xa4case\xce".to_vec();
    data.extend_from_slice(&u32::try_from(case).unwrap().to_be_bytes());
    data
}

/// Goes through the session of that case.
pub async fn run(mut config: ClientConfig, time: Duration, case: usize) -> Outcome {
    config.deadlines = deadlines(time);
    config.reconnect = Reconnect {
        initial_delay: Duration::from_millis(4),
        max_delay: Duration::from_millis(100),
        ..Reconnect::default()
    };
    let mut outcome = Outcome {
        logins: Vec::new(),
        limits: None,
        once: None,
        again: None,
        late: Vec::new(),
    };
    let late = &mut outcome.late;
    let mut client = None;
    for _ in 0..LOGINS {
        // Connecting, and logging in.
        let login = in_time("login", time * 2, Client::connect(config.clone()), late).await;
        let Some(login) = login else { break };
        let login = login.map(|logged_in| client = Some(logged_in));
        outcome.logins.push(login);
        if client.is_some() {
            break;
        }
    }
    let Some(client) = client else { return outcome };
    let data = data(case);
    outcome.limits = in_time("get-limits", time, client.get_limits(), late).await;
    let name = once(case);
    outcome.once = in_time("event", time, client.send_event_raw(&name, &data), late).await;
    let (repeating, name) = (client.idempotent(), again(case));
    let sent = repeating.send_event_raw(&name, &data);
    outcome.again = in_time("event again", time, sent, late).await;
    in_time("shutdown", Duration::from_secs(1), client.shutdown(), late).await;
    outcome
}

async fn in_time<T>(
    step: &'static str,
    time: Duration,
    future: impl Future<Output = T>,
    late: &mut Vec<&'static str>,
) -> Option<T> {
    let begun = Instant::now();
    let result = timeout(time + GRACE, future).await;
    if result.is_err() {
        eprintln!("{step} has not ended after {:?}", begun.elapsed());
        late.push(step);
    }
    result.ok()
}
