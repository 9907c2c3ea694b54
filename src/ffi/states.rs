//! The connection's state, pulled by the host (docs/adr/0006).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Cancellation, Failure, FailureDetails};
use crate::error::Error;

/// The state of a client's connection.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum ConnectionState {
    /// An attempt to connect and log in is under way.
    Connecting,
    /// The session is open.
    Ready,
    /// There is no connection; the client waits before it tries again.
    Reconnecting {
        /// The number of the attempt that comes next, from 1 on.
        attempt: u32,
        /// How long the client waits before it.
        next_delay: Duration,
        /// How the connection was lost, or why the last attempt failed.
        last_error: FailureDetails,
    },
    /// The server refused the login for good; the client is finished.
    Refused {
        /// The refusal.
        details: FailureDetails,
    },
    /// The integrity of the session was violated; the client is finished.
    Breached {
        /// The breach.
        details: FailureDetails,
    },
    /// The client was shut down.
    ShutDown,
}

impl From<crate::ConnectionState> for ConnectionState {
    fn from(state: crate::ConnectionState) -> Self {
        match state {
            crate::ConnectionState::Connecting => Self::Connecting,
            crate::ConnectionState::Ready => Self::Ready,
            crate::ConnectionState::Reconnecting {
                attempt,
                next_delay,
                last_error,
            } => Self::Reconnecting {
                attempt,
                next_delay,
                last_error: (&last_error).into(),
            },
            crate::ConnectionState::Refused(error) => Self::Refused {
                details: (&error).into(),
            },
            crate::ConnectionState::Breached(error) => Self::Breached {
                details: (&error).into(),
            },
            crate::ConnectionState::ShutDown => Self::ShutDown,
        }
    }
}

/// The states of one client, one after the other.
#[derive(Debug, uniffi::Object)]
pub struct StateStream {
    states: Mutex<crate::StateStream>,
}

impl StateStream {
    pub(super) fn new(states: crate::StateStream) -> Arc<Self> {
        Arc::new(Self {
            states: Mutex::new(states),
        })
    }
}

#[uniffi::export]
impl StateStream {
    /// The current state at the first call, then each change; `None` after the last. A reader
    /// that is slow may miss states in between, never the last one.
    ///
    /// Fails with `Cancelled` only.
    pub async fn next_state(
        &self,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Option<ConnectionState>, Failure> {
        let next = async { self.states.lock().await.next_state().await };
        match Cancellation::unless_cancelled(cancellation, next).await {
            Some(state) => Ok(state.map(Into::into)),
            None => Err(Error::Cancelled {
                maybe_executed: false,
            }
            .into()),
        }
    }
}
