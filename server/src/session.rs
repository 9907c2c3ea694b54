//! An open session: the calls of one connection (docs/protocol.md, sections 3 and 4).

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use axum::extract::ws::{Message, close_code};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, SinkExt, StreamExt, stream::FuturesUnordered};
use skyline_protocol::Sealer;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use crate::{
    connection::{CLOSE_DEADLINE, Connection},
    in_flight::{InFlight, Ticket},
    messages::Language,
    methods::{self, Call, Fault, Outcome, Reply, Session},
    metrics::Breach,
    peer::{End, Peer, Sink, Stream, next_packet, refuse, seal},
    serve::Server,
    stream::Meter,
};

/// Pings that a peer may leave unanswered.
const MAX_MISSED_PINGS: u32 = 2;

/// Something for the peer; a reply takes its place in flight until it is written.
enum Outgoing<'a> {
    Reply(Reply, Ticket<'a>),
    Ping,
}

/// Why a packet is no call: what is answered to which seq, and how the connection ends, if it does.
struct Refused {
    answer: Option<(u64, Fault)>,
    end: Option<End>,
}

/// Room of a queue that an idle session keeps, in entries: what a burst has taken is given back.
const KEPT_ENTRIES: usize = 4;

/// What waits to be written. It has no bound of its own: each reply has its place in flight, and
/// there is one ping at a tick.
///
/// It wakes nobody: both halves of a session belong to one task, which polls the writing half after
/// each turn of the reading one.
struct Outbox<'a>(Mutex<Posted<'a>>);

#[derive(Default)]
struct Posted<'a> {
    queue: VecDeque<Outgoing<'a>>,
    closed: bool,
}

impl<'a> Outbox<'a> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn post(&self, outgoing: Outgoing<'a>) {
        self.lock().queue.push_back(outgoing);
    }

    /// Nothing will be posted any more.
    fn close(&self) {
        self.lock().closed = true;
    }

    fn try_next(&self) -> Option<Outgoing<'a>> {
        let mut posted = self.lock();
        let next = posted.queue.pop_front();
        if next.is_none() {
            posted.queue.shrink_to(KEPT_ENTRIES);
        }
        next
    }

    /// Waits until there is something. `false`: there is nothing, and nothing will be.
    async fn filled(&self) -> bool {
        poll_fn(|_| {
            let posted = self.lock();
            match (posted.queue.is_empty(), posted.closed) {
                (true, false) => Poll::Pending,
                (empty, _) => Poll::Ready(!empty),
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Posted<'a>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open session. Reading and writing are two futures of one task: neither waits for the other,
/// so that a peer that writes before it reads cannot lock both ends.
pub(crate) async fn converse(
    server: &Server,
    connection: Connection,
    sink: &mut Sink,
    stream: &mut Stream,
    meter: &Meter,
) -> End {
    let Connection {
        session,
        peer,
        sealer,
    } = connection;
    let _counted = server.metrics.session();
    let in_flight = InFlight::new(
        server.config.max_calls_in_flight,
        server.config.max_bytes_in_flight,
    );
    let outbox = Outbox::new();
    let packets = server.config.max_packets_per_key;
    let receiving = Receiving {
        server,
        // A request and its answer take two: every call that is read can be answered.
        calls_left: packets.saturating_sub(sealer.packets_used()) / 2,
        session: &session,
        in_flight: &in_flight,
        outbox: &outbox,
    };
    let mut receive = pin!(receiving.run(peer, stream, meter));
    let mut transmit = pin!(transmit(server, session.language, sealer, sink, &outbox));
    tokio::select! {
        // All that one turn of reading finds to answer is written in the same turn, by one flush.
        biased;
        (end, drained_by) = &mut receive => {
            if !matches!(end, End::Drop(_)) {
                // The answers that are ready still go out, the one to a breach among them.
                outbox.close();
                let by = drained_by.max(Instant::now() + CLOSE_DEADLINE);
                let _ = timeout_at(by, transmit).await;
            }
            end
        }
        end = &mut transmit => end,
    }
}

/// The reading half of a session, and the calls that it has begun.
struct Receiving<'a, 'o> {
    server: &'a Server,
    /// Calls for which the session key has packets.
    calls_left: u64,
    session: &'a Session,
    in_flight: &'a InFlight,
    outbox: &'o Outbox<'a>,
}

impl<'a> Receiving<'a, '_> {
    /// Reads until the session ends; tells how, and by when what was called for is to be answered.
    async fn run(self, mut peer: Peer, stream: &mut Stream, meter: &Meter) -> (End, Instant) {
        let mut calls = FuturesUnordered::new();
        let mut login_confirmed = false;
        let mut missed_pings = 0;
        let mut calls_left = self.calls_left;
        let interval = self.server.config.ping_interval;
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = pin!(self.server.stop.cancelled());
        let end = loop {
            if calls_left == 0 {
                break End::EXHAUSTED;
            }
            tokio::select! {
                // In this order a packet that is there is taken without a look at what is not.
                // What comes after it has its turn when the packets, or the places in flight, are
                // used up.
                biased;
                () = &mut stopped => break End::STOPPING,
                packet = async { self.in_flight.room().await; next_packet(stream).await } => {
                    calls_left = calls_left.saturating_sub(1);
                    let packet = match packet {
                        Ok(packet) => packet,
                        Err(end) => break end,
                    };
                    let ticket = self.in_flight.enter(packet.len());
                    let checked = match self.check(&mut peer, packet) {
                        Ok(call) if !login_confirmed => {
                            let confirmed = Box::pin(self.confirm_login(call)).await;
                            login_confirmed = confirmed.is_ok();
                            confirmed
                        }
                        checked => checked,
                    };
                    let call = match checked {
                        Ok(call) => call,
                        Err(Refused { answer, end }) => {
                            if let Some((seq, fault)) = answer {
                                Box::pin(self.answer_fault(seq, &fault, ticket)).await;
                            }
                            match end {
                                Some(end) => break end,
                                None => continue,
                            }
                        }
                    };
                    let mut work = Box::pin(self.work(call, ticket));
                    // What needs to wait for nothing is done at once.
                    let Some((outcome, ticket)) = work.as_mut().now_or_never() else {
                        calls.push(work);
                        continue;
                    };
                    if let Err(end) = self.deliver(outcome, ticket) {
                        break end;
                    }
                }
                Some((outcome, ticket)) = calls.next(), if !calls.is_empty() => {
                    if let Err(end) = self.deliver(outcome, ticket) {
                        break end;
                    }
                }
                _ = ticks.tick() => {
                    // While calls are worked on and there is no room, it is this end that is slow.
                    if meter.take_alive() {
                        missed_pings = 0;
                    } else if !(self.in_flight.has_room() || calls.is_empty()) {
                        missed_pings = 0;
                        // Nor is the peer's ping read now: this one tells it that the server lives.
                        self.post(Outgoing::Ping);
                    } else if missed_pings == MAX_MISSED_PINGS {
                        break End::Drop("the peer does not answer");
                    } else {
                        missed_pings += 1;
                        self.post(Outgoing::Ping);
                    }
                }
            }
        };
        let mut drained_by = Instant::now();
        if end.lets_calls_finish() {
            drained_by += self.server.config.drain_deadline;
            let _ = timeout_at(drained_by, async {
                while let Some((outcome, ticket)) = calls.next().await {
                    let _ = self.deliver(outcome, ticket);
                }
            })
            .await;
        }
        (end, drained_by)
    }

    /// Checks a packet. It waits for nothing, so that an idle session keeps no room for its steps.
    fn check(&self, peer: &mut Peer, packet: Bytes) -> Result<Call, Refused> {
        let (call, authentic) =
            peer.read(packet, Some(&self.session.token))
                .map_err(|violation| {
                    let (end, answer) = refuse(violation);
                    Refused {
                        answer,
                        end: Some(end),
                    }
                })?;
        if authentic {
            return Ok(call);
        }
        let what = "the token is not this session's";
        Err(Refused {
            answer: Some((call.seq, Fault::InvalidSession)),
            end: Some(End::Breach(Breach::Token, close_code::POLICY, what)),
        })
    }

    /// The first call shows that the client has the answer to its login.
    async fn confirm_login(&self, call: Call) -> Result<Call, Refused> {
        match methods::confirm_login(self.server, self.session).await {
            Ok(()) => Ok(call),
            Err(fault) => {
                let end = match fault {
                    Fault::Internal => None,
                    _ => Some(End::Breach(
                        Breach::LastLogin,
                        close_code::POLICY,
                        "the login is not valid",
                    )),
                };
                Err(Refused {
                    answer: Some((call.seq, fault)),
                    end,
                })
            }
        }
    }

    async fn work(&self, call: Call, ticket: Ticket<'a>) -> (Outcome, Ticket<'a>) {
        (
            methods::answer(self.server, self.session, call).await,
            ticket,
        )
    }

    fn deliver(&self, outcome: Outcome, ticket: Ticket<'a>) -> Result<(), End> {
        match outcome {
            Outcome::Reply(reply) => {
                self.post(Outgoing::Reply(reply, ticket));
                Ok(())
            }
            Outcome::Drop => Err(End::Drop("a test asked for it")),
        }
    }

    async fn answer_fault(&self, seq: u64, fault: &Fault, ticket: Ticket<'a>) {
        let session = self.session;
        methods::note_refusal(self.server, session.address, Some(session.license), fault).await;
        let reply = fault.reply(self.server, self.session.language, seq);
        self.post(Outgoing::Reply(reply, ticket));
    }

    fn post(&self, outgoing: Outgoing<'a>) {
        self.outbox.post(outgoing);
    }
}

/// The writing half of a session: seals what there is, and flushes once for all of it.
async fn transmit(
    server: &Server,
    language: Language,
    mut sealer: Sealer,
    sink: &mut Sink,
    outbox: &Outbox<'_>,
) -> End {
    let mut buffer = BytesMut::new();
    let mut written = Vec::new();
    // Only a sealed message is kept across a wait: room for a reply would be kept by idle sessions.
    let mut next_message = |written: &mut Vec<_>| {
        Some(match outbox.try_next()? {
            Outgoing::Ping => Ok(Message::Ping(Bytes::new())),
            Outgoing::Reply(reply, ticket) => {
                written.push(ticket);
                seal(server, language, &mut sealer, reply, &mut buffer)
            }
        })
    };
    while outbox.filled().await {
        while let Some(message) = next_message(&mut written) {
            let message = match message {
                Ok(message) => message,
                Err(end) => return end,
            };
            if sink.feed(message).await.is_err() {
                return End::Drop("the peer went away");
            }
        }
        if sink.flush().await.is_err() {
            return End::Drop("the peer went away");
        }
        written.clear();
        written.shrink_to(KEPT_ENTRIES);
    }
    End::Drop("the reading half has ended")
}
