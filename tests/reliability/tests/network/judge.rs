//! Compares what clients were told with what the server's database holds.

use std::collections::HashMap;

use skyline::{Error, Result};
use skyline_reliability::database;

use super::session;
use super::stage::Played;

/// What `get-limits` gives for the plan of the tests.
const LIMITS: [(&str, i64); 2] = [
    ("engine.limits.inviteToChannel.dailyLimit", 500),
    ("engine.limits.sendMessage.dailyLimit", 150),
];

/// How many failures a verdict shows.
const SHOWN: usize = 20;

/// Collects what is not true.
pub struct Judge {
    events: HashMap<String, Vec<Vec<u8>>>,
    failures: Vec<String>,
}

/// The logins of one device.
pub struct Login<'a> {
    /// Those in the server's history.
    pub accepted: &'a [database::Login],
    /// How many a client was told of.
    pub least: usize,
    /// How many requests reached the server whole.
    pub most: usize,
}

impl Judge {
    /// `events`: all that the server has stored.
    pub fn new(events: HashMap<String, Vec<Vec<u8>>>) -> Self {
        Self {
            events,
            failures: Vec::new(),
        }
    }

    /// Looks at one case, whatever its fault was.
    pub fn hear(&mut self, played: &Played) {
        let outcome = &played.outcome;
        let mut failures: Vec<String> = outcome
            .late
            .iter()
            .map(|step| format!("{step} did not end in time"))
            .collect();
        for error in outcome.errors() {
            if let Error::IntegrityBreach { server_message, .. } = error
                && server_message
                    .as_ref()
                    .is_some_and(|text| text.contains("LL"))
            {
                failures.push(format!("an honest client was locked out: {error}"));
            }
        }
        if let Some(Ok(limits)) = &outcome.limits {
            let told = limits.iter().map(|(name, value)| (name.as_str(), *value));
            if !told.eq(LIMITS) {
                failures.push(format!("wrong limits: {limits:?}"));
            }
        }
        let data = session::data(played.number);
        let steps = [
            (session::once(played.number), &outcome.once, 1),
            // Sent again as often as it takes.
            (session::again(played.number), &outcome.again, usize::MAX),
        ];
        for (name, told, most) in steps {
            let stored = self.events.remove(&name).unwrap_or_default();
            if stored.iter().any(|stored| *stored != data) {
                failures.push(format!("{name}: other data than were sent"));
            }
            let allowed = match told {
                None => 0..=0,
                Some(told) => executions(told, most),
            };
            if !allowed.contains(&stored.len()) {
                failures.push(format!(
                    "{name}: executed {} times, but told {told:?}",
                    stored.len()
                ));
            }
        }
        let case = &played.case.name;
        self.failures
            .extend(failures.iter().map(|failure| format!("{case}: {failure}")));
    }

    /// Looks at the logins of one device.
    pub fn hear_logins(&mut self, logins: &Login<'_>) {
        let count = logins.accepted.len();
        if !(logins.least..=logins.most).contains(&count) {
            self.failures.push(format!(
                "{count} logins in the history, but {} were told and {} requests arrived",
                logins.least, logins.most
            ));
        }
        if logins.accepted.iter().any(|login| login.resync) {
            self.failures
                .push("a login counted as a step back".to_owned());
        }
    }

    /// Fails the test if anything was not true.
    pub fn pronounce(self) {
        let shown: Vec<_> = self.failures.iter().take(SHOWN).collect();
        assert!(
            shown.is_empty(),
            "{} failures:\n{shown:#?}",
            self.failures.len()
        );
    }
}

/// How often a call may have been executed, by what its caller was told.
fn executions(told: &Result<()>, most: usize) -> std::ops::RangeInclusive<usize> {
    match told {
        Ok(()) => 1..=most,
        Err(
            Error::ConnectionLost { maybe_executed, .. }
            | Error::DeadlineExceeded { maybe_executed, .. }
            | Error::ShutDown { maybe_executed }
            | Error::Cancelled { maybe_executed },
        ) => 0..=if *maybe_executed { most } else { 0 },
        // The client did not send it, or its answer cannot be believed.
        Err(_) => 0..=most,
    }
}
