//! The durable queue of the product's events (docs/adr/0014), or what stands in its place in a
//! build without the feature `events` (docs/adr/0026).

#[cfg(not(feature = "events"))]
mod absent;
mod config;
mod counters;
#[cfg(feature = "events")]
mod queue;

#[cfg(not(feature = "events"))]
pub(crate) use self::absent::EventQueue;
pub use self::config::{EventDurability, EventOverflow, EventQueueConfig};
pub use self::counters::EventCounters;
#[cfg(feature = "events")]
pub(crate) use self::queue::EventQueue;
#[doc(hidden)]
#[cfg(fuzzing)]
pub use self::queue::{DecodedEventLog, decode_event_log};
