//! The queue itself.
//!
//! [`EventQueue::track`] puts an event into the [`backlog`], a bounded queue in memory. The
//! [`writer`] brings each change to a [`log`] file in the state folder, from where the next client
//! takes over what this one could not deliver. The [`delivery`] sends one event after the other,
//! under the id that it got when it was tracked: the server drops repeats, so each arrives once.

mod backlog;
mod delivery;
mod event;
mod log;
mod over_session;
mod record;
mod shared;
mod writer;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use uuid::Uuid;

use self::backlog::Backlog;
use self::event::Event;
use self::log::{Log, Place};
use self::over_session::OverSession;
#[doc(hidden)]
#[cfg(fuzzing)]
pub use self::record::{DecodedEventLog, decode_event_log};
use self::shared::Shared;
use crate::error::{Error, Result};
use crate::event_queue::EventCounters;
use crate::runtime;
use crate::session::Session;
use crate::session::backoff::Backoff;

/// What the deadline of a flush may overtake; see [`Error::DeadlineExceeded`].
const DELIVERING: &str = "delivering the queued events";

/// How long the queue waits for what earlier clients left. That is read at once, at most twice the
/// 256 MiB that can be configured; a disk that takes longer for it hangs.
const OPEN_DEADLINE: Duration = Duration::from_secs(30);

/// How long the end of a queue waits for the disk. A sync takes milliseconds, on a worn memory card
/// a second or two; the host must not be kept from ending by a disk that hangs.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// The queue of one client. Dropping it ends its tasks; what is not delivered is on disk.
#[derive(Debug)]
pub(crate) struct EventQueue {
    shared: Arc<Shared>,
    /// The runtime that its tasks live on.
    runtime: Handle,
}

impl EventQueue {
    /// Takes over the events that earlier clients left in the state folder, and begins to deliver
    /// over `session`. To be awaited on the runtime.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when the disk does not answer. A folder that cannot be used is a warning
    /// in the log: events are kept in memory then.
    pub(crate) async fn open(session: Arc<Session>) -> Result<Self> {
        let runtime = Handle::current();
        let settings = &session.settings;
        let place = Place::of(settings);
        let config = settings.config.events;
        let backoff = Backoff::new(settings.config.reconnect, rand::make_rng());
        let folder = place.folder.clone();
        let opening = runtime::blocking(move || Ok(Log::open(place)));
        let (log, adopted) = within(OPEN_DEADLINE, &folder, opening).await?;
        let mut backlog = Backlog::new(config);
        if !adopted.events.is_empty() {
            tracing::info!(events = adopted.events.len(), "events of an earlier run");
        }
        backlog.recover(adopted.events, adopted.damaged);
        let shared = Arc::new(Shared::new(config, backlog));
        // The first round of the writer moves what was taken over into this client's file.
        shared.to_write.notify_one();
        runtime.spawn(writer::run(shared.clone(), log));
        let delivery = OverSession(session);
        runtime.spawn(delivery::run(shared.clone(), delivery, backoff));
        Ok(Self { shared, runtime })
    }

    /// Takes an event; `data` is the MessagePack of a map.
    ///
    /// # Errors
    ///
    /// - [`Error::Payload`] when the server would not take it;
    /// - [`Error::EventQueueFull`] when there is no room, where that is the policy;
    /// - [`Error::State`] when it has to be on disk and cannot be;
    /// - [`Error::ShutDown`] after [`Self::close`], [`Error::Forked`].
    pub(crate) async fn track(&self, name: &str, data: &[u8]) -> Result<()> {
        runtime::check()?;
        let event = Event::new(Uuid::now_v7(), name, data)?;
        self.shared.track(event).await
    }

    /// Resolves when everything tracked before is delivered or given up.
    ///
    /// # Errors
    ///
    /// [`Error::DeadlineExceeded`], and what ended the client before that.
    pub(crate) async fn flush(&self, deadline: Duration) -> Result<()> {
        runtime::check()?;
        // Only making the timer needs the runtime; any executor may poll it.
        let timer = {
            let _runtime = self.runtime.enter();
            tokio::time::sleep_until(runtime::instant_after(deadline))
        };
        tokio::select! {
            biased;
            result = self.shared.flush() => result,
            () = timer => Err(Error::DeadlineExceeded {
                activity: DELIVERING,
                maybe_executed: false,
            }),
        }
    }

    pub(crate) fn counters(&self) -> EventCounters {
        self.shared.lock().backlog.counters()
    }

    /// Takes nothing more and delivers nothing more; resolves when everything is on disk, or
    /// after [`CLOSE_DEADLINE`].
    pub(crate) async fn close(&self) {
        self.close_within(CLOSE_DEADLINE).await;
    }

    async fn close_within(&self, deadline: Duration) {
        // In a forked child there is no thread that would do anything.
        if runtime::check().is_err() {
            return;
        }
        self.shared.close();
        // Only making the timer needs the runtime; any executor may poll it.
        let stopped = {
            let _runtime = self.runtime.enter();
            tokio::time::timeout(deadline, self.shared.stopped.cancelled())
        };
        if stopped.await.is_err() {
            tracing::warn!(
                ?deadline,
                "the disk does not answer: events that were tracked last may not be on it"
            );
        }
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Waits for the disk, but no longer than `deadline`. To be awaited on the runtime.
async fn within<T>(
    deadline: Duration,
    folder: &Path,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let finished = tokio::time::timeout(deadline, work).await;
    finished.unwrap_or_else(|_| {
        Err(Error::State {
            detail: format!(
                "the event queue in {}: the disk does not answer",
                folder.display()
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_queue::EventQueueConfig;

    /// Much longer than a test that waits for it should take.
    const NEVER: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn neither_the_begin_nor_the_end_of_a_queue_waits_for_a_disk_that_hangs() {
        let short = Duration::from_millis(20);
        let hanging = within(
            short,
            Path::new("state"),
            std::future::pending::<Result<()>>(),
        );
        let error = tokio::time::timeout(NEVER, hanging).await.unwrap();
        let error = error.unwrap_err();
        assert_eq!(error.code(), "STATE");
        assert!(error.to_string().contains("state"), "{error}");

        // No writer will ever say that it is done.
        let config = EventQueueConfig::default();
        let shared = Arc::new(Shared::new(config, Backlog::new(config)));
        let queue = EventQueue {
            shared,
            runtime: Handle::current(),
        };
        let closing = queue.close_within(short);
        tokio::time::timeout(NEVER, closing).await.unwrap();
        let late = queue.track("late", &[0x80]).await;
        assert_eq!(late.unwrap_err().code(), "SHUT_DOWN");
    }
}
