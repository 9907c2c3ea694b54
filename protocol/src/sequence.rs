//! Sequence numbers of one connection, on either end (docs/protocol.md, section 4).

use std::collections::BTreeMap;

use thiserror::Error;

/// The peer broke the sequence: on either end that is an integrity breach.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SequenceViolation {
    /// A request did not carry the one number that was due.
    #[error("the request carries seq {got} where {expected} is due")]
    Unexpected {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// A response carries a number that was never sent, or was answered before.
    #[error("the response carries seq {got}, which is not in flight")]
    NotInFlight {
        /// The number that came.
        got: u64,
    },
}

/// The client's side: numbers requests and finds the request that a response belongs to.
///
/// `T` is whatever the caller keeps for a request until its answer comes. A request whose caller
/// gave up stays here, so that its late response is no violation.
#[derive(Debug)]
pub struct InFlight<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> InFlight<T> {
    /// Nothing in flight; the first request will have seq 0.
    pub fn new() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Numbers one more request: 0, 1, 2 and so on. It must be written in this order.
    pub fn send(&mut self, request: T) -> u64 {
        let seq = self.next;
        // 2^64 requests outlast the packets of any key by far.
        self.next += 1;
        self.waiting.insert(seq, request);
        seq
    }

    /// The seq that the next request will have.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Takes out the request that a response with this seq answers.
    ///
    /// # Errors
    /// [`SequenceViolation::NotInFlight`] when none with this seq is in flight.
    pub fn answer(&mut self, seq: u64) -> Result<T, SequenceViolation> {
        self.waiting
            .remove(&seq)
            .ok_or(SequenceViolation::NotInFlight { got: seq })
    }

    /// What is kept for a request in flight.
    pub fn get_mut(&mut self, seq: u64) -> Option<&mut T> {
        self.waiting.get_mut(&seq)
    }

    /// What is kept for the requests in flight, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.values()
    }

    /// How many requests are in flight.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no request is in flight.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out everything that is in flight, oldest first, as when the connection ends. Later
    /// requests go on with the numbers that follow.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.waiting).into_values()
    }
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The server's side: takes requests only in order, from 0 on.
#[derive(Debug, Default)]
pub struct ExpectedSequence {
    next: u64,
}

impl ExpectedSequence {
    /// Expects seq 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the seq of the next request.
    ///
    /// # Errors
    /// [`SequenceViolation::Unexpected`] when another one is due; the due number stays the same.
    pub fn accept(&mut self, seq: u64) -> Result<(), SequenceViolation> {
        if seq != self.next {
            return Err(SequenceViolation::Unexpected {
                expected: self.next,
                got: seq,
            });
        }
        self.next += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_numbered_from_zero_without_gaps() {
        let mut in_flight = InFlight::new();
        assert!(in_flight.is_empty());
        for expected in 0..5 {
            assert_eq!(in_flight.send(()), expected);
        }
        assert_eq!(in_flight.len(), 5);
        in_flight.answer(4).unwrap();
        assert_eq!(in_flight.send(()), 5);
    }

    #[test]
    fn answers_find_their_request_in_any_order() {
        let mut in_flight = InFlight::new();
        for name in ["a", "b", "c"] {
            in_flight.send(name);
        }
        *in_flight.get_mut(1).unwrap() = "B";
        assert_eq!(in_flight.answer(2), Ok("c"));
        assert_eq!(in_flight.answer(0), Ok("a"));
        assert_eq!(in_flight.answer(1), Ok("B"));
        assert!(in_flight.is_empty());
        assert_eq!(in_flight.get_mut(1), None);
    }

    #[test]
    fn an_answer_to_nothing_is_a_violation() {
        let mut in_flight = InFlight::new();
        in_flight.send(());
        assert_eq!(
            in_flight.answer(1),
            Err(SequenceViolation::NotInFlight { got: 1 })
        );
        in_flight.answer(0).unwrap();
        assert_eq!(
            in_flight.answer(0),
            Err(SequenceViolation::NotInFlight { got: 0 })
        );
    }

    #[test]
    fn draining_takes_everything_oldest_first() {
        let mut in_flight = InFlight::new();
        for name in ["a", "b", "c"] {
            in_flight.send(name);
        }
        in_flight.answer(1).unwrap();
        assert_eq!(in_flight.drain().collect::<Vec<_>>(), ["a", "c"]);
        assert!(in_flight.is_empty());
        assert_eq!(in_flight.send("d"), 3);
    }

    #[test]
    fn the_server_takes_requests_only_in_order() {
        let mut expected = ExpectedSequence::new();
        let violation = |expected, got| Err(SequenceViolation::Unexpected { expected, got });
        assert_eq!(expected.accept(1), violation(0, 1));
        assert_eq!(expected.accept(0), Ok(()));
        assert_eq!(expected.accept(0), violation(1, 0));
        assert_eq!(expected.accept(2), violation(1, 2));
        assert_eq!(expected.accept(u64::MAX), violation(1, u64::MAX));
        assert_eq!(expected.accept(1), Ok(()));
    }
}
