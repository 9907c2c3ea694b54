//! One client's session: logging in, the connection in use, the calls' way through it, the move to
//! a fresh connection when a key is used up, and the latch of an integrity breach.

mod lifeline;
mod login;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::{Semaphore, oneshot};

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
    current: Arc<Mutex<Current>>,
    calls: Semaphore,
    bytes: Arc<Semaphore>,
}

/// What changes when the client moves to a fresh connection.
#[derive(Debug)]
struct Current {
    connection: Arc<Connection>,
    /// What the server said at the login.
    info: SessionInfo,
    /// The move that is under way, for all who wait for it. It is nobody's own: a call that gives
    /// up does not stop it.
    moving: Option<Move>,
}

type Move = Shared<BoxFuture<'static, Result<Arc<Connection>>>>;

impl Session {
    /// Connects and logs in.
    pub(crate) async fn open(settings: Settings) -> Result<Self> {
        let settings = Arc::new(settings);
        let lifeline = Arc::new(Lifeline::new());
        let limits = settings.config.limits;
        let (connection, info) = login::open(&settings, &lifeline).await?;
        let connection = Arc::new(connection);
        Ok(Self {
            settings,
            lifeline,
            current: Arc::new(Mutex::new(Current {
                connection,
                info,
                moving: None,
            })),
            calls: Semaphore::new(limits.calls_in_flight),
            bytes: Arc::new(Semaphore::new(limits.bytes_in_flight)),
        })
    }

    pub(crate) fn info(&self) -> SessionInfo {
        lock(&self.current).info.clone()
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
            tokio::time::sleep_until(runtime::instant_after(deadline))
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
            match connection.send(outgoing).await {
                Ok(()) => queued.store(true, Ordering::Relaxed),
                Err(End::Closed) if connection.is_spent() => continue,
                Err(end) => return Err(end.error(false)),
            }
            match waiting.await {
                Ok(Answer::Ok(payload)) => return Ok(payload),
                Ok(Answer::Failed(error)) => return Err(error),
                Ok(Answer::Unsent) => queued.store(false, Ordering::Relaxed),
                // The task of the connection is gone without a word: it cannot be but by a defect.
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
        let moving = {
            let mut current = lock(&self.current);
            if !current.connection.is_spent() {
                return Ok(current.connection.clone());
            }
            match &current.moving {
                Some(moving) => moving.clone(),
                None => current.moving.insert(self.start_moving()?).clone(),
            }
        };
        moving.await
    }

    /// Opens a fresh connection and puts it in the current one's place.
    fn start_moving(&self) -> Result<Move> {
        let settings = self.settings.clone();
        let lifeline = self.lifeline.clone();
        let current = self.current.clone();
        let task = runtime::handle()?.spawn(async move {
            let opened = login::open(&settings, &lifeline).await;
            let mut current = lock(&current);
            current.moving = None;
            let (connection, info) = opened?;
            current.connection = Arc::new(connection);
            // What this client's own connecting did stays true.
            let is_activated_now = current.info.is_activated_now;
            current.info = SessionInfo {
                is_activated_now,
                ..info
            };
            Ok(current.connection.clone())
        });
        // The task neither panics nor is aborted.
        let moved = task.map(|joined| {
            joined.unwrap_or(Err(Error::ShutDown {
                maybe_executed: false,
            }))
        });
        Ok(moved.boxed().shared())
    }

    /// Closes the connection; everything waiting and everything later fails with `ShutDown`.
    pub(crate) async fn shutdown(&self) {
        // In a forked child there is no thread that would close anything.
        if runtime::handle().is_err() {
            return;
        }
        self.lifeline.stop();
        self.lifeline.stopped().await;
    }
}

fn lock(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    // Nothing panics while it is held; were it so, its parts would still be whole.
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.lifeline.stop();
    }
}
