//! The task that hands the queue's events to the server: in order, one at a time, each until it is
//! settled.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::backlog::Outcome;
use super::event::Event;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::session::Backoff;

/// The way to the server.
pub(crate) trait Delivery: Send + 'static {
    /// Resolves when a session is open.
    ///
    /// # Errors
    ///
    /// What ended the client for good.
    fn ready(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Sends the payload of one `send-event`, and resolves when the server has acknowledged it.
    fn send(&mut self, payload: Bytes) -> impl Future<Output = Result<()>> + Send;
}

/// Delivers until the queue is closed or the client is finished. What is on its way then stays in
/// the queue; the server drops what comes twice.
pub(super) async fn run(shared: Arc<Shared>, delivery: impl Delivery, backoff: Backoff) {
    let stopped = shared
        .stop
        .run_until_cancelled(deliver(&shared, delivery, backoff))
        .await;
    shared.lock().backlog.settle(Outcome::Kept);
    if let Some(error) = stopped {
        tracing::debug!(code = error.code(), "events are kept for the next client");
        shared.end_delivery(error);
    }
}

/// Delivers for as long as there is a client, and gives what ended it.
async fn deliver(shared: &Shared, mut delivery: impl Delivery, mut backoff: Backoff) -> Error {
    loop {
        if !shared.lock().backlog.has_next() {
            shared.to_deliver.notified().await;
            continue;
        }
        // Nothing is taken from the queue before it can be sent: what waits may be dropped.
        if let Err(error) = delivery.ready().await {
            return error;
        }
        let Some(event) = shared.lock().backlog.take() else {
            continue;
        };
        let wait = match send(&mut delivery, &event).await {
            Ok(()) => {
                backoff.reset();
                shared.lock().backlog.settle(Outcome::Sent);
                None
            }
            Err(error) if is_event_at_fault(&error) => {
                backoff.reset();
                tracing::warn!(
                    event = event.name(),
                    code = error.code(),
                    "an event that the server does not take is given up"
                );
                shared.lock().backlog.settle(Outcome::Rejected);
                None
            }
            Err(error) => {
                shared.lock().backlog.settle(Outcome::Kept);
                let (attempt, wait) = backoff.next(asked_wait(&error));
                tracing::debug!(
                    code = error.code(),
                    attempt,
                    ?wait,
                    "an event is sent again"
                );
                Some(wait)
            }
        };
        shared.to_write.notify_one();
        shared.note_progress();
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
    }
}

async fn send(delivery: &mut impl Delivery, event: &Event) -> Result<()> {
    let payload = event.payload().map_err(|error| Error::Payload {
        detail: error.to_string(),
    })?;
    delivery.send(payload.into()).await
}

/// Whether this event will never be taken, and the next one may be. A refusal of the license or
/// a failure of the server says nothing about the event.
fn is_event_at_fault(error: &Error) -> bool {
    matches!(
        error,
        Error::BadRequest { .. } | Error::PacketTooLarge { .. } | Error::Payload { .. }
    )
}

/// How long the server asks to wait.
fn asked_wait(error: &Error) -> Duration {
    match error {
        Error::RateLimited {
            retry_after_seconds: Some(seconds),
            ..
        } => Duration::from_secs(*seconds),
        _ => Duration::ZERO,
    }
}
