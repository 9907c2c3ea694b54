//! Events by way of the durable queue.

use std::time::Duration;

use serde::Serialize;
use skyline_protocol::methods;

use super::{Client, payload_error};
use crate::error::Result;
use crate::event_queue::EventCounters;

impl Client {
    /// Queues an event of the product for delivery: its name, for example `app.navigation`, and
    /// data that serialize to a map. Unlike [`Client::send_event`] it neither needs a connection
    /// nor waits for the server.
    ///
    /// Queued events are delivered in their order, over every loss of the connection and every
    /// restart of the program, and each arrives once: it carries an id by which the server drops
    /// repeats. They are kept in the state folder; [`EventQueueConfig`](crate::EventQueueConfig)
    /// says how many, what happens when there are more, and whether this waits for the disk.
    ///
    /// After a breach or a refusal events are still taken, and kept for the next client.
    /// Dropping the future takes nothing back.
    ///
    /// # Errors
    ///
    /// - [`Error::Payload`](crate::Error::Payload) when the name has more than 256 bytes, none, or
    ///   a control character, or the data do not convert to a map of at most 64 KiB;
    /// - [`Error::EventQueueFull`](crate::Error::EventQueueFull) when the queue is full and may
    ///   not drop anything, or when the disk is too slow for synced events;
    /// - [`Error::State`](crate::Error::State) when the event has to be on disk and cannot be
    ///   stored;
    /// - [`Error::ShutDown`](crate::Error::ShutDown) after [`Client::shutdown`];
    /// - [`Error::InvalidConfiguration`](crate::Error::InvalidConfiguration) in a build without the
    ///   feature `events`.
    ///
    /// With any of them the event is not queued.
    pub async fn track<T: Serialize + ?Sized>(&self, name: &str, data: &T) -> Result<()> {
        self.track_raw(name, &methods::encode(data).map_err(payload_error)?)
            .await
    }

    /// As [`Client::track`], with the data as the MessagePack of a map.
    ///
    /// # Errors
    ///
    /// As [`Client::track`].
    pub async fn track_raw(&self, name: &str, data: &[u8]) -> Result<()> {
        self.events.track(name, data).await
    }

    /// Waits until every event tracked before is delivered, or was given up (see
    /// [`EventCounters`]).
    ///
    /// # Errors
    ///
    /// - [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded) when `deadline` passes first;
    ///   the events stay in the queue;
    /// - what ended the client, when it ended before that.
    pub async fn flush_events(&self, deadline: Duration) -> Result<()> {
        self.events.flush(deadline).await
    }

    /// What became of the events.
    pub fn event_counters(&self) -> EventCounters {
        self.events.counters()
    }
}
