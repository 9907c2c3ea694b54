//! Noticing that the machine has slept.
//!
//! While a machine sleeps, the network goes away without a word and the timers of most systems
//! stand still: the wall clock goes on and the monotonic clock does not. A wall clock that is
//! suddenly ahead therefore means sleep, or a clock that was set; both are rare, and all that
//! follows is a question to the server whether it is still there.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// How often the clocks are compared, and so how long a sleep may go unnoticed after its end.
const STEP: Duration = Duration::from_secs(5);

/// By how much the clocks may differ after one step without a sleep: corrections of the wall
/// clock are smaller, and no middlebox forgets a connection within that time.
const TOLERANCE: Duration = Duration::from_secs(10);

/// Tells the wall clock's time.
#[derive(Clone)]
pub(crate) struct Wall(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Wall {
    /// The clock of the system.
    pub(crate) fn system() -> Self {
        Self::new(SystemTime::now)
    }

    pub(crate) fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Resolves when the machine has slept.
    pub(crate) async fn slept(&self) {
        loop {
            let (wall, monotonic) = ((self.0)(), Instant::now());
            tokio::time::sleep(STEP).await;
            // A wall clock that was set back says nothing about sleep.
            let wall = (self.0)().duration_since(wall).unwrap_or_default();
            let late = wall.saturating_sub(monotonic.elapsed());
            // Where the monotonic clock goes on during sleep, it is the timer that comes late.
            let overslept = monotonic.elapsed().saturating_sub(STEP);
            if late.max(overslept) > TOLERANCE {
                tracing::info!(seconds = late.max(overslept).as_secs(), "the machine slept");
                return;
            }
        }
    }
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A wall clock that goes with the test's clock, and the hand that sets it ahead.
    fn wall() -> (Wall, Arc<Mutex<Duration>>) {
        let ahead = Arc::new(Mutex::new(Duration::from_secs(1_000)));
        let (hand, start) = (ahead.clone(), Instant::now());
        let wall =
            Wall::new(move || SystemTime::UNIX_EPOCH + *ahead.lock().unwrap() + start.elapsed());
        (wall, hand)
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_is_noticed_within_a_step_of_its_end() {
        let (wall, hand) = wall();
        let watch = tokio::spawn(async move { wall.slept().await });
        tokio::time::sleep(STEP * 3 + STEP / 2).await;
        assert!(!watch.is_finished(), "nothing had happened yet");
        *hand.lock().unwrap() += TOLERANCE * 2;
        tokio::time::timeout(STEP, watch).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn small_corrections_and_a_clock_set_back_are_no_sleep() {
        let (wall, hand) = wall();
        let watch = tokio::spawn(async move { wall.slept().await });
        for step in 0..10 {
            tokio::time::sleep(STEP).await;
            let mut ahead = hand.lock().unwrap();
            *ahead = if step == 5 {
                ahead.saturating_sub(Duration::from_secs(500))
            } else {
                *ahead + TOLERANCE / 4
            };
        }
        assert!(!watch.is_finished());
    }
}
