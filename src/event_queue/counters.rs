//! What an application is told of its events.

/// What became of the events of one client, since it was connected.
///
/// At any time `tracked` + `recovered` = `queued` + `sent` + `dropped` + `rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EventCounters {
    /// Events that the application tracked and the queue accepted.
    pub tracked: u64,
    /// Events that an earlier client of this product and license had left in the state folder.
    pub recovered: u64,
    /// Events that wait for their delivery, or are on their way.
    pub queued: u64,
    /// The bytes of these, as [`EventQueueConfig::max_bytes`](crate::EventQueueConfig) counts them.
    pub queued_bytes: u64,
    /// Events that the server acknowledged.
    pub sent: u64,
    /// Events that were given up because the queue was full.
    pub dropped: u64,
    /// Events that were given up because the server would never take them: it answered
    /// `BAD_REQUEST`, or they exceed the packet size.
    pub rejected: u64,
    /// Damaged stretches of the files that earlier clients left. Each held at least a part of an
    /// event, or of a note that one was delivered; the server drops what comes twice.
    pub damaged: u64,
}
