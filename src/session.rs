//! One client's session: logging in, keeping a connection, the calls' way through it, and the latch
//! of an integrity breach.

pub(crate) mod backoff;
mod driver;
mod hurry;
mod lifeline;
mod login;
#[cfg(test)]
mod simulation;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use self::backoff::Backoff;
pub(crate) use self::lifeline::Lifeline;
pub use self::lifeline::{ConnectionState, StateStream};
pub use self::login::SessionInfo;
pub(crate) use self::login::Settings;
use crate::connection::{Answer, Outgoing};
use crate::error::{Error, Result};
use crate::runtime;

/// What the deadline of a call may overtake; see [`Error::DeadlineExceeded`].
const WAITING_FOR_A_TURN: &str = "waiting for a connection or for a turn among the calls in flight";
const WAITING_FOR_THE_ANSWER: &str = "waiting for the answer";

/// How a call is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallOptions {
    /// How long the whole call may take.
    pub(crate) deadline: Duration,
    /// Whether executing it twice does no harm: then it is sent again after a loss.
    pub(crate) idempotent: bool,
}

/// The session behind all the clones of a client.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) lifeline: Arc<Lifeline>,
    /// What the server said at the last login.
    info: Arc<Mutex<SessionInfo>>,
    /// The runtime that the session lives on.
    runtime: Handle,
    calls: Semaphore,
    bytes: Arc<Semaphore>,
}

impl Session {
    /// Connects, logs in, and from then on keeps a connection. To be awaited on the runtime.
    /// `random` spreads the waits between attempts.
    ///
    /// # Errors
    ///
    /// Why the first attempt failed.
    pub(crate) async fn open(settings: Settings, random: StdRng) -> Result<Self> {
        let settings = Arc::new(settings);
        let limits = settings.config.limits;
        let backoff = Backoff::new(settings.config.reconnect, random);
        let lifeline = Arc::new(Lifeline::new(backoff));
        let opened = login::open(&settings, &lifeline).await?;
        let connection = Arc::new(opened.connection);
        lifeline.ready(connection.clone());
        let info = Arc::new(Mutex::new(opened.info));
        let runtime = Handle::current();
        runtime.spawn(driver::drive(
            settings.clone(),
            lifeline.clone(),
            info.clone(),
            connection,
        ));
        Ok(Self {
            settings,
            lifeline,
            info,
            runtime,
            calls: Semaphore::new(limits.calls_in_flight),
            bytes: Arc::new(Semaphore::new(limits.bytes_in_flight)),
        })
    }

    pub(crate) fn info(&self) -> SessionInfo {
        lock(&self.info).clone()
    }

    pub(crate) fn default_deadline(&self) -> Duration {
        self.settings.config.deadlines.call
    }

    pub(crate) fn states(&self) -> StateStream {
        self.lifeline.states()
    }

    pub(crate) fn reconnect_now(&self) {
        self.lifeline.reconnect_now();
    }

    /// Calls a method. The deadline covers everything: waiting for a turn, reconnecting, the
    /// answer.
    pub(crate) async fn call(
        &self,
        method: &str,
        payload: Option<Bytes>,
        options: CallOptions,
    ) -> Result<Option<Bytes>> {
        runtime::check()?;
        let deadline = runtime::instant_after(options.deadline);
        let call = Call {
            session: self,
            method: method.into(),
            payload,
            idempotent: options.idempotent,
            deadline,
            sent: AtomicBool::new(false),
        };
        let timer = self.timer(deadline);
        tokio::select! {
           biased;
            result = call.run() => result,
            () = timer => {
                let sent = call.sent.load(Ordering::Relaxed);
                let activity = if sent { WAITING_FOR_THE_ANSWER } else { WAITING_FOR_A_TURN };
                Err(Error::DeadlineExceeded { activity, maybe_executed: sent })
            }
        }
    }

    /// Resolves at `moment`. Only making a timer needs the runtime; any executor may poll it.
    fn timer(&self, moment: Instant) -> tokio::time::Sleep {
        let _runtime = self.runtime.enter();
        tokio::time::sleep_until(moment)
    }

    /// Room for a payload among the bytes in flight; one larger than all the room takes it all.
    async fn room(&self, payload: Option<&Bytes>) -> Result<Option<OwnedSemaphorePermit>> {
        let Some(payload) = payload else {
            return Ok(None);
        };
        let bytes = payload
            .len()
            .min(self.settings.config.limits.bytes_in_flight);
        // The limit was checked to fit 32 bits.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = self.bytes.clone().acquire_many_owned(bytes).await;
        room.map(Some).map_err(|_| shut_down(false))
    }

    /// Closes the connection; everything waiting and everything later fails with `ShutDown`.
    pub(crate) async fn shutdown(&self) {
        // In a forked child there is no thread that would close anything.
        if runtime::check().is_err() {
            return;
        }
        self.lifeline.stop();
        self.lifeline.stopped().await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // In a forked child a thread that does not exist there may hold the locks.
        if !runtime::is_forked() {
            self.lifeline.stop();
        }
    }
}

/// One call on its way, over as many connections as it takes.
struct Call<'a> {
    session: &'a Session,
    method: Arc<str>,
    payload: Option<Bytes>,
    idempotent: bool,
    deadline: Instant,
    /// Whether the request may have reached the server.
    sent: AtomicBool,
}

impl Call<'_> {
    async fn run(&self) -> Result<Option<Bytes>> {
        let session = self.session;
        session.lifeline.check()?;
        // Neither semaphore is ever closed.
        let turn = session.calls.acquire().await;
        let _turn = turn.map_err(|_| shut_down(false))?;
        // Whether an earlier connection was lost with this request on it.
        let mut lost = false;
        loop {
            let connection = session
                .lifeline
                .connection()
                .await
                .map_err(|error| match error {
                    Error::ShutDown { .. } => shut_down(lost),
                    other => other,
                })?;
            let (answer, waiting) = oneshot::channel();
            let outgoing = Outgoing {
                method: self.method.clone(),
                room: session.room(self.payload.as_ref()).await?,
                payload: self.payload.clone(),
                timestamp: None,
                answer,
            };
            let taken = connection.send(outgoing).await;
            self.sent.store(lost || taken, Ordering::Relaxed);
            let answer = if taken { waiting.await.ok() } else { None };
            match answer {
                Some(Answer::Ok(payload)) => return Ok(payload),
                Some(Answer::Failed(Error::ConnectionLost { .. })) if self.idempotent => {
                    lost = true;
                }
                Some(Answer::Failed(error @ Error::RateLimited { .. })) => {
                    self.wait_out(error).await?;
                }
                Some(Answer::Failed(Error::ShutDown { maybe_executed })) => {
                    return Err(shut_down(lost || maybe_executed));
                }
                Some(Answer::Failed(error)) => return Err(error),
                Some(Answer::Unsent) => {}
                // A task that is gone without a word, or takes nothing although it has not ended:
                // it cannot be but by a defect.
                None if taken || connection.takes_requests() => {
                    return Err(shut_down(lost || taken));
                }
                None => {}
            }
            self.sent.store(lost, Ordering::Relaxed);
        }
    }

    /// Waits for as long as the server asks, if the call may be sent again and its deadline allows
    /// that; else gives the error back. A request that was answered `RATE_LIMITED` was not
    /// executed (docs/protocol.md, section 5).
    async fn wait_out(&self, error: Error) -> Result<()> {
        let Error::RateLimited {
            retry_after_seconds: Some(seconds),
            ..
        } = error
        else {
            return Err(error);
        };
        let again = runtime::instant_after(Duration::from_secs(seconds));
        if !self.idempotent || again >= self.deadline {
            return Err(error);
        }
        tokio::select! {
           biased;
            _ = self.session.lifeline.clone().over() => Ok(()),
            () = self.session.timer(again) => Ok(()),
        }
    }
}

fn shut_down(maybe_executed: bool) -> Error {
    Error::ShutDown { maybe_executed }
}

fn lock(info: &Mutex<SessionInfo>) -> MutexGuard<'_, SessionInfo> {
    // Nothing panics while it is held; were it so, it would still be whole.
    info.lock().unwrap_or_else(PoisonError::into_inner)
}
