//! In place of the queue, in a build without it: it takes no event, so none is ever queued. What
//! earlier clients left in the state folder stays there for a build with the queue.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::event_queue::EventCounters;
use crate::session::Session;

/// No queue.
#[derive(Debug)]
pub(crate) struct EventQueue;

impl EventQueue {
    pub(crate) async fn open(_: Arc<Session>) -> Result<Self> {
        Ok(Self)
    }

    /// # Errors
    ///
    /// Always [`Error::InvalidConfiguration`].
    pub(crate) async fn track(&self, _: &str, _: &[u8]) -> Result<()> {
        Err(Error::left_out("events"))
    }

    pub(crate) async fn flush(&self, _: Duration) -> Result<()> {
        Ok(())
    }

    pub(crate) fn counters(&self) -> EventCounters {
        EventCounters::default()
    }

    pub(crate) async fn close(&self) {}
}
