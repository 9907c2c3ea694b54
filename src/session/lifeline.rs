//! What outlives a single connection: the end of the client, the latch of a breach, and the state
//! that the application watches.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connection::End;
use crate::error::{Error, Result};

/// The state of a client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// The session is open.
    Connected,
    /// The connection was lost, by the given [`Error::ConnectionLost`]. Calls fail with it; the
    /// application may connect a new client.
    Disconnected(Error),
    /// The client is finished: shut down, or by the given [`Error::IntegrityBreach`].
    Closed(Option<Error>),
}

/// The states of one client, one after the other; see [`Client::states`](crate::Client::states).
#[derive(Debug)]
pub struct StateStream {
    states: watch::Receiver<ConnectionState>,
    finished: bool,
}

impl StateStream {
    /// The present state at the first call, then each change; `None` after
    /// [`ConnectionState::Closed`]. A reader that is slow may miss states in between, never the
    /// last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<ConnectionState> {
        if self.finished || self.states.changed().await.is_err() {
            return None;
        }
        let state = self.states.borrow_and_update().clone();
        self.finished = matches!(state, ConnectionState::Closed(_));
        Some(state)
    }
}

/// The thread of a client's life through its connections.
#[derive(Debug)]
pub(crate) struct Lifeline {
    stop: CancellationToken,
    states: watch::Sender<ConnectionState>,
    /// How many connections are open. More than one while the client moves to a fresh one.
    open: watch::Sender<usize>,
}

impl Lifeline {
    pub(crate) fn new() -> Self {
        Self {
            stop: CancellationToken::new(),
            states: watch::Sender::new(ConnectionState::Connected),
            open: watch::Sender::new(0),
        }
    }

    /// Whether the client may still be used.
    ///
    /// # Errors
    ///
    /// The breach that ended it, or [`Error::ShutDown`].
    pub(crate) fn check(&self) -> Result<()> {
        match &*self.states.borrow() {
            ConnectionState::Connected | ConnectionState::Disconnected(_) => Ok(()),
            ConnectionState::Closed(None) => Err(Error::ShutDown {
                maybe_executed: false,
            }),
            ConnectionState::Closed(Some(breach)) => Err(breach.clone()),
        }
    }

    pub(crate) fn states(&self) -> StateStream {
        let mut states = self.states.subscribe();
        // The present state counts as a change, so that the first `next` gives it.
        states.mark_changed();
        StateStream {
            states,
            finished: false,
        }
    }

    /// Resolves when the client is finished, and says how its connections end then.
    pub(crate) async fn over(self: Arc<Self>) -> End {
        self.stop.cancelled().await;
        match &*self.states.borrow() {
            ConnectionState::Closed(Some(breach)) => End::Breach(breach.clone()),
            _ => End::Closed,
        }
    }

    /// Ends the client.
    pub(crate) fn stop(&self) {
        self.set(ConnectionState::Closed(None));
        self.stop.cancel();
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

    /// A login succeeded.
    pub(crate) fn connected(&self) {
        self.set(ConnectionState::Connected);
    }

    /// A connection ended after its handshake. `in_use`: it was not one that the client has moved
    /// away from.
    pub(crate) fn connection_ended(&self, end: &End, in_use: bool) {
        match end {
            End::Breach(error) => self.breach(error),
            End::Lost(_) if in_use => {
                self.set(ConnectionState::Disconnected(end.error(false)));
            }
            End::Lost(_) | End::Closed => {}
        }
    }

    /// Latches a breach: from now on the client neither connects nor sends.
    pub(crate) fn breach(&self, error: &Error) {
        if self.set(ConnectionState::Closed(Some(error.clone()))) {
            tracing::error!(code = error.code(), %error, "integrity breach: the client is finished");
        }
        self.stop.cancel();
    }

    /// Changes the state, unless the client is finished: that is the last word. Says whether it
    /// changed.
    fn set(&self, state: ConnectionState) -> bool {
        self.states.send_if_modified(|present| {
            let changes = !matches!(present, ConnectionState::Closed(_)) && *present != state;
            if changes {
                *present = state;
            }
            changes
        })
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
