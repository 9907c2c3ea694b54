//! The connection's state, pulled by the host (docs/adr/0006).

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Cancellation, Failure, FailureDetails};
use crate::error::Error;

/// The state of a client's connection.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum ConnectionState {
    /// The session is open.
    Connected,
    /// The connection was lost: the application may connect again with a new client.
    Disconnected {
        /// How it was lost.
        details: FailureDetails,
    },
    /// The client is finished.
    Closed {
        /// The breach that ended it; none when it was shut down.
        details: Option<FailureDetails>,
    },
}

impl From<crate::ConnectionState> for ConnectionState {
    fn from(state: crate::ConnectionState) -> Self {
        match state {
            crate::ConnectionState::Connected => Self::Connected,
            crate::ConnectionState::Disconnected(error) => Self::Disconnected {
                details: (&error).into(),
            },
            crate::ConnectionState::Closed(error) => Self::Closed {
                details: error.as_ref().map(Into::into),
            },
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
    pub async fn next(
        &self,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<Option<ConnectionState>, Failure> {
        let next = async { self.states.lock().await.next().await };
        match Cancellation::unless_cancelled(cancellation, next).await {
            Some(state) => Ok(state.map(Into::into)),
            None => Err(Error::Cancelled {
                maybe_executed: false,
            }
            .into()),
        }
    }
}
