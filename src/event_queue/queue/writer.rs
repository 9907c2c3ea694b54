//! The task that brings the queue's changes to its file.
//!
//! It collects what came while it wrote and writes that at once, so that one fsync serves many
//! callers. The file itself is touched on threads made for blocking only.

use std::sync::Arc;
use std::time::Duration;

use super::event::Event;
use super::log::{Change, Log};
use super::record::{DONE_BYTES, event_bytes};
use super::shared::{Shared, Staged};
use crate::error::{Error, Result};

/// How long the writer waits, when the disk failed, before it tries again by itself; each new
/// event makes it try, too. People make room on a full disk in minutes rather than seconds.
const RETRY: Duration = Duration::from_secs(10);

/// What one round writes, and who waits for it.
struct Round {
    change: Change,
    staged: Vec<Staged>,
}

/// Ends the queue with its writer, even one that panics: nobody waits for it any more.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.close();
        self.0.lock().staged.clear();
        self.0.stopped.cancel();
    }
}

/// Brings everything to the disk until the queue is closed, and once more then.
pub(super) async fn run(shared: Arc<Shared>, mut log: Log) {
    let _ending = Ending(shared.clone());
    let mut failing = false;
    loop {
        let last = tokio::select! {
            biased;
            () = shared.stop.cancelled() => true,
            () = shared.to_write.notified() => false,
            () = tokio::time::sleep(RETRY), if failing => false,
        };
        let (returned, failed) = write(&shared, log, failing).await;
        let Some(returned) = returned else {
            break;
        };
        log = returned;
        failing = failed;
        if last {
            close(&shared, log).await;
            break;
        }
    }
}

/// Writes what there is to write. Gives the log back, unless the runtime is at its end, and says
/// whether it failed.
async fn write(shared: &Shared, mut log: Log, failing: bool) -> (Option<Log>, bool) {
    let Some(Round { change, staged }) = next_round(shared, &log) else {
        return (Some(log), false);
    };
    let written = tokio::task::spawn_blocking(move || {
        let result = log.apply(&change);
        (log, change, result)
    });
    let Ok((log, change, result)) = written.await else {
        return (None, true);
    };
    let result = result.map_err(|error| Error::State {
        detail: format!("the event queue in {}: {error}", log.folder().display()),
    });
    match &result {
        Err(error) if !failing => {
            tracing::warn!(%error, "events cannot be stored; they are kept in memory");
        }
        Ok(()) if failing => tracing::info!("events can be stored again"),
        _ => {}
    }
    let failed = result.is_err();
    settle(shared, change, staged, result);
    (Some(log), failed)
}

/// What there is to write, if anything.
fn next_round(shared: &Shared, log: &Log) -> Option<Round> {
    let mut state = shared.lock();
    let staged = std::mem::take(&mut state.staged);
    let backlog = &mut state.backlog;
    let done = backlog.begin_writing();
    if backlog.is_empty() && staged.is_empty() {
        // Nothing has to be told to a log that holds nothing.
        if log.is_empty() {
            backlog.end_writing();
            return None;
        }
        let change = Change::Clear;
        return Some(Round { change, staged });
    }
    let with_staged = |mut events: Vec<Arc<Event>>| {
        events.extend(staged.iter().map(|staged| staged.event.clone()));
        events
    };
    let events = with_staged(backlog.events(true));
    if done.is_empty() && events.is_empty() {
        backlog.end_writing();
        return None;
    }
    let new: usize = events.iter().map(|event| event_bytes(event)).sum();
    let more = new + done.len() * DONE_BYTES;
    let staged_bytes: usize = staged.iter().map(|staged| event_bytes(&staged.event)).sum();
    // Events that come in only by dropping others do not make the file's bound larger.
    let live = (backlog.bytes() + staged_bytes).min(backlog.max_bytes());
    let all = log
        .wants_rewrite(more, live.max(backlog.bytes()))
        .then(|| with_staged(backlog.events(false)));
    let sync = shared.is_synced() && !events.is_empty();
    let change = Change::Append {
        done,
        events,
        all,
        sync,
    };
    Some(Round { change, staged })
}

/// Notes in the backlog what came of a round, and tells those who wait for it.
fn settle(shared: &Shared, change: Change, staged: Vec<Staged>, result: Result<()>) {
    let mut state = shared.lock();
    let backlog = &mut state.backlog;
    match (&result, change) {
        (Ok(()), _) => backlog.end_writing(),
        (Err(_), Change::Append { done, .. }) => backlog.fail_writing(done),
        // What is done with is done with when the log is cleared the next time.
        (Err(_), Change::Clear) => backlog.fail_writing(Vec::new()),
    }
    for Staged { event, reply } in staged {
        match &result {
            Ok(()) => backlog.admit_written(event),
            Err(_) => backlog.release(&event),
        }
        // Whoever waited may have given up.
        let _ = reply.send(result.clone());
    }
    drop(state);
    shared.to_deliver.notify_one();
    shared.note_progress();
}

/// Leaves the file to the next client.
async fn close(shared: &Shared, log: Log) {
    let lost = shared.lock().backlog.events(true).len();
    let closed = tokio::task::spawn_blocking(move || log.close()).await;
    if let Ok(Err(error)) = closed {
        tracing::warn!(%error, "the event queue could not be synced");
    }
    if lost > 0 {
        tracing::warn!(events = lost, "events that could not be stored are lost");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures_util::FutureExt;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use uuid::Uuid;

    use super::super::backlog::{Backlog, Outcome};
    use super::super::log::Place;
    use super::*;
    use crate::event_queue::{EventDurability, EventOverflow, EventQueueConfig};

    fn place(folder: &Path) -> Place {
        Place {
            folder: folder.to_owned(),
            installation: "0123456789abcdef".to_owned(),
        }
    }

    fn event(data_bytes: u16) -> Event {
        let mut data = vec![0x81, 0xa0, 0xc5];
        data.extend_from_slice(&data_bytes.to_be_bytes());
        data.resize(data.len() + usize::from(data_bytes), 7);
        Event::new(Uuid::now_v7(), "event", &data).unwrap()
    }

    /// What a process that was killed now would leave to the next, and the size of it.
    fn left_behind(folder: &Path) -> (Vec<Arc<Event>>, u64) {
        let copy = tempfile::tempdir().unwrap();
        let mut bytes = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            bytes += std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let (_log, adopted) = Log::open(place(copy.path()));
        assert_eq!(adopted.damaged, 0);
        (adopted.events, bytes)
    }

    #[tokio::test]
    async fn a_writer_that_ends_early_answers_all_who_wait_for_it() {
        let config = EventQueueConfig {
            durability: EventDurability::Synced,
            ..EventQueueConfig::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(place(folder.path()));
        let shared = Arc::new(Shared::new(config, Backlog::new(config)));
        let writer = tokio::spawn(run(shared.clone(), log));
        // The writer begins to wait before there is something to write.
        tokio::task::yield_now().await;
        let tracked = shared.track(event(1));
        tokio::pin!(tracked);
        assert!(tracked.as_mut().now_or_never().is_none());
        // It drops what the task holds, as a panic does.
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
        let deadline = Duration::from_secs(30);
        let answer = tokio::time::timeout(deadline, tracked).await.unwrap();
        assert_eq!(answer.unwrap_err().code(), "SHUT_DOWN");
        let stopped = tokio::time::timeout(deadline, shared.stopped.cancelled());
        stopped.await.unwrap();
        let late = shared.track(event(1)).await;
        assert_eq!(late.unwrap_err().code(), "SHUT_DOWN");
    }

    #[tokio::test]
    async fn after_every_round_the_file_has_exactly_what_is_undelivered_and_stays_in_its_bound() {
        let config = EventQueueConfig {
            max_bytes: 128 << 10,
            overflow: EventOverflow::DropOldest,
            ..EventQueueConfig::default()
        };
        let bound = 2 * config.max_bytes as u64 + (256 << 10);
        let (mut rounds, mut largest, mut rewritten) = (0, 0, 0);
        for seed in 0..4 {
            let mut random = StdRng::seed_from_u64(seed);
            let folder = tempfile::tempdir().unwrap();
            let (mut log, _) = Log::open(place(folder.path()));
            let shared = Shared::new(config, Backlog::new(config));
            let mut before = 0;
            // The first seeds deliver less than they track, the last ones more.
            for round in 0..150 {
                {
                    let backlog = &mut shared.lock().backlog;
                    for _ in 0..random.random_range(0..4) {
                        backlog.admit(Arc::new(event(random.random_range(0..12_000))));
                    }
                    for _ in 0..random.random_range(0..3 + seed) {
                        backlog.take();
                        let sent = random.random_range(0..5) > 0;
                        backlog.settle(if sent { Outcome::Sent } else { Outcome::Kept });
                    }
                }
                let (returned, failed) = write(&shared, log, false).await;
                assert!(!failed);
                log = returned.unwrap();
                let (events, bytes) = left_behind(folder.path());
                let expected = shared.lock().backlog.events(false);
                assert_eq!(events, expected, "seed {seed}, round {round}");
                assert!(bytes <= bound, "seed {seed}, round {round}: {bytes} bytes");
                largest = largest.max(bytes);
                rewritten += u64::from(bytes < before && !events.is_empty());
                before = bytes;
                rounds += 1;
            }
        }
        assert!(rewritten > 0, "nothing was ever rewritten");
        println!("rounds: {rounds}, rewritten {rewritten}, largest {largest} of {bound} bytes");
    }
}
