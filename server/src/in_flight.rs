//! The bound on what one connection may have in the server's memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the calls of one connection from when their packet was read to when their answer was
/// handed to the socket. While there is no room, no packet is read: the peer feels it by TCP, and
/// a peer that does not read its answers is not heard either.
#[derive(Debug)]
pub(crate) struct InFlight {
    max_calls: usize,
    max_bytes: usize,
    calls: AtomicUsize,
    bytes: AtomicUsize,
    freed: Notify,
}

impl InFlight {
    pub(crate) fn new(max_calls: usize, max_bytes: usize) -> Self {
        Self {
            max_calls,
            max_bytes,
            calls: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.calls.load(Ordering::Relaxed) < self.max_calls
            && self.bytes.load(Ordering::Relaxed) < self.max_bytes
    }

    /// Waits until one more packet may be read. To be awaited by one task only; dropping it half
    /// way loses nothing.
    pub(crate) async fn room(&self) {
        while !self.has_room() {
            self.freed.notified().await;
        }
    }

    /// Counts a call until its ticket is dropped. The bound on bytes may be passed by this one
    /// packet: its size is known only when it is there.
    pub(crate) fn enter(&self, bytes: usize) -> Ticket<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ticket {
            in_flight: self,
            bytes,
        }
    }
}

/// One call in flight.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    in_flight: &'a InFlight,
    bytes: usize,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.in_flight.calls.fetch_sub(1, Ordering::Relaxed);
        self.in_flight
            .bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
        self.in_flight.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn there_is_room_up_to_either_bound_and_again_when_a_ticket_goes() {
        let in_flight = InFlight::new(2, 100);
        let first = in_flight.enter(1);
        assert!(in_flight.has_room());
        let second = in_flight.enter(1);
        assert!(!in_flight.has_room(), "two calls");
        drop(first);
        assert!(in_flight.has_room());
        let large = in_flight.enter(99);
        drop(second);
        assert!(in_flight.has_room(), "99 bytes");
        let last = in_flight.enter(1);
        assert!(!in_flight.has_room());
        let freed = tokio::join!(timeout(Duration::from_secs(5), in_flight.room()), async {
            drop(large);
        });
        freed.0.unwrap();
        drop(last);
        assert!(in_flight.has_room());
    }
}
