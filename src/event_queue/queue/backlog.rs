//! The events that wait for their delivery, in memory: the bounds, the order, the counts.
//!
//! Nothing here waits or does input and output. Each event has a number, by the order in which it
//! came; what is done with an event in the log goes by the numbers, too: all below
//! `written` are in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use super::event::Event;
use super::record::event_bytes;
use crate::error::{Error, Result};
use crate::event_queue::{EventCounters, EventOverflow, EventQueueConfig};

/// How an attempt to deliver an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has it.
    Sent,
    /// The server will never take it.
    Rejected,
    /// It is to be tried again.
    Kept,
}

#[derive(Debug)]
struct Sending {
    number: u64,
    event: Arc<Event>,
    /// Its place was needed: it is not tried again.
    given_up: bool,
}

/// The events that wait for their delivery.
#[derive(Debug)]
pub(super) struct Backlog {
    config: EventQueueConfig,
    waiting: VecDeque<Arc<Event>>,
    /// The number of the first of `waiting`, or of the next event when there is none.
    first: u64,
    sending: Option<Sending>,
    /// The bytes of `waiting` and `sending`.
    bytes: usize,
    /// Room that was promised to events on their way to the disk: how many, and their bytes.
    reserved: (usize, usize),
    /// All numbers below are in the log.
    written: u64,
    /// All numbers below are being written to the log, or were.
    writing: u64,
    /// What the log has to be told.
    done: Vec<Uuid>,
    counters: EventCounters,
}

impl Backlog {
    pub(super) fn new(config: EventQueueConfig) -> Self {
        Self {
            config,
            waiting: VecDeque::new(),
            first: 0,
            sending: None,
            bytes: 0,
            reserved: (0, 0),
            written: 0,
            writing: 0,
            done: Vec::new(),
            counters: EventCounters::default(),
        }
    }

    /// Takes what earlier processes left behind, before anything else. Where the oldest may be
    /// dropped, those beyond the bounds are; otherwise they were promised a place.
    pub(super) fn recover(&mut self, events: Vec<Arc<Event>>, damaged: u64) {
        self.counters.damaged += damaged;
        self.counters.recovered += events.len() as u64;
        for event in events {
            self.push(event);
        }
        if self.config.overflow == EventOverflow::DropOldest {
            self.make_room(0, 0);
        }
    }

    /// Makes sure that the policy lets an event in that will come to [`Self::admit`]. Only events
    /// in the backlog can be dropped for it, not those on their way to the disk: somebody waits
    /// for each of these.
    ///
    /// # Errors
    ///
    /// [`Error::EventQueueFull`].
    pub(super) fn check_room(&self, event: &Event) -> Result<()> {
        let (mut events, mut bytes) = self.reserved;
        if self.config.overflow == EventOverflow::Refuse {
            events += self.len();
            bytes += self.bytes;
        }
        let full = events + 1 > self.config.max_events
            || bytes + event_bytes(event) > self.config.max_bytes;
        if full {
            return Err(Error::EventQueueFull {
                events: events as u64,
                bytes: bytes as u64,
            });
        }
        Ok(())
    }

    /// Keeps room for an event.
    pub(super) fn reserve(&mut self, event: &Event) {
        self.reserved.0 += 1;
        self.reserved.1 += event_bytes(event);
    }

    /// Takes a promise of [`Self::reserve`] back.
    pub(super) fn release(&mut self, event: &Event) {
        self.reserved.0 -= 1;
        self.reserved.1 -= event_bytes(event);
    }

    /// Takes an event that passed [`Self::check_room`]; the oldest make room for it if need be.
    pub(super) fn admit(&mut self, event: Arc<Event>) {
        if self.config.overflow == EventOverflow::DropOldest {
            self.make_room(1, event_bytes(&event));
        }
        self.counters.tracked += 1;
        self.push(event);
    }

    fn push(&mut self, event: Arc<Event>) {
        self.bytes += event_bytes(&event);
        self.waiting.push_back(event);
    }

    fn make_room(&mut self, events: usize, bytes: usize) {
        let before = self.counters.dropped;
        while self.len() + events > self.config.max_events
            || self.bytes + bytes > self.config.max_bytes
        {
            match &mut self.sending {
                // Whether it is dropped or sent is known when its delivery ends.
                Some(sending) if !sending.given_up => {
                    sending.given_up = true;
                    self.bytes -= event_bytes(&sending.event);
                }
                _ => {
                    let Some(event) = self.waiting.pop_front() else {
                        break;
                    };
                    self.bytes -= event_bytes(&event);
                    self.note_done(self.first, event.id());
                    self.first += 1;
                    self.counters.dropped += 1;
                }
            }
        }
        if before == 0 && self.counters.dropped > 0 {
            tracing::warn!(
                max_events = self.config.max_events,
                max_bytes = self.config.max_bytes,
                "the event queue is full: the oldest events are dropped"
            );
        }
    }

    /// How many events count for the bounds.
    fn len(&self) -> usize {
        let sending = self.sending.as_ref();
        self.waiting.len() + usize::from(sending.is_some_and(|sending| !sending.given_up))
    }

    /// Whether nothing waits and nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sending.is_none()
    }

    /// Whether an event waits.
    pub(super) fn has_next(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The oldest event, to be delivered now. [`Self::settle`] follows.
    pub(super) fn take(&mut self) -> Option<Arc<Event>> {
        let event = self.waiting.pop_front()?;
        self.sending = Some(Sending {
            number: self.first,
            event: event.clone(),
            given_up: false,
        });
        self.first += 1;
        Some(event)
    }

    /// Ends the delivery of the event that was taken.
    pub(super) fn settle(&mut self, outcome: Outcome) {
        let Some(sending) = self.sending.take() else {
            return;
        };
        let Sending {
            number,
            event,
            given_up,
        } = sending;
        match outcome {
            Outcome::Sent => self.counters.sent += 1,
            Outcome::Rejected => self.counters.rejected += 1,
            Outcome::Kept if given_up => self.counters.dropped += 1,
            Outcome::Kept => {
                self.first = number;
                self.waiting.push_front(event);
                return;
            }
        }
        if !given_up {
            self.bytes -= event_bytes(&event);
        }
        self.note_done(number, event.id());
    }

    fn note_done(&mut self, number: u64, id: Uuid) {
        if number < self.written.max(self.writing) {
            self.done.push(id);
        }
    }

    /// The number of the oldest event that is neither delivered nor given up.
    pub(super) fn oldest(&self) -> u64 {
        let sending = self.sending.as_ref();
        sending.map_or(self.first, |sending| sending.number)
    }

    /// The number of the next event.
    pub(super) fn end(&self) -> u64 {
        self.first + self.waiting.len() as u64
    }

    /// The bytes of the events that count for the bounds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bound of [`Self::bytes`].
    pub(super) fn max_bytes(&self) -> usize {
        self.config.max_bytes
    }

    /// All events, or those that are not in the log.
    pub(super) fn events(&self, unwritten_only: bool) -> Vec<Arc<Event>> {
        let from = if unwritten_only { self.written } else { 0 };
        let sending = self
            .sending
            .iter()
            .filter(|sending| sending.number >= from && !sending.given_up)
            .map(|sending| &sending.event);
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        sending
            .chain(self.waiting.iter().skip(skipped))
            .cloned()
            .collect()
    }

    /// Begins to write all events there are, and gives the events that are done with since.
    pub(super) fn begin_writing(&mut self) -> Vec<Uuid> {
        self.writing = self.end();
        std::mem::take(&mut self.done)
    }

    /// All that was there at [`Self::begin_writing`] is in the log.
    pub(super) fn end_writing(&mut self) {
        self.written = self.writing;
    }

    /// Nothing that was there at [`Self::begin_writing`] came into the log; `done` is what that
    /// gave.
    pub(super) fn fail_writing(&mut self, mut done: Vec<Uuid>) {
        self.writing = 0;
        done.append(&mut self.done);
        self.done = done;
    }

    /// Takes an event that is in the log already and had a place reserved.
    pub(super) fn admit_written(&mut self, event: Arc<Event>) {
        self.release(&event);
        self.admit(event);
        self.written = self.end();
    }

    pub(super) fn counters(&self) -> EventCounters {
        EventCounters {
            queued: self.waiting.len() as u64 + u64::from(self.sending.is_some()),
            queued_bytes: self.bytes as u64,
            ..self.counters
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Arc<Event> {
        Arc::new(Event::new(Uuid::now_v7(), "event", &[0x80]).unwrap())
    }

    fn backlog(max_events: usize, overflow: EventOverflow) -> Backlog {
        Backlog::new(EventQueueConfig {
            max_events,
            overflow,
            ..EventQueueConfig::default()
        })
    }

    fn admit(backlog: &mut Backlog, count: usize) -> Vec<Arc<Event>> {
        let events: Vec<_> = (0..count).map(|_| event()).collect();
        for event in &events {
            backlog.check_room(event).unwrap();
            backlog.admit(event.clone());
        }
        events
    }

    fn write(backlog: &mut Backlog) -> Vec<Uuid> {
        let done = backlog.begin_writing();
        backlog.end_writing();
        done
    }

    fn check_sums(backlog: &Backlog) {
        let sums = backlog.counters();
        assert_eq!(
            sums.tracked + sums.recovered,
            sums.queued + sums.sent + sums.dropped + sums.rejected,
            "{sums:?}"
        );
    }

    #[test]
    fn events_leave_in_the_order_in_which_they_came() {
        let mut backlog = backlog(10, EventOverflow::Refuse);
        let events = admit(&mut backlog, 3);
        assert_eq!(backlog.take(), Some(events[0].clone()));
        backlog.settle(Outcome::Kept);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(backlog.oldest(), number as u64);
            assert_eq!(backlog.take().as_ref(), Some(event));
            assert_eq!(backlog.oldest(), number as u64);
            backlog.settle(Outcome::Sent);
            check_sums(&backlog);
        }
        assert!(backlog.is_empty() && backlog.take().is_none());
        assert_eq!(
            (backlog.oldest(), backlog.end(), backlog.bytes()),
            (3, 3, 0)
        );
    }

    #[test]
    fn a_full_queue_refuses_or_drops_the_oldest_as_configured() {
        let mut refusing = backlog(2, EventOverflow::Refuse);
        let events = admit(&mut refusing, 2);
        let error = refusing.check_room(&event()).unwrap_err();
        assert_eq!(error.code(), "EVENT_QUEUE_FULL");
        assert_eq!(refusing.events(false), events);

        let mut dropping = backlog(2, EventOverflow::DropOldest);
        let events = admit(&mut dropping, 5);
        assert_eq!(dropping.events(false), events[3..]);
        assert_eq!(dropping.counters().dropped, 3);
        assert_eq!(dropping.oldest(), 3);
        check_sums(&dropping);
    }

    #[test]
    fn events_on_their_way_to_the_disk_are_bounded_even_where_the_oldest_are_dropped() {
        let size = event_bytes(&event());
        for (max_events, max_bytes) in [(2, 100 * size), (100, 2 * size)] {
            let mut backlog = Backlog::new(EventQueueConfig {
                max_events,
                max_bytes,
                ..EventQueueConfig::default()
            });
            admit(&mut backlog, 5);
            let staged = [event(), event()];
            for event in &staged {
                backlog.check_room(event).unwrap();
                backlog.reserve(event);
            }
            let error = backlog.check_room(&event()).unwrap_err();
            assert_eq!(error.code(), "EVENT_QUEUE_FULL");
            for event in &staged {
                backlog.admit_written(event.clone());
            }
            assert_eq!(backlog.events(false), staged);
            assert!(backlog.check_room(&event()).is_ok());
            check_sums(&backlog);
        }
    }

    #[test]
    fn the_bytes_are_bounded_on_both_sides_of_the_limit() {
        let config = EventQueueConfig {
            max_bytes: 3 * event_bytes(&event()),
            overflow: EventOverflow::Refuse,
            ..EventQueueConfig::default()
        };
        let mut backlog = Backlog::new(config);
        admit(&mut backlog, 3);
        assert_eq!(backlog.bytes(), config.max_bytes);
        assert!(backlog.check_room(&event()).is_err());
        backlog.take();
        assert!(
            backlog.check_room(&event()).is_err(),
            "it is on its way only"
        );
        backlog.settle(Outcome::Rejected);
        assert!(backlog.check_room(&event()).is_ok());
        let reserved = event();
        backlog.reserve(&reserved);
        assert!(backlog.check_room(&event()).is_err());
        backlog.release(&reserved);
        assert!(backlog.check_room(&event()).is_ok());
        check_sums(&backlog);
    }

    #[test]
    fn an_event_whose_place_was_taken_on_its_way_is_sent_or_dropped_and_never_both() {
        for outcome in [Outcome::Sent, Outcome::Kept, Outcome::Rejected] {
            let mut backlog = backlog(2, EventOverflow::DropOldest);
            admit(&mut backlog, 2);
            write(&mut backlog);
            let sending = backlog.take().unwrap();
            let newer = admit(&mut backlog, 1);
            assert_eq!(backlog.counters().queued, 3);
            assert_eq!(backlog.counters().dropped, 0);
            assert_eq!(backlog.oldest(), 0);
            check_sums(&backlog);
            backlog.settle(outcome);
            check_sums(&backlog);
            let sums = backlog.counters();
            assert_eq!(sums.dropped, u64::from(outcome == Outcome::Kept));
            assert_eq!(backlog.oldest(), 1);
            assert_eq!(backlog.events(true), newer);
            assert_eq!(write(&mut backlog), [sending.id()]);
        }
    }

    #[test]
    fn the_log_is_told_of_the_events_that_it_has_and_of_no_others() {
        let mut backlog = backlog(10, EventOverflow::DropOldest);
        let events = admit(&mut backlog, 4);
        backlog.take();
        backlog.settle(Outcome::Sent);
        assert_eq!(backlog.events(true), events[1..]);
        assert!(backlog.begin_writing().is_empty(), "it was never written");
        // Done with while it is being written.
        backlog.take();
        backlog.settle(Outcome::Sent);
        backlog.end_writing();
        assert!(backlog.events(true).is_empty());
        backlog.take();
        backlog.settle(Outcome::Sent);
        let done = backlog.begin_writing();
        assert_eq!(done, [events[1].id(), events[2].id()]);
        backlog.fail_writing(done.clone());
        assert_eq!(backlog.begin_writing(), done);
    }

    #[test]
    fn what_could_not_be_written_is_written_the_next_time() {
        let mut backlog = backlog(10, EventOverflow::DropOldest);
        let events = admit(&mut backlog, 2);
        let done = backlog.begin_writing();
        backlog.fail_writing(done);
        assert_eq!(backlog.events(true), events);
        let more = admit(&mut backlog, 1);
        write(&mut backlog);
        assert!(backlog.events(true).is_empty());
        assert_eq!(backlog.events(false), [events, more].concat());
    }

    #[test]
    fn recovered_events_beyond_the_bounds_are_dropped_only_where_that_is_the_policy() {
        let events: Vec<_> = (0..5).map(|_| event()).collect();
        let mut dropping = backlog(2, EventOverflow::DropOldest);
        dropping.recover(events.clone(), 1);
        assert_eq!(dropping.events(false), events[3..]);
        assert_eq!(dropping.counters().damaged, 1);
        check_sums(&dropping);
        let mut refusing = backlog(2, EventOverflow::Refuse);
        refusing.recover(events.clone(), 0);
        assert_eq!(refusing.events(false), events);
        assert!(refusing.check_room(&event()).is_err());
        check_sums(&refusing);
    }
}
