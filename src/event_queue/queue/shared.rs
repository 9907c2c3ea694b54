//! What the callers, the writer and the delivery of one queue share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::event::Event;
use crate::error::{Error, Result};
use crate::event_queue::{EventDurability, EventQueueConfig};

/// An event on its way to the disk, with somebody waiting for it to arrive there.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) event: Arc<Event>,
    pub(super) reply: oneshot::Sender<Result<()>>,
}

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) backlog: Backlog,
    /// Events that join the backlog when they are on disk.
    pub(super) staged: Vec<Staged>,
    /// Nothing more is taken.
    closed: bool,
    /// Why nothing is delivered any more.
    over: Option<Error>,
}

/// One queue.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    durability: EventDurability,
    /// There is something to write.
    pub(super) to_write: Notify,
    /// There is something to deliver.
    pub(super) to_deliver: Notify,
    /// An event was delivered or given up, or nothing will be any more.
    progress: Notify,
    /// The queue is closing.
    pub(super) stop: CancellationToken,
    /// Everything is on disk and the file is let go.
    pub(super) stopped: CancellationToken,
}

impl Shared {
    pub(super) fn new(config: EventQueueConfig, backlog: Backlog) -> Self {
        Self {
            state: Mutex::new(State {
                backlog,
                staged: Vec::new(),
                closed: false,
                over: None,
            }),
            durability: config.durability,
            to_write: Notify::new(),
            to_deliver: Notify::new(),
            progress: Notify::new(),
            stop: CancellationToken::new(),
            stopped: CancellationToken::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it so, its parts would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is tracked has to be on disk first.
    pub(super) fn is_synced(&self) -> bool {
        self.durability == EventDurability::Synced
    }

    /// Takes an event; when the future resolves it is as durable as the configuration says.
    /// Dropping the future takes nothing back.
    pub(super) async fn track(&self, event: Event) -> Result<()> {
        let event = Arc::new(event);
        let arrival = {
            let mut state = self.lock();
            if state.closed {
                return Err(shut_down());
            }
            state.backlog.check_room(&event)?;
            if self.is_synced() {
                let (reply, arrival) = oneshot::channel();
                state.backlog.reserve(&event);
                state.staged.push(Staged { event, reply });
                Some(arrival)
            } else {
                state.backlog.admit(event);
                self.note_progress();
                self.to_deliver.notify_one();
                None
            }
        };
        self.to_write.notify_one();
        match arrival {
            // The writer answers all that it was given, unless the runtime was halted.
            Some(arrival) => arrival.await.unwrap_or_else(|_| Err(shut_down())),
            None => Ok(()),
        }
    }

    /// Resolves when all that was tracked before is delivered or given up.
    ///
    /// # Errors
    ///
    /// What ended the client before that.
    pub(super) async fn flush(&self) -> Result<()> {
        let end = self.lock().backlog.end();
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            {
                let state = self.lock();
                if state.backlog.oldest() >= end {
                    return Ok(());
                }
                if let Some(error) = &state.over {
                    return Err(error.clone());
                }
            }
            progress.await;
        }
    }

    /// An event was delivered or given up.
    pub(super) fn note_progress(&self) {
        self.progress.notify_waiters();
    }

    /// Nothing is delivered any more, for this reason. What is tracked goes on being kept.
    pub(super) fn end_delivery(&self, error: Error) {
        self.lock().over.get_or_insert(error);
        self.progress.notify_waiters();
    }

    /// Takes nothing more, delivers nothing more, and brings everything to the disk.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.end_delivery(shut_down());
        self.stop.cancel();
    }
}

fn shut_down() -> Error {
    Error::ShutDown {
        maybe_executed: false,
    }
}
