//! Fixed send times.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// When a call is due, and whether it is measured.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) at: Instant,
    pub(crate) counts: bool,
}

/// Tells each call when it is due. A thread of its own sleeps until then, since tokio's timers
/// know whole milliseconds only. The channel ends with the time.
pub(crate) fn start(
    rate: f64,
    warmup: Duration,
    measured: Duration,
) -> mpsc::UnboundedReceiver<Planned> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let start = Instant::now();
    let (begin, end) = (start + warmup, start + warmup + measured);
    thread::spawn(move || {
        for number in 0_u32.. {
            let at = start + Duration::from_secs_f64(f64::from(number) / rate);
            if at >= end {
                return;
            }
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let counts = at >= begin;
            // Nobody listens after a failed call.
            if sender.send(Planned { at, counts }).is_err() {
                return;
            }
        }
    });
    receiver
}
