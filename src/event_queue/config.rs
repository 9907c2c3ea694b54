//! The settings of the event queue.

use crate::error::{Error, Result};

/// Enough for weeks of a product that reports every screen its user opens, offline.
const DEFAULT_MAX_EVENTS: usize = 10_000;

/// 16 MiB: 1.6 KiB for each of the events, ten times what a usual one takes, and no burden to a
/// disk or to the memory of a telephone.
const DEFAULT_MAX_BYTES: usize = 16 << 20;

/// A million events would take a day to be delivered over a slow line, one round trip each.
const MAX_MAX_EVENTS: usize = 1_000_000;

/// The largest event that the server takes has to fit in.
const MIN_MAX_BYTES: usize = 128 << 10;

/// The queue is held in memory, beside the file.
pub(super) const MAX_MAX_BYTES: usize = 256 << 20;

/// The settings of the queue that [`Client::track`](crate::Client::track) fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventQueueConfig {
    /// How many events may wait for their delivery. Default 10 000; between 1 and 1 000 000.
    pub max_events: usize,
    /// How many bytes they may take: names and data as MessagePack, and 35 bytes for each event.
    /// Default 16 MiB; between 128 KiB and 256 MiB. The queue takes that much memory at the most
    /// (with [`EventDurability::Synced`] the events on their way to the disk may take as much
    /// again), and its file on disk twice as much and 256 KiB (while it is rewritten, another one
    /// of the size of that memory is beside it).
    pub max_bytes: usize,
    /// When an event counts as tracked.
    pub durability: EventDurability,
    /// What happens to an event for which there is no room.
    pub overflow: EventOverflow,
}

impl Default for EventQueueConfig {
    fn default() -> Self {
        Self {
            max_events: DEFAULT_MAX_EVENTS,
            max_bytes: DEFAULT_MAX_BYTES,
            durability: EventDurability::default(),
            overflow: EventOverflow::default(),
        }
    }
}

/// When [`Client::track`](crate::Client::track) is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventDurability {
    /// At once; the event is written to the file within milliseconds. A killed process loses the
    /// events of its last milliseconds, a power cut what the system had not put on disk yet (some
    /// 30 seconds on Linux).
    #[default]
    Buffered,
    /// When the event is on disk (fsync): neither a killed process nor a power cut loses it.
    Synced,
}

/// What [`Client::track`](crate::Client::track) does when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventOverflow {
    /// Drops the oldest events in favour of the new one, and counts them as dropped. With
    /// [`EventDurability::Synced`] an event is refused nevertheless while as many as may wait are
    /// on their way to the disk: they are dropped only when they have arrived there.
    #[default]
    DropOldest,
    /// Fails with [`Error::EventQueueFull`]; what is in the queue stays.
    Refuse,
}

impl EventQueueConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfiguration`] for `max_queued_events` or `max_queued_event_bytes`.
    pub(crate) fn validate(&self) -> Result<()> {
        if !(1..=MAX_MAX_EVENTS).contains(&self.max_events) {
            return Err(Error::invalid(
                "max_queued_events",
                format!("between 1 and {MAX_MAX_EVENTS}"),
            ));
        }
        if !(MIN_MAX_BYTES..=MAX_MAX_BYTES).contains(&self.max_bytes) {
            return Err(Error::invalid(
                "max_queued_event_bytes",
                format!("between {MIN_MAX_BYTES} and {MAX_MAX_BYTES} bytes"),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(max_events: usize, max_bytes: usize) -> Option<&'static str> {
        let config = EventQueueConfig {
            max_events,
            max_bytes,
            ..EventQueueConfig::default()
        };
        match config.validate() {
            Ok(()) => None,
            Err(Error::InvalidConfiguration { field, .. }) => Some(field),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_bound_holds_on_both_sides() {
        let (events, bytes) = ("max_queued_events", "max_queued_event_bytes");
        assert_eq!(rejected(1, MIN_MAX_BYTES), None);
        assert_eq!(rejected(MAX_MAX_EVENTS, MAX_MAX_BYTES), None);
        assert_eq!(rejected(0, MIN_MAX_BYTES), Some(events));
        assert_eq!(rejected(MAX_MAX_EVENTS + 1, MIN_MAX_BYTES), Some(events));
        assert_eq!(rejected(1, MIN_MAX_BYTES - 1), Some(bytes));
        assert_eq!(rejected(1, MAX_MAX_BYTES + 1), Some(bytes));
    }
}
