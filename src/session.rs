//! One client's session: logging in, the connection in use, the calls' way through it, the move to
//! a fresh connection when a key is used up, and the latch of an integrity breach.

mod lifeline;
mod login;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

pub(crate) use self::lifeline::Lifeline;
pub use self::lifeline::{ConnectionState, StateStream};
pub use self::login::SessionInfo;
pub(crate) use self::login::Settings;
use crate::connection::{Answer, Connection, End, Outgoing};
use crate::error::{Error, Result};
use crate::runtime;

/// What the deadline of a call may overtake; see [`Error::DeadlineExceeded`].
const WAITING_FOR_A_TURN: &str = "waiting for a turn among the calls in flight";
const WAITING_FOR_THE_ANSWER: &str = "waiting for the answer";

/// The session behind all the clones of a client.
#[derive(Debug)]
pub(crate) struct Session {
    settings: Arc<Settings>,
    lifeline: Arc<Lifeline>,
    /// The connection in use and what the server said at its login.
    current: Mutex<(Arc<Connection>, SessionInfo)>,
    /// Held while the client moves to a fresh connection, so that only one call does it.
    moving: tokio::sync::Mutex<()>,
    calls: Semaphore,
    bytes: Arc<Semaphore>,
}

impl Session {
    /// Connects and logs in.
    pub(crate) async fn open(settings: Settings) -> Result<Self> {
        let settings = Arc::new(settings);
        let lifeline = Arc::new(Lifeline::new());
        let limits = settings.config.limits;
        let (connection, info) = login::open(&settings, &lifeline).await?;
        Ok(Self {
            settings,
            lifeline,
            current: Mutex::new((Arc::new(connection), info)),
            moving: tokio::sync::Mutex::new(()),
            calls: Semaphore::new(limits.calls_in_flight),
            bytes: Arc::new(Semaphore::new(limits.bytes_in_flight)),
        })
    }

    pub(crate) fn info(&self) -> SessionInfo {
        self.current().1
    }

    pub(crate) fn default_deadline(&self) -> Duration {
        self.settings.config.deadlines.call
    }

    pub(crate) fn states(&self) -> StateStream {
        self.lifeline.states()
    }

    /// Calls a method. `deadline` covers everything: waiting for a turn, moving to a fresh
    /// connection, the answer.
    pub(crate) async fn call(
        &self,
        method: &str,
        payload: Option<Bytes>,
        deadline: Duration,
    ) -> Result<Option<Bytes>> {
        let handle = runtime::handle()?;
        let queued = AtomicBool::new(false);
        let call = self.call_without_deadline(method, payload, &queued);
        // Only making the timer needs the runtime; any executor may poll it.
        let timer = {
            let _runtime = handle.enter();
            // A deadline too far for the clock is none at all; 30 years will do.
            const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
            tokio::time::sleep_until(Instant::now() + deadline.min(FAR))
        };
        tokio::select! {
            biased;
            result = call => result,
            () = timer => {
                let queued = queued.load(Ordering::Relaxed);
                let activity = if queued { WAITING_FOR_THE_ANSWER } else { WAITING_FOR_A_TURN };
                Err(Error::DeadlineExceeded { activity, maybe_executed: queued })
            }
        }
    }

    async fn call_without_deadline(
        &self,
        method: &str,
        payload: Option<Bytes>,
        queued: &AtomicBool,
    ) -> Result<Option<Bytes>> {
        self.lifeline.check()?;
        // Neither semaphore is ever closed.
        let _turn = self.calls.acquire().await.map_err(|_| Error::ShutDown {
            maybe_executed: false,
        })?;
        let method: Arc<str> = method.into();
        loop {
            self.lifeline.check()?;
            let connection = self.connection().await?;
            let (answer, waiting) = oneshot::channel();
            let outgoing = Outgoing {
                method: method.clone(),
                room: self.room(payload.as_ref()).await?,
                payload: payload.clone(),
                timestamp: None,
                answer,
            };
            queued.store(true, Ordering::Relaxed);
            match connection.send(outgoing).await {
                Ok(()) => {}
                Err(End::Closed) if connection.is_spent() => continue,
                Err(end) => return Err(end.error(false)),
            }
            match waiting.await {
                Ok(Answer::Ok(payload)) => return Ok(payload),
                Ok(Answer::Failed(error)) => return Err(error),
                Ok(Answer::Unsent) => queued.store(false, Ordering::Relaxed),
                // The runtime came to rest while the call was waiting.
                Err(_) => {
                    return Err(Error::ShutDown {
                        maybe_executed: true,
                    });
                }
            }
        }
    }

    /// Room for a payload among the bytes in flight; one larger than all the room takes it all.
    async fn room(
        &self,
        payload: Option<&Bytes>,
    ) -> Result<Option<tokio::sync::OwnedSemaphorePermit>> {
        let Some(payload) = payload else {
            return Ok(None);
        };
        let bytes = payload
            .len()
            .min(self.settings.config.limits.bytes_in_flight);
        // The limit was checked to fit 32 bits.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = self.bytes.clone().acquire_many_owned(bytes).await;
        room.map(Some).map_err(|_| Error::ShutDown {
            maybe_executed: false,
        })
    }

    /// The connection for a new request: the current one, or a fresh one in place of one whose
    /// key is nearly used up.
    async fn connection(&self) -> Result<Arc<Connection>> {
        let (connection, _) = self.current();
        if !connection.is_spent() {
            return Ok(connection);
        }
        let _moving = self.moving.lock().await;
        // Another call may have done it meanwhile.
        let (connection, _) = self.current();
        if !connection.is_spent() {
            return Ok(connection);
        }
        let (settings, lifeline) = (self.settings.clone(), self.lifeline.clone());
        let (fresh, info) =
            runtime::run(async move { login::open(&settings, &lifeline).await }).await?;
        let fresh = Arc::new(fresh);
        // What this client's own connecting did stays true.
        let info = SessionInfo {
            is_activated_now: self.info().is_activated_now,
            ..info
        };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = (fresh.clone(), info);
        Ok(fresh)
    }

    fn current(&self) -> (Arc<Connection>, SessionInfo) {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Closes the connection; everything waiting and everything later fails with `ShutDown`.
    pub(crate) async fn shutdown(&self) {
        self.lifeline.stop();
        self.lifeline.stopped().await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.lifeline.stop();
    }
}
