//! What outlives a single connection: the connection in use, the end of the client, the latch of
//! a breach, and the state that the application watches.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, MAX_RETRY_AFTER};
use super::hurry::{Hurry, Wishes};
use crate::connection::{Connection, End};
use crate::error::{Error, Result};
use crate::runtime;

/// The state of a client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// An attempt to connect and log in is under way.
    Connecting,
    /// The session is open.
    Ready,
    /// There is no connection; the client waits before it tries again.
    Reconnecting {
        /// The number of the attempt that comes next: 1 after a connection that was stable
        /// ([`Reconnect::stable_after`](crate::Reconnect::stable_after)).
        attempt: u32,
        /// How long the client waits before it. [`Client::reconnect_now`](crate::Client::reconnect_now)
        /// ends the wait.
        next_delay: Duration,
        /// How the connection was lost, or why the last attempt failed.
        last_error: Error,
    },
    /// The server refused the login for good: the version is outdated, the license key is bound
    /// to another device, unknown, expired or suspended. The client is finished.
    Refused(Error),
    /// An [`Error::IntegrityBreach`]. The client is finished.
    Breached(Error),
    /// The client was shut down, or all its handles are gone.
    ShutDown,
}

impl ConnectionState {
    /// Whether it is the last one.
    fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Breached(_) | Self::ShutDown)
    }
}

/// The states of one client, one after the other; see [`Client::states`](crate::Client::states).
#[derive(Debug)]
pub struct StateStream {
    states: watch::Receiver<ConnectionState>,
    /// The state that was given last.
    last: Option<ConnectionState>,
}

impl StateStream {
    /// The present state at the first call, then each change; `None` after
    /// [`ConnectionState::Refused`], [`ConnectionState::Breached`] or
    /// [`ConnectionState::ShutDown`], and in a child of the process that connected. A reader that is slow may miss states in between, never the
    /// last one. Dropping the future loses nothing.
    pub async fn next_state(&mut self) -> Option<ConnectionState> {
        // Nobody changes a state any more where the runtime's thread does not run.
        if runtime::check().is_err() {
            return None;
        }
        loop {
            let finished = self.last.as_ref().is_some_and(ConnectionState::is_final);
            if finished || self.states.changed().await.is_err() {
                return None;
            }
            let state = self.states.borrow_and_update().clone();
            // It may have changed there and back unseen.
            if self.last.as_ref() != Some(&state) {
                self.last = Some(state.clone());
                return Some(state);
            }
        }
    }
}

/// The thread of a client's life through its connections.
#[derive(Debug)]
pub(crate) struct Lifeline {
    stop: CancellationToken,
    states: watch::Sender<ConnectionState>,
    /// The connection for new requests. It may have ended or be spent: then another one follows.
    connection: Mutex<Option<Arc<Connection>>>,
    /// Wakes those who wait for a connection, in the order in which they came.
    connected: Notify,
    backoff: Mutex<Backoff>,
    hurry: Hurry,
    /// How many connections are open. More than one while the client moves to a fresh one.
    open: watch::Sender<usize>,
}

impl Lifeline {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self {
            stop: CancellationToken::new(),
            states: watch::Sender::new(ConnectionState::Connecting),
            connection: Mutex::new(None),
            connected: Notify::new(),
            backoff: Mutex::new(backoff),
            hurry: Hurry::new(),
            open: watch::Sender::new(0),
        }
    }

    /// Whether the client may still be used.
    ///
    /// # Errors
    ///
    /// The refusal or the breach that ended it, or [`Error::ShutDown`].
    pub(crate) fn check(&self) -> Result<()> {
        match &*self.states.borrow() {
            ConnectionState::Connecting
            | ConnectionState::Ready
            | ConnectionState::Reconnecting { .. } => Ok(()),
            ConnectionState::Refused(error) | ConnectionState::Breached(error) => {
                Err(error.clone())
            }
            ConnectionState::ShutDown => Err(Error::ShutDown {
                maybe_executed: false,
            }),
        }
    }

    /// The connection for a new request, as soon as there is one.
    ///
    /// # Errors
    ///
    /// As [`Self::check`], when the client is finished before.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>> {
        // Mostly there is one, and the list of those who wait need not be locked.
        if let Some(connection) = self.usable() {
            return Ok(connection);
        }
        loop {
            let mut connected = pin!(self.connected.notified());
            // From here on no wake-up is missed.
            connected.as_mut().enable();
            if let Some(connection) = self.usable() {
                return Ok(connection);
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.check()?;
                    return Err(Error::ShutDown {
                        maybe_executed: false,
                    });
                }
                () = connected => {}
            }
        }
    }

    /// The connection in use, if it takes requests.
    fn usable(&self) -> Option<Arc<Connection>> {
        let present = self.present();
        let connection = present.as_ref()?;
        connection.takes_requests().then(|| connection.clone())
    }

    fn present(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        // Nothing panics while it is held.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn states(&self) -> StateStream {
        let mut states = self.states.subscribe();
        // The present state counts as a change, so that the first `next_state` gives it.
        states.mark_changed();
        StateStream { states, last: None }
    }

    /// Resolves when the client is finished, and says how its connections end then.
    pub(crate) async fn over(self: Arc<Self>) -> End {
        self.stop.cancelled().await;
        match &*self.states.borrow() {
            ConnectionState::Breached(breach) => End::Breach(breach.clone()),
            _ => End::Closed,
        }
    }

    /// Ends the client.
    pub(crate) fn stop(&self) {
        self.finish(ConnectionState::ShutDown);
    }

    /// Resolves when no connection is open. Connections end within their closing deadline.
    pub(crate) async fn stopped(&self) {
        let mut open = self.open.subscribe();
        // The sender lives as long as `self`.
        let _ = open.wait_for(|open| *open == 0).await;
    }

    /// Counts a connection as open until the returned value is dropped.
    pub(crate) fn count_connection(self: &Arc<Self>) -> OpenConnection {
        self.open.send_modify(|open| *open += 1);
        OpenConnection(self.clone())
    }

    /// The wishes to reconnect now that come after this call.
    pub(super) fn wishes(&self) -> Wishes {
        self.hurry.wishes()
    }

    /// The host knows better than the clock: a wait for the next attempt ends, and a connection
    /// that seems open is asked for a sign of life.
    pub(crate) fn reconnect_now(&self) {
        self.backoff().reset();
        self.hurry.wish();
        if let Some(connection) = &*self.present() {
            connection.probe();
        }
    }

    /// The machine woke up: what failed before it slept says nothing about the network now.
    pub(crate) fn woke_up(&self) {
        self.backoff().reset();
    }

    /// An attempt begins.
    pub(crate) fn connecting(&self) {
        self.set(ConnectionState::Connecting);
    }

    /// A login succeeded: new requests go over its connection.
    pub(crate) fn ready(&self, connection: Arc<Connection>) {
        *self.present() = Some(connection);
        self.set(ConnectionState::Ready);
        self.connected.notify_waiters();
    }

    /// Plans the attempt after a failed one: says how long to wait before it.
    pub(crate) fn attempt_failed(&self, error: Error) -> Duration {
        // What the server asks for (docs/protocol.md, sections 1 and 5).
        let asked = match &error {
            Error::RateLimited {
                retry_after_seconds,
                ..
            }
            | Error::Connection {
                retry_after_seconds,
                ..
            } => retry_after_seconds.unwrap_or_default(),
            _ => 0,
        };
        self.plan(error, Duration::from_secs(asked).min(MAX_RETRY_AFTER))
    }

    /// The connection in use was lost, and had been in use since then: plans the next attempt and
    /// says how long to wait before it.
    pub(crate) fn lost(&self, error: Error, in_use_since: Instant) -> Duration {
        self.backoff().note_connection(in_use_since.elapsed());
        self.plan(error, Duration::ZERO)
    }

    fn plan(&self, last_error: Error, at_least: Duration) -> Duration {
        let (attempt, next_delay) = self.backoff().next(at_least);
        tracing::warn!(
            code = last_error.code(),
            error = %last_error,
            attempt,
            delay = ?next_delay,
            "no connection: trying again"
        );
        self.set(ConnectionState::Reconnecting {
            attempt,
            next_delay,
            last_error,
        });
        next_delay
    }

    /// The server refused the login for good.
    pub(crate) fn refuse(&self, error: &Error) {
        if self.finish(ConnectionState::Refused(error.clone())) {
            tracing::error!(code = error.code(), %error, "the login was refused: the client is finished");
        }
    }

    /// Latches a breach: from now on the client neither connects nor sends.
    pub(crate) fn breach(&self, error: &Error) {
        if self.finish(ConnectionState::Breached(error.clone())) {
            tracing::error!(code = error.code(), %error, "integrity breach: the client is finished");
        }
    }

    fn finish(&self, state: ConnectionState) -> bool {
        let changed = self.set(state);
        self.stop.cancel();
        changed
    }

    /// Changes the state, unless the client is finished: that is the last word. Says whether it
    /// changed.
    fn set(&self, state: ConnectionState) -> bool {
        self.states.send_if_modified(|present| {
            let changes = !present.is_final() && *present != state;
            if changes {
                *present = state;
            }
            changes
        })
    }

    fn backoff(&self) -> MutexGuard<'_, Backoff> {
        // Nothing panics while it is held; were it so, its parts would still be whole.
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as an open connection while it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Lifeline>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}
