//! What clients were told, and whether it is so.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use skyline_reliability::database::Database;

/// What an event was sent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A call that may not be sent again.
    Once,
    /// A call that may.
    Repeated,
    /// The event queue.
    Tracked,
}

/// What its sender was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// It is done; of a tracked event: it is kept.
    Done,
    /// It was not done.
    NotDone,
    /// It may have been done.
    Maybe,
    /// Nothing: the process was killed before.
    Nothing,
}

/// All events of a run, and what else is worth telling.
#[derive(Default)]
pub struct Ledger {
    events: BTreeMap<String, (Kind, Told)>,
    /// Errors by their code.
    errors: BTreeMap<String, usize>,
    kills: usize,
    connections: usize,
    struck: usize,
    /// Contradictions that showed during the run.
    failures: Vec<String>,
    /// The prefixes of the devices' tracked events.
    queues: Vec<String>,
}

impl Ledger {
    /// Notes an outcome in the words of the client process.
    pub fn note(&mut self, name: String, kind: Kind, answer: Option<&str>) {
        let told = match answer {
            None => Told::Nothing,
            Some("ok") => Told::Done,
            Some(error) => {
                self.note_error(error);
                match (kind, error.split(' ').nth(1)) {
                    // With any error the event is not queued.
                    (Kind::Tracked, _) | (_, Some("not-executed")) => Told::NotDone,
                    _ => Told::Maybe,
                }
            }
        };
        self.events.insert(name, (kind, told));
    }

    /// Counts an error, and whether there may be such a one.
    pub fn note_error(&mut self, error: &str) {
        let code = error.split(' ').next().unwrap_or_default();
        *self.errors.entry(code.to_owned()).or_default() += 1;
        let expected = [
            "CONNECTION",
            "HANDSHAKE",
            "CONNECTION_LOST",
            "DEADLINE_EXCEEDED",
            // Bytes are corrupted, doubled and reordered, so there are breaches; none is one of
            // the last login.
            "INTEGRITY_BREACH",
            // Of the connection attempt that the server's end overtook.
            "INTERNAL_ERROR",
        ];
        if !expected.contains(&code) || error.contains("(LL)") || error.contains(" LL") {
            self.failures.push(format!("an unexpected error: {error}"));
        }
    }

    /// Notes that a process was killed.
    pub fn note_kill(&mut self) {
        self.kills += 1;
    }

    /// Notes connections, and those of them that a fault befell.
    pub fn note_connections(&mut self, connections: usize, struck: usize) {
        self.connections += connections;
        self.struck += struck;
    }

    /// Notes what may not be.
    pub fn note_failure(&mut self, failure: String) {
        self.failures.push(failure);
    }

    /// Notes a device whose tracked events begin with that.
    pub fn note_queue(&mut self, prefix: String) {
        self.queues.push(prefix);
    }

    /// Takes over the notes of a device.
    pub fn take(&mut self, other: Self) {
        self.events.extend(other.events);
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.kills += other.kills;
        self.connections += other.connections;
        self.struck += other.struck;
        self.failures.extend(other.failures);
        self.queues.extend(other.queues);
    }

    /// Compares all with the database; gives what does not agree.
    pub async fn audit(&self, database: &Database) -> Vec<String> {
        let mut failures = self.failures.clone();
        let mut stored: HashMap<String, usize> = database
            .events()
            .await
            .into_iter()
            .map(|(name, data)| (name, data.len()))
            .collect();
        for (name, (kind, told)) in &self.events {
            let count = stored.remove(name).unwrap_or(0);
            let most = if *kind == Kind::Repeated {
                usize::MAX
            } else {
                1
            };
            let allowed = match told {
                Told::Done => 1..=most,
                Told::NotDone => 0..=0,
                Told::Maybe | Told::Nothing => 0..=most,
            };
            if !allowed.contains(&count) {
                failures.push(format!(
                    "{name} ({kind:?}): told {told:?}, done {count} times"
                ));
            }
        }
        failures.extend(stored.keys().map(|name| format!("{name}: nobody sent it")));
        for prefix in &self.queues {
            let arrived = database.events_in_order(prefix).await;
            // Their names count upwards, with leading zeros.
            if !arrived.is_sorted() {
                failures.push(format!("{prefix}: delivered in another order"));
            }
        }
        failures
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |kinds: &[Kind], told: Told| {
            let events = self.events.values();
            events
                .filter(|(kind, is)| kinds.contains(kind) && *is == told)
                .count()
        };
        let calls = [Kind::Once, Kind::Repeated];
        write!(
            f,
            "clients killed {} times, {} of {} connections broken, calls: {} done, {} not, {} maybe, {} untold, tracked events: {} kept and delivered once, {} refused, {} untold, errors: ",
            self.kills,
            self.struck,
            self.connections,
            count(&calls, Told::Done),
            count(&calls, Told::NotDone),
            count(&calls, Told::Maybe),
            count(&calls, Told::Nothing),
            count(&[Kind::Tracked], Told::Done),
            count(&[Kind::Tracked], Told::NotDone),
            count(&[Kind::Tracked], Told::Nothing),
        )?;
        let errors: Vec<_> = self
            .errors
            .iter()
            .map(|(code, count)| format!("{count} {code}"))
            .collect();
        f.write_str(&errors.join(", "))
    }
}
