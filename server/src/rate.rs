//! Rates, as an administrator writes them, and the limiters that keep to them.

use std::{
    fmt,
    hash::Hash,
    num::NonZeroU32,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};
use lru::LruCache;

/// Most that a rate may grant, in a unit of time or at once: beyond it nothing is limited.
const MAX_COUNT: u32 = 1_000_000;

/// Peers that one limiter remembers; the one that was quiet for the longest is forgotten first, and
/// has its whole burst again. Each takes some 100 bytes. Whoever commands more addresses than this
/// is not to be stopped by a rate per address.
const MAX_PEERS: usize = 65_536;

/// What a setting of a rate must look like.
const EXPECTED: &str = "a rate such as `20/s`, `20/s burst 100`, `10/m` or `5/h`, or `off`, is \
                        expected, with numbers from 1 to 1000000";

/// How often one peer may do something: so many in a unit of time, evenly spread, and beyond that
/// a burst after a quiet time. Written `20/s burst 100`; without `burst`, the burst is the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    unit: Unit,
    burst: NonZeroU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
        }
    }

    fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }
}

impl Rate {
    /// So many in a second, and so many at once.
    ///
    /// # Panics
    /// When a number is zero.
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self {
            count: NonZeroU32::new(count).expect("a rate is not zero"),
            unit: Unit::Second,
            burst: NonZeroU32::new(burst).expect("a burst is not zero"),
        }
    }

    fn quota(self) -> Option<Quota> {
        let between = self.unit.duration() / self.count.get();
        Some(Quota::with_period(between)?.allow_burst(self.burst))
    }
}

/// A rate, or none: the setting `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit(pub Option<Rate>);

impl fmt::Display for RateLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(formatter, "off"),
            Some(Rate { count, unit, burst }) => {
                write!(formatter, "{count}/{} burst {burst}", unit.letter())
            }
        }
    }
}

impl FromStr for RateLimit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        let mut words = text.split_whitespace();
        let (count, unit) = words
            .next()
            .and_then(|word| word.split_once('/'))
            .ok_or(EXPECTED)?;
        let count = number(count)?;
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(EXPECTED),
        };
        let burst = match (words.next(), words.next(), words.next()) {
            (None, ..) => count,
            (Some("burst"), Some(burst), None) => number(burst)?,
            _ => return Err(EXPECTED),
        };
        Ok(Self(Some(Rate { count, unit, burst })))
    }
}

fn number(text: &str) -> Result<NonZeroU32, &'static str> {
    let number: NonZeroU32 = text.parse().map_err(|_| EXPECTED)?;
    if number.get() > MAX_COUNT {
        return Err(EXPECTED);
    }
    Ok(number)
}

type Governor<K, C> = RateLimiter<K, States<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Keeps every peer, told apart by a key, to one rate. Its memory is bounded: see [`MAX_PEERS`].
pub(crate) struct Limiter<K: Hash + Eq + Clone, C: Clock = MonotonicClock> {
    /// `None`: nothing is limited.
    limiter: Option<Governor<K, C>>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self::with_clock(limit, MonotonicClock)
    }
}

impl<K: Hash + Eq + Clone, C: Clock> Limiter<K, C> {
    fn with_clock(limit: RateLimit, clock: C) -> Self {
        let quota = limit.0.and_then(Rate::quota);
        let states = || States(Mutex::new(LruCache::unbounded()));
        Self {
            limiter: quota.map(|quota| RateLimiter::new(quota, states(), clock)),
        }
    }

    /// Counts something that the peer wants to do, if its rate allows it; else tells after which
    /// time it does.
    pub(crate) fn check(&self, peer: &K) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        limiter
            .check_key(peer)
            .map_err(|until| until.wait_time_from(limiter.clock().now()))
    }
}

/// The state of each peer, of which the least recently used goes when there are too many.
struct States<K: Hash + Eq>(Mutex<LruCache<K, Nanos>>);

impl<K: Hash + Eq + Clone> StateStore for States<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // Whole at any moment, so a panic of another thread has left it usable.
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, state) = decide(states.get(key).copied())?;
        states.put(key.clone(), state);
        if states.len() > MAX_PEERS {
            states.pop_lru();
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for text in ["off", "500/s burst 5000", "1/m burst 1", "7/h burst 2"] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), text);
        }
        assert_eq!(
            "20/s".parse(),
            Ok(RateLimit(Some(Rate::per_second(20, 20))))
        );
        for text in [
            "",
            "on",
            "20",
            "20/d",
            "0/s",
            "-1/s",
            "1000001/s",
            "1/s burst",
            "1/s burst 0",
            "1/s 5",
            "1/s burst 5 6",
            "s/1",
        ] {
            assert!(text.parse::<RateLimit>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_peer_has_a_burst_and_then_its_rate() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::with_clock("2/s burst 3".parse().unwrap(), clock.clone());
        for peer in ["a", "b"] {
            for _ in 0..3 {
                assert_eq!(limiter.check(&peer), Ok(()));
            }
            assert_eq!(limiter.check(&peer), Err(Duration::from_millis(500)));
        }
        clock.advance(Duration::from_millis(500));
        assert_eq!(limiter.check(&"a"), Ok(()));
        assert!(limiter.check(&"a").is_err());
    }

    #[test]
    fn off_limits_nothing() {
        let limiter = Limiter::new(RateLimit(None));
        for _ in 0..10_000 {
            assert_eq!(limiter.check(&1), Ok(()));
        }
    }

    #[test]
    fn more_peers_than_the_bound_push_out_the_one_that_was_quiet_longest() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::with_clock("1/h".parse().unwrap(), clock);
        for peer in 0..=MAX_PEERS {
            assert_eq!(limiter.check(&peer), Ok(()));
        }
        assert!(limiter.check(&MAX_PEERS).is_err());
        assert!(limiter.check(&0).is_ok(), "forgotten");
        let States(states) = limiter.limiter.unwrap().into_state_store();
        assert_eq!(states.into_inner().unwrap().len(), MAX_PEERS);
    }
}
