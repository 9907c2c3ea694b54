//! The durable event queue as the host sees it.

use serde::Deserialize;

use super::{CallOptions, Cancellation, Client, Failure, json};
use crate::error::Error;

/// When tracking an event is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventDurability {
    /// At once; the event is written to the file within milliseconds.
    Buffered,
    /// When the event is on disk: neither a killed process nor a power cut loses it.
    Synced,
}

impl From<EventDurability> for crate::EventDurability {
    fn from(durability: EventDurability) -> Self {
        match durability {
            EventDurability::Buffered => Self::Buffered,
            EventDurability::Synced => Self::Synced,
        }
    }
}

/// What happens to an event for which the queue has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventOverflow {
    /// The oldest events are dropped in favour of the new one.
    DropOldest,
    /// The new one is refused with `EventQueueFull`.
    Refuse,
}

impl From<EventOverflow> for crate::EventOverflow {
    fn from(overflow: EventOverflow) -> Self {
        match overflow {
            EventOverflow::DropOldest => Self::DropOldest,
            EventOverflow::Refuse => Self::Refuse,
        }
    }
}

/// What became of the events of one client, since it was connected.
///
/// At any time `tracked` + `recovered` = `queued` + `sent` + `dropped` + `rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct EventCounters {
    /// Events that the application tracked and the queue accepted.
    pub tracked: u64,
    /// Events that an earlier client of this product and license had left in the state folder.
    pub recovered: u64,
    /// Events that wait for their delivery, or are on their way.
    pub queued: u64,
    /// The bytes of these, as they count for `max_queued_event_bytes`.
    pub queued_bytes: u64,
    /// Events that the server acknowledged.
    pub sent: u64,
    /// Events that were given up because the queue was full.
    pub dropped: u64,
    /// Events that were given up because the server would never take them.
    pub rejected: u64,
    /// Damaged stretches of the files that earlier clients left; each held at least a part of an
    /// event, or of a note that one was delivered.
    pub damaged: u64,
}

impl From<crate::EventCounters> for EventCounters {
    fn from(counters: crate::EventCounters) -> Self {
        let crate::EventCounters {
            tracked,
            recovered,
            queued,
            queued_bytes,
            sent,
            dropped,
            rejected,
            damaged,
        } = counters;
        Self {
            tracked,
            recovered,
            queued,
            queued_bytes,
            sent,
            dropped,
            rejected,
            damaged,
        }
    }
}

#[uniffi::export]
impl Client {
    /// Queues an event for delivery; `data` is the MessagePack of a map. Needs no connection and
    /// does not wait for the server.
    pub async fn track(&self, name: String, data: Vec<u8>) -> Result<(), Failure> {
        Ok(self.client().track_raw(&name, &data).await?)
    }

    /// Queues an event for delivery; `data` is the text of a JSON object.
    pub async fn track_json(&self, name: String, data: String) -> Result<(), Failure> {
        let data = json::to_message_pack(&data)?;
        Ok(self.client().track_raw(&name, &data).await?)
    }

    /// Waits until every event tracked before is delivered or was given up; within the call
    /// deadline when the options name none.
    pub async fn flush_events(&self, options: CallOptions) -> Result<(), Failure> {
        let client = self.with(&options);
        let flush = client.flush_events(client.deadline());
        match Cancellation::unless_cancelled(options.cancellation, flush).await {
            Some(result) => Ok(result?),
            None => Err(Error::Cancelled {
                maybe_executed: false,
            }
            .into()),
        }
    }

    /// What became of the events.
    pub fn event_counters(&self) -> EventCounters {
        self.client().event_counters().into()
    }
}
