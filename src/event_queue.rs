//! The durable queue of the product's events (docs/adr/0014).
//!
//! [`Client::track`](crate::Client::track) puts an event into the [`backlog`], a bounded queue in
//! memory. The [`writer`] brings each change to a [`log`] file in the state folder, from where the
//! next client takes over what this one could not deliver. The [`delivery`] sends one event after
//! the other, under the id that it got when it was tracked: the server drops repeats, so each
//! arrives once.

mod backlog;
mod config;
mod delivery;
mod event;
mod log;
mod record;
mod shared;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use self::backlog::Backlog;
pub use self::backlog::EventCounters;
pub use self::config::{EventDurability, EventOverflow, EventQueueConfig};
pub(crate) use self::delivery::Delivery;
use self::event::Event;
use self::log::Log;
pub(crate) use self::log::Place;
#[doc(hidden)]
#[cfg(fuzzing)]
pub use self::record::{DecodedEventLog, decode_event_log};
use self::shared::Shared;
use crate::error::{Error, Result};
use crate::runtime;
use crate::session::Backoff;

/// What the deadline of a flush may overtake; see [`Error::DeadlineExceeded`].
const DELIVERING: &str = "delivering the queued events";

/// The queue of one client. Dropping it ends its tasks; what is not delivered is on disk.
#[derive(Debug)]
pub(crate) struct EventQueue {
    shared: Arc<Shared>,
}

impl EventQueue {
    /// Takes over the events that earlier clients left at `place`, and begins to deliver.
    ///
    /// # Errors
    ///
    /// [`Error::Forked`] and [`Error::ShutDown`], where the runtime is not usable. A folder that
    /// cannot be used is a warning in the log: events are kept in memory then.
    pub(crate) async fn open(
        place: Place,
        config: EventQueueConfig,
        delivery: impl Delivery,
        backoff: Backoff,
    ) -> Result<Self> {
        let runtime = runtime::handle()?;
        let (log, adopted) = runtime::blocking(move || Ok(Log::open(place))).await?;
        let mut backlog = Backlog::new(config);
        if !adopted.events.is_empty() {
            tracing::info!(events = adopted.events.len(), "events of an earlier run");
        }
        backlog.recover(adopted.events, adopted.damaged);
        let shared = Arc::new(Shared::new(config, backlog));
        // The first round of the writer moves what was taken over into this client's file.
        shared.to_write.notify_one();
        runtime.spawn(writer::run(shared.clone(), log));
        runtime.spawn(delivery::run(shared.clone(), delivery, backoff));
        Ok(Self { shared })
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
        runtime::handle()?;
        let event = Event::new(Uuid::now_v7(), name, data)?;
        self.shared.track(event).await
    }

    /// Resolves when everything tracked before is delivered or given up.
    ///
    /// # Errors
    ///
    /// [`Error::DeadlineExceeded`], and what ended the client before that.
    pub(crate) async fn flush(&self, deadline: Duration) -> Result<()> {
        let handle = runtime::handle()?;
        // Only making the timer needs the runtime; any executor may poll it.
        let timer = {
            let _runtime = handle.enter();
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

    /// Takes nothing more and delivers nothing more; resolves when everything is on disk.
    pub(crate) async fn close(&self) {
        // In a forked child there is no thread that would do anything.
        if runtime::handle().is_err() {
            return;
        }
        self.shared.close();
        self.shared.stopped.cancelled().await;
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        self.shared.close();
    }
}
