//! The refusals of a node on their way into the audit log, in a bounded number.
//!
//! Whoever is refused can ask again at once, and a stranger can do so from many addresses. So the
//! first of equal refusals (same network, action and license) in a minute is written at once, with
//! its particulars; the others of that minute are counted and written as one entry at its end.
//! Beyond [`MAX_KINDS_PER_MINUTE`] of one class, further ones are only counted all together. A
//! node that is killed loses the counts of that minute. The writing is a task of its own: a client
//! that goes away meanwhile takes nothing with it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::task::TaskTracker;

use crate::{
    address::Network,
    model::{Actor, LicenseId, Stamp},
    serve::Server,
    store::{NewAuditEntry, Store},
};

/// Kinds of refusals that are written in one minute, of those with a known license and of those
/// without, each. With both entries of each kind and the sums that makes 258 entries at most, some
/// 100 MB in a day of uninterrupted attack; in peace there are a few an hour.
pub const MAX_KINDS_PER_MINUTE: usize = 64;

const MINUTE: Duration = Duration::from_secs(60);

/// Something that was refused to a client.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The client's address.
    pub address: IpAddr,
    /// What was refused and why, one word such as `refused-expired`.
    pub action: &'static str,
    /// The license that was named, if there is one of that key.
    pub license: Option<LicenseId>,
    /// The product that was named.
    pub product: Option<String>,
    /// The particulars; never a secret.
    pub detail: String,
}

/// What makes two refusals equal.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    network: Network,
    action: &'static str,
    license: Option<LicenseId>,
}

#[derive(Default)]
struct State {
    /// The minute since the epoch that is being counted.
    minute: i64,
    /// Each kind's first entry of the minute, with the number of its repeats.
    kinds: HashMap<Kind, NewAuditEntry>,
    /// Refusals beyond the bound, with and without a license.
    others: [u64; 2],
}

/// Counts refusals and hands them to the store.
#[derive(Default)]
pub struct RefusalLog {
    state: Mutex<State>,
    /// What is being written.
    writing: TaskTracker,
}

impl RefusalLog {
    /// Notes a refusal, and returns the task that writes it, if there is something to be written
    /// now. The task goes on when nobody waits for it. A store that fails costs the entry, not the
    /// client its answer.
    pub fn note(
        &self,
        store: &Arc<dyn Store>,
        now: Timestamp,
        refused: Refused,
    ) -> Option<JoinHandle<()>> {
        let entries = self.take(now, refused);
        self.write(store, entries)
    }

    /// Writes what is counted but not yet written, and waits for all that is being written.
    pub async fn flush(&self, store: &Arc<dyn Store>) {
        let entries = self.lock().drain();
        // It is waited for with the others.
        drop(self.write(store, entries));
        // A closed tracker takes further tasks; it is only that its waiting can end.
        self.writing.close();
        self.writing.wait().await;
    }

    fn write(&self, store: &Arc<dyn Store>, entries: Vec<NewAuditEntry>) -> Option<JoinHandle<()>> {
        if entries.is_empty() {
            return None;
        }
        let store = Arc::clone(store);
        Some(self.writing.spawn(async move {
            if let Err(error) = store.append_audit(&entries).await {
                tracing::error!(%error, "refusals are missing in the audit log");
            }
        }))
    }

    fn take(&self, now: Timestamp, refused: Refused) -> Vec<NewAuditEntry> {
        let mut state = self.lock();
        let minute = now.as_second().div_euclid(60);
        let mut entries = Vec::new();
        if state.minute != minute {
            entries = state.drain();
            state.minute = minute;
        }
        let kind = Kind {
            network: refused.address.into(),
            action: refused.action,
            license: refused.license,
        };
        if let Some(repeats) = state.kinds.get_mut(&kind) {
            repeats.at = now;
            repeats.times = repeats.times.saturating_add(1);
            return entries;
        }
        let class = usize::from(kind.license.is_some());
        let known = |other: &&Kind| other.license.is_some() == kind.license.is_some();
        if state.kinds.keys().filter(known).count() >= MAX_KINDS_PER_MINUTE {
            state.others[class] = state.others[class].saturating_add(1);
            return entries;
        }
        let entry = NewAuditEntry {
            at: now,
            who: Actor::client(refused.address),
            action: refused.action.to_owned(),
            license: refused.license,
            product: refused.product,
            detail: refused.detail,
            times: 1,
        };
        let repeats = NewAuditEntry {
            times: 0,
            detail: "repeated within a minute".to_owned(),
            ..entry.clone()
        };
        state.kinds.insert(kind, repeats);
        entries.push(entry);
        entries
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // What a panic could leave behind is a count.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is to be written at the end of a minute.
    fn drain(&mut self) -> Vec<NewAuditEntry> {
        let mut entries: Vec<_> = self
            .kinds
            .drain()
            .map(|(_, repeats)| repeats)
            .filter(|repeats| repeats.times > 0)
            .collect();
        for (others, whose) in self.others.iter_mut().zip(["unknown", "known"]) {
            if *others > 0 {
                let by = Stamp {
                    who: Actor::clients(),
                    at: Timestamp::from_second(self.minute.saturating_mul(60)).unwrap_or_default(),
                };
                let detail = format!("further ones in this minute, of {whose} licenses");
                let mut entry = NewAuditEntry::new(&by, "refused-others", detail);
                entry.times = std::mem::take(others);
                entries.push(entry);
            }
        }
        entries
    }
}

/// Writes the counts of each minute after it. Never ends by itself.
pub(crate) async fn write_each_minute(server: &Server) {
    loop {
        sleep(MINUTE).await;
        server.refusals.flush(&server.store).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AuditFilter, DatabaseAddress, StoreOptions};

    fn refused(address: &str, license: Option<i64>) -> Refused {
        Refused {
            address: address.parse().unwrap(),
            action: "refused-not-found",
            license: license.map(LicenseId),
            product: None,
            detail: "first".to_owned(),
        }
    }

    fn second(number: i64) -> Timestamp {
        Timestamp::from_second(number).unwrap()
    }

    #[test]
    fn equal_refusals_of_a_minute_are_one_entry_and_a_count() {
        let log = RefusalLog::default();
        let first = log.take(second(60), refused("2001:db8::1", None));
        assert_eq!((first.len(), first[0].times), (1, 1));
        for host in 2..100 {
            let repeat = refused(&format!("2001:db8::{host}"), None);
            assert!(log.take(second(100), repeat).is_empty());
        }
        assert_eq!(
            log.take(second(101), refused("2001:db8::1", Some(1))).len(),
            1
        );
        let next = log.take(second(120), refused("2001:db8::1", None));
        let times: Vec<_> = next.iter().map(|entry| entry.times).collect();
        assert_eq!(times, [98, 1]);
        assert_eq!(next[0].detail, "repeated within a minute");
    }

    #[tokio::test]
    async fn an_entry_is_written_though_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("skyline.db");
        let options = StoreOptions::new(DatabaseAddress::Sqlite(file));
        let store: Arc<dyn Store> = Arc::new(options.open().await.unwrap());
        let log = RefusalLog::default();
        drop(log.note(&store, second(0), refused("192.0.2.1", None)));
        log.flush(&store).await;
        let written = store.audit_log(&AuditFilter::default(), 0).await.unwrap();
        let actions: Vec<_> = written.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["refused-not-found"]);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_does_not_hide_those_with_a_license() {
        let log = RefusalLog::default();
        let mut written = 0;
        for number in 0..10_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            let refused = refused(&address.to_string(), None);
            written += log.take(second(0), refused).len();
        }
        assert_eq!(written, MAX_KINDS_PER_MINUTE);
        assert_eq!(log.take(second(1), refused("10.0.0.1", Some(7))).len(), 1);
        let rest = log.lock().drain();
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].times, 10_000 - MAX_KINDS_PER_MINUTE as u64);
    }
}
