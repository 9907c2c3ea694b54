//! Delivery over the client's session.

use std::sync::Arc;

use bytes::Bytes;
use skyline_protocol::methods::SEND_EVENT;

use super::delivery::Delivery;
use crate::error::{Error, Result};
use crate::session::{CallOptions, ConnectionState, Session};

/// The way of the queue's events to the server.
pub(super) struct OverSession(pub(super) Arc<Session>);

impl Delivery for OverSession {
    async fn ready(&mut self) -> Result<()> {
        self.0.lifeline.connection().await.map(drop)
    }

    async fn finished(&self) -> Error {
        let mut states = self.0.states();
        loop {
            match states.next_state().await {
                Some(ConnectionState::Refused(error) | ConnectionState::Breached(error)) => {
                    return error;
                }
                Some(ConnectionState::ShutDown) | None => {
                    return Error::ShutDown {
                        maybe_executed: false,
                    };
                }
                Some(_) => {}
            }
        }
    }

    async fn send(&mut self, payload: Bytes) -> Result<()> {
        let options = CallOptions {
            deadline: self.0.default_deadline(),
            // The queue sends an event again by itself.
            idempotent: false,
        };
        let call = self.0.call(SEND_EVENT, Some(payload), options);
        call.await.map(drop)
    }
}
