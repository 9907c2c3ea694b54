//! How long to wait before the next attempt: exponential back-off with full jitter.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::config::Reconnect;

/// The longest wait that a server may ask for: an hour, more than any rate limit means. A greater
/// number is a mistake, and must not stop a client for good.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// The back-off of one client.
///
/// The wait before attempt n is drawn evenly from zero to `initial_delay` × 2^(n-1), but at most
/// `max_delay`: that spreads the clients that one restart of a server has thrown off, and does it
/// better than waits with a smaller random part.
#[derive(Debug)]
pub(crate) struct Backoff {
    settings: Reconnect,
    random: StdRng,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(settings: Reconnect, random: StdRng) -> Self {
        Self {
            settings,
            random,
            attempts: 0,
        }
    }

    /// The number of the next attempt, from 1 on, and the wait before it. `at_least`: what the
    /// server asked for; it goes before `max_delay`.
    pub(crate) fn next(&mut self, at_least: Duration) -> (u32, Duration) {
        let doubled = 2u32.checked_pow(self.attempts).unwrap_or(u32::MAX);
        let initial = self.settings.initial_delay;
        let most = initial.saturating_mul(doubled).min(self.settings.max_delay);
        self.attempts = self.attempts.saturating_add(1);
        let delay = most.mul_f64(self.random.random());
        (self.attempts, delay.max(at_least))
    }

    /// Starts again from the first attempt if the connection that just ended was a stable one.
    pub(crate) fn note_connection(&mut self, lasted: Duration) {
        if lasted >= self.settings.stable_after {
            self.reset();
        }
    }

    /// Starts again from the first attempt.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const SETTINGS: Reconnect = Reconnect {
        initial_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(3),
        stable_after: Duration::from_secs(60),
    };

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(SETTINGS, StdRng::seed_from_u64(seed))
    }

    /// The longest wait before each attempt that many clients were given.
    fn longest(attempts: usize) -> Vec<Duration> {
        let mut longest = vec![Duration::ZERO; attempts];
        for seed in 0..2_000 {
            let mut backoff = backoff(seed);
            for longest in &mut longest {
                *longest = backoff.next(Duration::ZERO).1.max(*longest);
            }
        }
        longest
    }

    #[test]
    fn the_waits_double_up_to_the_cap_and_are_spread_evenly_below() {
        let bounds = [100, 200, 400, 800, 1600, 3000, 3000].map(Duration::from_millis);
        for (longest, bound) in longest(bounds.len()).into_iter().zip(bounds) {
            assert!(longest <= bound, "{longest:?} > {bound:?}");
            // Of 2 000 even draws the greatest is within a hundredth of the bound.
            assert!(longest > bound.mul_f64(0.99), "{longest:?} for {bound:?}");
        }
        let mean: Duration = (0..2_000)
            .map(|seed| backoff(seed).next(Duration::ZERO).1)
            .sum::<Duration>()
            / 2_000;
        let middle = Duration::from_millis(47)..Duration::from_millis(53);
        assert!(middle.contains(&mean), "{mean:?}");
    }

    #[test]
    fn the_server_may_ask_for_a_longer_wait_than_the_cap() {
        let asked = Duration::from_secs(120);
        assert_eq!(backoff(1).next(asked), (1, asked));
    }

    #[test]
    fn only_a_stable_connection_starts_the_count_again() {
        let mut backoff = backoff(1);
        for number in 1..100 {
            assert_eq!(backoff.next(Duration::ZERO).0, number);
        }
        backoff.note_connection(SETTINGS.stable_after - Duration::from_millis(1));
        assert_eq!(backoff.next(Duration::ZERO).0, 100);
        backoff.note_connection(SETTINGS.stable_after);
        assert_eq!(backoff.next(Duration::ZERO).0, 1);
    }
}
