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
use crate::session::backoff::{Backoff, MAX_RETRY_AFTER};

/// The way to the server.
pub(crate) trait Delivery: Send + 'static {
    /// Resolves when a session is open.
    ///
    /// # Errors
    ///
    /// What ended the client for good.
    fn ready(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Resolves when the client is finished, and says what ended it.
    fn finished(&self) -> impl Future<Output = Error> + Send;

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
            // The session itself waits before it reconnects, and is ready when it has.
            Err(Error::ConnectionLost { .. }) => {
                shared.lock().backlog.settle(Outcome::Kept);
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
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                error = delivery.finished() => return error,
            }
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

/// How long the server asks to wait, within reason.
fn asked_wait(error: &Error) -> Duration {
    match error {
        Error::RateLimited {
            retry_after_seconds: Some(seconds),
            ..
        } => Duration::from_secs(*seconds).min(MAX_RETRY_AFTER),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::super::backlog::Backlog;
    use super::*;
    use crate::config::Reconnect;
    use crate::event_queue::EventQueueConfig;

    /// Much longer than a test takes, and shorter than any wait that these tests are to end.
    const SOON: Duration = Duration::from_secs(30);

    /// A way to a server that gives each attempt the same answer, until the client is finished.
    struct Answering {
        answer: Error,
        attempts: usize,
        finished: CancellationToken,
        /// The client is finished at this attempt.
        last: usize,
    }

    impl Delivery for Answering {
        async fn ready(&mut self) -> Result<()> {
            if self.finished.is_cancelled() {
                return Err(self.finished().await);
            }
            Ok(())
        }

        async fn finished(&self) -> Error {
            self.finished.cancelled().await;
            Error::ShutDown {
                maybe_executed: false,
            }
        }

        async fn send(&mut self, _: Bytes) -> Result<()> {
            self.attempts += 1;
            if self.attempts == self.last {
                self.finished.cancel();
            }
            Err(self.answer.clone())
        }
    }

    /// What ends a delivery whose attempts, `last` in number, get this answer.
    async fn ended(answer: Error, last: usize) -> (Error, Shared) {
        let config = EventQueueConfig::default();
        let shared = Shared::new(config, Backlog::new(config));
        let event = Event::new(Uuid::now_v7(), "event", &[0x80]).unwrap();
        shared.track(event).await.unwrap();
        let delivery = Answering {
            answer,
            attempts: 0,
            finished: CancellationToken::new(),
            last,
        };
        // Waits of an hour at least half of the time.
        let settings = Reconnect {
            initial_delay: 2 * MAX_RETRY_AFTER,
            max_delay: 2 * MAX_RETRY_AFTER,
            ..Reconnect::default()
        };
        let backoff = Backoff::new(settings, StdRng::seed_from_u64(1));
        let ended = tokio::time::timeout(SOON, deliver(&shared, delivery, backoff)).await;
        (ended.unwrap(), shared)
    }

    fn limited(seconds: u64) -> Error {
        Error::RateLimited {
            server_message: None,
            retry_after_seconds: Some(seconds),
        }
    }

    #[tokio::test]
    async fn a_long_wait_ends_with_the_client_and_the_event_is_kept() {
        let (error, shared) = ended(limited(u64::MAX), 1).await;
        assert_eq!(error.code(), "SHUT_DOWN");
        assert_eq!(shared.lock().backlog.counters().queued, 1);
    }

    #[tokio::test]
    async fn a_lost_connection_adds_no_wait_to_those_of_the_session() {
        let lost = Error::ConnectionLost {
            detail: "a test".to_owned(),
            maybe_executed: true,
        };
        let (error, shared) = ended(lost, 5).await;
        assert_eq!(error.code(), "SHUT_DOWN");
        assert_eq!(shared.lock().backlog.counters().queued, 1);
    }

    #[test]
    fn a_server_may_ask_for_an_hour_and_no_more() {
        assert_eq!(asked_wait(&limited(7)), Duration::from_secs(7));
        assert_eq!(asked_wait(&limited(u64::MAX)), MAX_RETRY_AFTER);
    }
}
