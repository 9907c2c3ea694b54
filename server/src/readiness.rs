//! Whether the store answers, asked of it no more than once a second.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How long an answer holds: a load balancer asks every few seconds, and what strangers ask beyond
/// that costs the database nothing.
const HOLDS: Duration = Duration::from_secs(1);

/// The last answer, shared by all who ask.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    /// The last answer if it still holds, or else what `check` says. One check goes on at a time;
    /// who asks meanwhile gets its answer.
    pub(crate) async fn of(&self, check: impl Future<Output = bool>) -> bool {
        let mut last = self.0.lock().await;
        match *last {
            Some((at, ready)) if at.elapsed() < HOLDS => ready,
            _ => {
                let ready = check.await;
                *last = Some((Instant::now(), ready));
                ready
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_check() {
        let (readiness, checks) = (Readiness::default(), AtomicU32::new(0));
        let check = || async {
            tokio::task::yield_now().await;
            checks.fetch_add(1, Ordering::Relaxed) > 0
        };
        let answers = join_all((0..1_000).map(|_| readiness.of(check()))).await;
        assert_eq!(answers, vec![false; 1_000]);
        assert_eq!(checks.load(Ordering::Relaxed), 1);
        // Once it is too old, the store is asked again.
        if let Some((at, _)) = readiness.0.lock().await.as_mut() {
            *at = at.checked_sub(HOLDS).unwrap();
        }
        assert!(readiness.of(check()).await);
    }
}
