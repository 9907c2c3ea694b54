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

/// Brings everything to the disk until the queue is closed, and once more then.
pub(super) async fn run(shared: Arc<Shared>, mut log: Log) {
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
            // Nobody is left to answer.
            shared.close();
            shared.lock().staged.clear();
            break;
        };
        log = returned;
        failing = failed;
        if last {
            close(&shared, log).await;
            break;
        }
    }
    shared.stopped.cancel();
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
