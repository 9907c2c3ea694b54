//! The task that keeps a session alive: it moves to a fresh connection before a key is used up, and
//! reconnects with back-off when the connection is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::hurry::Wishes;
use super::login::{self, Settings};
use super::{Lifeline, SessionInfo, lock};
use crate::connection::{Connection, Over};
use crate::error::Error;

/// Keeps the session alive until the client is finished, `connection` being the first one.
pub(super) async fn drive(
    settings: Arc<Settings>,
    lifeline: Arc<Lifeline>,
    info: Arc<Mutex<SessionInfo>>,
    connection: Arc<Connection>,
) {
    let _finish = Finish(lifeline.clone());
    let over = lifeline.clone().over();
    tokio::select! {
       biased;
        _ = over => {}
        () = keep(&settings, &lifeline, &info, connection) => {}
    }
}

/// Finishes the client with its task: the end of the application's runtime drops that where it stands.
struct Finish(Arc<Lifeline>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.stop();
    }
}

async fn keep(
    settings: &Settings,
    lifeline: &Arc<Lifeline>,
    info: &Mutex<SessionInfo>,
    mut connection: Arc<Connection>,
) {
    loop {
        let since = Instant::now();
        let mut wishes = lifeline.wishes();
        let mut delay = match connection.over().await {
            // The calls in flight end on it; the state stays as it is unless the move fails.
            Over::Spent => None,
            Over::Lost(error) => {
                wishes.forget_old();
                Some(lifeline.lost(error, since))
            }
            Over::Finished => return,
        };
        let opened = loop {
            if let Some(delay) = delay {
                wait(delay, settings, lifeline, &mut wishes).await;
                lifeline.connecting();
            }
            match login::open(settings, lifeline).await {
                Ok(opened) => break opened,
                Err(error) if is_refusal(&error) => {
                    // What is in flight on a connection that only its key ended gets its answers.
                    let patience = settings.config.deadlines.call;
                    let _ = tokio::time::timeout(patience, connection.idle()).await;
                    return lifeline.refuse(&error);
                }
                Err(_) if lifeline.check().is_err() => return,
                Err(error) => delay = Some(lifeline.attempt_failed(error)),
            }
        };
        store(info, opened.info);
        connection = Arc::new(opened.connection);
        lifeline.ready(connection.clone());
    }
}

/// Takes over what the server said at a new login.
fn store(info: &Mutex<SessionInfo>, facts: SessionInfo) {
    let mut info = lock(info);
    // What this client's own connecting did stays true.
    let is_activated_now = info.is_activated_now;
    *info = SessionInfo {
        is_activated_now,
        ..facts
    };
}

/// Waits before an attempt, unless the host or the end of the machine's sleep says that it is
/// worth trying now.
async fn wait(delay: Duration, settings: &Settings, lifeline: &Lifeline, wishes: &mut Wishes) {
    tokio::select! {
        biased;
        () = tokio::time::sleep(delay) => {}
        () = wishes.next() => {}
        () = settings.wall.slept() => lifeline.woke_up(),
    }
    // A wish that comes during the attempt, or shortly before the loss was noticed, ends the next wait.
    wishes.forget();
}

/// Whether a login that failed so would fail again (docs/protocol.md, section 5). A status that
/// this version does not know is taken for a refusal: trying again for ever would hide it from
/// the user.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::OutdatedVersion { .. }
            | Error::KeyBoundToAnotherDevice { .. }
            | Error::LicenseNotFound { .. }
            | Error::LicenseExpired { .. }
            | Error::LicenseSuspended { .. }
            | Error::BadRequest { .. }
            | Error::UnknownMethod { .. }
            | Error::UnknownStatus { .. }
    )
}
