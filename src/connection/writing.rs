//! The writing half: numbers the requests, seals them, and flushes once for all that are queued.
//!
//! The connection's task writes what is queued. A request that finds nothing queued and nothing in
//! flight is written by its caller at once ([`Writer::write_at_once`]): to wake the task for it
//! would cost a thread switch, and there is nothing that it could be flushed together with. Where
//! calls come in crowds, the first of the next crowd waits for the others.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use futures_util::Sink;
use futures_util::stream::SplitSink;
use skyline_protocol::cipher::Sealer;
use skyline_protocol::packet::{Payload, Request};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use super::{Answer, End, Outgoing, Shared};
use crate::error::Error;
use crate::transport::Socket;

/// How many bytes are written before they are flushed although more is queued: the answers to
/// what has left already need not wait for the rest.
const FLUSH_BYTES: usize = 256 << 10;

/// How many cancelled calls may stay unanswered. A server that answers so few calls is as good as
/// gone, and each costs memory until it does.
const MAX_UNANSWERED: usize = 1 << 16;

/// The half of the socket that is written to, and what a request needs on its way there.
pub(super) struct Writer {
    sink: SplitSink<Socket, Message>,
    sealer: Sealer,
    buffer: BytesMut,
    /// Bytes that were handed to the socket since it was last flushed.
    unflushed: usize,
    /// What they keep among the bytes in flight.
    rooms: Vec<OwnedSemaphorePermit>,
    /// The task found several requests in the queue when it last wrote.
    crowded: bool,
    /// Somebody has asked for a ping.
    ping: bool,
    /// Wakes the connection's task to go on with the writing.
    task: Waker,
    /// How a caller's writing failed; the task ends the connection then.
    failed: Option<End>,
}

impl Writer {
    pub(super) fn new(sink: SplitSink<Socket, Message>, sealer: Sealer) -> Self {
        Self {
            sink,
            sealer,
            buffer: BytesMut::new(),
            unflushed: 0,
            rooms: Vec::new(),
            crowded: false,
            ping: false,
            task: Waker::noop().clone(),
            failed: None,
        }
    }

    /// The socket's half, for its last message.
    pub(super) fn into_sink(self) -> SplitSink<Socket, Message> {
        self.sink
    }

    /// Has a ping written.
    pub(super) fn ask_for_ping(&mut self) {
        self.ping = true;
        self.task.wake_by_ref();
    }

    /// Writes a request on its caller's thread, or gives it back where something waits already.
    /// What the socket does not take at once is left to the connection's task.
    pub(super) fn write_at_once(
        &mut self,
        outgoing: Outgoing,
        shared: &Shared,
    ) -> Result<(), Outgoing> {
        // From here on the socket wakes the task, whoever polls it.
        let task = self.task.clone();
        let mut context = Context::from_waker(&task);
        if self.failed.is_some() || self.unflushed > 0 || self.crowded {
            return Err(outgoing);
        }
        if !matches!(self.poll_ready(&mut context), Poll::Ready(Ok(()))) {
            return Err(outgoing);
        }
        let written = self.write(outgoing, unix_seconds(), shared);
        match written.and_then(|()| match self.poll_flush(&mut context) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }) {
            Ok(()) => {}
            Err(end) => {
                self.failed = Some(end);
                task.wake();
            }
        }
        Ok(())
    }

    /// Writes until the queue closes.
    fn poll_queue(
        &mut self,
        queue: &mut mpsc::Receiver<Outgoing>,
        shared: &Shared,
        context: &mut Context<'_>,
    ) -> Poll<End> {
        match self.poll_write(queue, shared, context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(end) | Err(end)) => Poll::Ready(end),
        }
    }

    fn poll_write(
        &mut self,
        queue: &mut mpsc::Receiver<Outgoing>,
        shared: &Shared,
        context: &mut Context<'_>,
    ) -> Poll<Result<End, End>> {
        if !self.task.will_wake(context.waker()) {
            self.task = context.waker().clone();
        }
        if let Some(end) = self.failed.take() {
            return Poll::Ready(Err(end));
        }
        // Asked for when it is needed: each answer wakes this half too.
        let mut now = None;
        let mut requests = 0;
        loop {
            if self.unflushed >= FLUSH_BYTES {
                ready!(self.poll_flush(context))?;
                // A large packet's memory is not kept for the small ones that mostly follow.
                self.buffer = BytesMut::new();
            }
            ready!(self.poll_ready(context))?;
            match queue.poll_recv(context) {
                Poll::Ready(Some(outgoing)) => {
                    let now = *now.get_or_insert_with(unix_seconds);
                    self.write(outgoing, now, shared)?;
                    requests += 1;
                    self.crowded = requests > 1;
                }
                // Every handle of the connection is gone.
                Poll::Ready(None) => {
                    ready!(self.poll_flush(context))?;
                    return Poll::Ready(Ok(End::Closed));
                }
                Poll::Pending if self.ping => {
                    self.ping = false;
                    self.hand_over(Message::Ping(Bytes::new()))?;
                }
                Poll::Pending => {
                    if self.unflushed > 0 {
                        ready!(self.poll_flush(context))?;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Numbers, seals and hands over a request, made `now` unless it says otherwise.
    fn write(&mut self, mut outgoing: Outgoing, now: i64, shared: &Shared) -> Result<(), End> {
        let room = outgoing.room.take();
        if seal(outgoing, now, &mut self.sealer, &mut self.buffer, shared)? {
            self.rooms.extend(room);
            let packet = self.buffer.split().freeze();
            self.hand_over(Message::Binary(packet))?;
        }
        Ok(())
    }

    fn hand_over(&mut self, message: Message) -> Result<(), End> {
        // A ping has no bytes, and is to be flushed all the same.
        self.unflushed += message.len().max(1);
        Pin::new(&mut self.sink)
            .start_send(message)
            .map_err(|error| lost(&error))
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        Pin::new(&mut self.sink)
            .poll_ready(context)
            .map_err(|error| lost(&error))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        let flushed = ready!(Pin::new(&mut self.sink).poll_flush(context));
        self.unflushed = 0;
        self.rooms.clear();
        Poll::Ready(flushed.map_err(|error| lost(&error)))
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Writer")
    }
}

/// Writes until the queue closes.
pub(super) async fn write_all(queue: &mut mpsc::Receiver<Outgoing>, shared: &Shared) -> End {
    std::future::poll_fn(|context| match &mut *shared.writer() {
        Some(writer) => writer.poll_queue(queue, shared, context),
        // It is taken away when the connection has ended.
        None => Poll::Ready(End::Closed),
    })
    .await
}

/// Numbers and seals one request, made `now` unless it says otherwise; `false` when it is not to be
/// sent.
fn seal(
    outgoing: Outgoing,
    now: i64,
    sealer: &mut Sealer,
    buffer: &mut BytesMut,
    shared: &Shared,
) -> Result<bool, End> {
    // Cancelled before it was written: it needs no number.
    if outgoing.answer.is_closed() {
        return Ok(false);
    }
    if sealer.packets_used() >= shared.options.limits.packets_per_connection {
        shared.retire();
        let _ = outgoing.answer.send(Answer::Unsent);
        return Ok(false);
    }
    let mut in_flight = shared.in_flight();
    let token = shared.token();
    let request = Request {
        seq: in_flight.next_seq(),
        timestamp: outgoing.timestamp.unwrap_or(now),
        method: &outgoing.method,
        token: token.as_ref().map(|token| token.expose()),
        payload: match &outgoing.payload {
            None => Payload::None,
            Some(payload) if shared.options.inline_payloads => Payload::Inline(payload),
            Some(payload) => Payload::Binary(payload),
        },
    };
    let (size, limit) = (request.sealed_len(), shared.options.limits.packet_bytes);
    if size > limit {
        let (size, limit) = (size as u64, limit as u64);
        let error = Error::PacketTooLarge { size, limit };
        let _ = outgoing.answer.send(Answer::Failed(error));
        return Ok(false);
    }
    if in_flight.len() >= shared.options.limits.calls_in_flight + MAX_UNANSWERED {
        let _ = outgoing.answer.send(Answer::Unsent);
        return Err(End::Lost(format!(
            "the server left {} calls unanswered",
            in_flight.len()
        )));
    }
    in_flight.send(outgoing.answer);
    drop(in_flight);
    tracing::trace!(
        seq = request.seq,
        method = request.method,
        bytes = size,
        "request"
    );
    // The size was checked and the key is far from its bound: a failure here is one of the cipher
    // itself, and the number is taken already.
    sealer
        .seal_request(&request, buffer)
        .map_err(|error| End::Lost(error.to_string()))?;
    Ok(true)
}

fn lost(error: &tungstenite::Error) -> End {
    End::Lost(format!("it could not be written to: {error}"))
}

/// Seconds since 1970-01-01 UTC by this machine's clock; 0 for a clock set before.
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
