//! Measures a download, and tells how far it is.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::update::UpdateProgress;

/// How often progress is told at most: what a person can follow.
pub(super) const PACE: Duration = Duration::from_millis(100);

/// The time that the speed is the mean of: long enough to be readable, short enough to follow the
/// network.
const WINDOW: Duration = Duration::from_secs(3);

/// Tells the progress of one download.
#[derive(Debug)]
pub(super) struct Teller {
    sender: watch::Sender<Option<UpdateProgress>>,
    told: Option<Instant>,
    /// When how many bytes had come by the network, the oldest first.
    samples: VecDeque<(Instant, u64)>,
    received: u64,
}

impl Teller {
    pub(super) fn new(sender: watch::Sender<Option<UpdateProgress>>) -> Self {
        Self {
            sender,
            told: None,
            samples: VecDeque::new(),
            received: 0,
        }
    }

    /// Notes bytes that came by the network.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// Tells where the download is, unless it was told a moment ago.
    pub(super) fn tell(&mut self, bytes: u64, total: u64) {
        if self.told.is_none_or(|told| told.elapsed() >= PACE) {
            self.tell_now(bytes, total);
        }
    }

    /// Tells where the download is.
    pub(super) fn tell_now(&mut self, bytes: u64, total: u64) {
        let now = Instant::now();
        self.told = Some(now);
        let bytes_per_second = self.speed(now);
        self.sender.send_replace(Some(UpdateProgress {
            bytes,
            total,
            bytes_per_second,
        }));
    }

    fn speed(&mut self, now: Instant) -> u64 {
        self.samples.push_back((now, self.received));
        // The newest sample that is a window old stays: the mean is over the whole window.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now - *at >= WINDOW)
        {
            self.samples.pop_front();
        }
        let Some((since, before)) = self.samples.front() else {
            return 0;
        };
        let milliseconds = u64::try_from((now - *since).as_millis()).unwrap_or(u64::MAX);
        let received = self.received - before;
        received
            .saturating_mul(1000)
            .checked_div(milliseconds)
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::ProgressStream;

    #[tokio::test(start_paused = true)]
    async fn the_speed_is_that_of_the_last_seconds() {
        let (sender, receiver) = watch::channel(None);
        let mut teller = Teller::new(sender);
        let mut progress = ProgressStream::new(receiver);
        teller.tell_now(500, 100_000);
        let first = progress.next().await.unwrap();
        assert_eq!((first.bytes, first.bytes_per_second), (500, 0));
        for step in 1..=100 {
            tokio::time::advance(PACE).await;
            // 1,000 bytes a second at first, 5,000 later.
            teller.received(if step <= 50 { 100 } else { 500 });
            teller.tell(500, 100_000);
            let told = progress.next().await.unwrap();
            if step == 50 {
                assert_eq!(told.bytes_per_second, 1_000);
            }
            if step == 100 {
                assert_eq!(told.bytes_per_second, 5_000);
            }
        }
        drop(teller);
        assert_eq!(progress.next().await, None);
    }
}
