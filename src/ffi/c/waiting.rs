//! Waiting on the calling thread.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

/// Runs `future` to its end on this thread.
pub(super) fn block_on<T>(mut future: Pin<&mut dyn Future<Output = T>>) -> T {
    loop {
        if let Some(output) = wait(future.as_mut(), None) {
            return output;
        }
    }
}

/// Runs `future` on this thread for `patience` (none: to its end); `None` when it is not done then.
pub(super) fn wait<T>(
    mut future: Pin<&mut dyn Future<Output = T>>,
    patience: Option<Duration>,
) -> Option<T> {
    // A patience beyond what the clock can tell is for ever.
    let end = patience.and_then(|patience| Instant::now().checked_add(patience));
    WAKER.with(|waker| {
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            match end {
                None => thread::park(),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    thread::park_timeout(left);
                }
            }
        }
    })
}
