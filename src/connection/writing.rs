//! The writing half: numbers the requests, seals them, and flushes once for all that are queued.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use skyline_protocol::cipher::Sealer;
use skyline_protocol::packet::{Payload, Request};
use tokio::sync::mpsc;
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

/// Writes until the queue closes.
pub(super) async fn write_all(
    sink: &mut SplitSink<Socket, Message>,
    queue: &mut mpsc::Receiver<Outgoing>,
    mut sealer: Sealer,
    shared: &Shared,
) -> End {
    let mut buffer = BytesMut::new();
    loop {
        let next = tokio::select! {
            biased;
            next = queue.recv() => next,
            () = shared.ping.notified() => {
                if let Err(error) = sink.send(Message::Ping(Bytes::new())).await {
                    return lost(&error);
                }
                continue;
            }
        };
        // Every handle of the connection is gone.
        let Some(first) = next else {
            return End::Closed;
        };
        if let Err(end) = write_queued(first, sink, queue, &mut sealer, &mut buffer, shared).await {
            return end;
        }
    }
}

/// Writes `first` and what is queued behind it, then flushes.
async fn write_queued(
    first: Outgoing,
    sink: &mut SplitSink<Socket, Message>,
    queue: &mut mpsc::Receiver<Outgoing>,
    sealer: &mut Sealer,
    buffer: &mut BytesMut,
    shared: &Shared,
) -> Result<(), End> {
    let mut rooms = Vec::new();
    let mut written = 0;
    let mut next = Some(first);
    while let Some(mut outgoing) = next {
        rooms.extend(outgoing.room.take());
        if seal(outgoing, sealer, buffer, shared)? {
            let packet = buffer.split().freeze();
            written += packet.len();
            sink.feed(Message::Binary(packet))
                .await
                .map_err(|error| lost(&error))?;
        }
        next = if written < FLUSH_BYTES {
            queue.try_recv().ok()
        } else {
            None
        };
    }
    if written >= FLUSH_BYTES {
        // A large packet's memory is not kept for the small ones that mostly follow.
        *buffer = BytesMut::new();
    }
    sink.flush().await.map_err(|error| lost(&error))
}

/// Numbers and seals one request; `false` when it is not to be sent.
fn seal(
    outgoing: Outgoing,
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
        timestamp: outgoing.timestamp.unwrap_or_else(unix_seconds),
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
