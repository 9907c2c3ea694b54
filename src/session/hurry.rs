//! The host's wishes to reconnect now.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::PROBE_DEADLINE;

/// For how long a wish may be about a loss that comes after it: the connection that it found open was
/// asked for a sign of life, and is given up [`PROBE_DEADLINE`] later; twice that, for a machine that is
/// busy.
const FRESH: Duration = PROBE_DEADLINE.saturating_mul(2);

/// Takes the wishes.
#[derive(Debug)]
pub(super) struct Hurry(watch::Sender<Option<Instant>>);

impl Hurry {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// The host wants to reconnect now.
    pub(super) fn wish(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    /// The wishes that come after this call.
    pub(super) fn wishes(&self) -> Wishes {
        Wishes(self.0.subscribe())
    }
}

/// The wishes since a moment.
#[derive(Debug)]
pub(super) struct Wishes(watch::Receiver<Option<Instant>>);

impl Wishes {
    /// The connection was lost: forgets a wish of long before. Else all the clients whose hosts have ever
    /// had one would come back at the same moment when a server restarts.
    pub(super) fn forget_old(&mut self) {
        let last = *self.0.borrow();
        if last.is_some_and(|wish| wish.elapsed() > FRESH) {
            self.forget();
        }
    }

    /// Forgets the wishes so far.
    pub(super) fn forget(&mut self) {
        self.0.mark_unchanged();
    }

    /// Resolves when there is a wish that was not forgotten.
    pub(super) async fn next(&mut self) {
        // The sender lives as long as the lifeline.
        let _ = self.0.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wish_of_long_before_the_loss_is_none() {
        let hurry = Hurry::new();
        let mut wishes = hurry.wishes();
        hurry.wish();
        advance(FRESH + Duration::from_millis(1)).await;
        wishes.forget_old();
        assert!(wishes.next().now_or_never().is_none());
        hurry.wish();
        assert!(wishes.next().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_before_the_loss_was_noticed_counts() {
        let hurry = Hurry::new();
        let mut wishes = hurry.wishes();
        hurry.wish();
        advance(PROBE_DEADLINE).await;
        wishes.forget_old();
        assert!(wishes.next().now_or_never().is_some());
    }
}
