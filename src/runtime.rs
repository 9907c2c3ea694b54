//! The internal tokio runtime: one thread of its own, so that the client works under any
//! executor, or none.
//!
//! It is process-wide and never dropped: connections of all clients share one I/O thread, which
//! measured faster than several (docs/adr/0003). Threads do not survive `fork`, so the children of the
//! process that started the runtime get a clear error instead of a hang.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::{Error, Result};

/// How long [`halt`] waits for the I/O thread to come to rest. The thread never blocks, so this
/// only bounds the damage of a defect: the end of a process must not hang.
const HALT_DEADLINE: Duration = Duration::from_secs(2);

static RUNTIME: OnceCell<Handle> = OnceCell::new();
static HALTED: AtomicBool = AtomicBool::new(false);
/// This process is a child of the one that started the runtime. Set by the fork itself: to ask the
/// system for the process's id would cost each call a system call.
static FORKED: AtomicBool = AtomicBool::new(false);

/// The runtime's handle, started at the first use.
///
/// # Errors
///
/// [`Error::Forked`] in a child of the process that started it, [`Error::ShutDown`] after
/// [`halt`], [`Error::State`] when the system gives no thread.
pub(crate) fn handle() -> Result<&'static Handle> {
    check()?;
    RUNTIME.get_or_try_init(start)
}

/// The runtime for a client: the application's own, where it was given, else [`handle`].
///
/// # Errors
///
/// As [`handle`].
pub(crate) fn choose(own: Option<&Handle>) -> Result<Handle> {
    match own {
        Some(own) => check().and_then(|()| notice_forks()).map(|()| own.clone()),
        None => handle().cloned(),
    }
}

/// Whether the runtime may be used by this process.
///
/// # Errors
///
/// [`Error::Forked`] in a child of the process that started it, [`Error::ShutDown`] after
/// [`halt`].
pub(crate) fn check() -> Result<()> {
    if HALTED.load(Ordering::Acquire) {
        return Err(Error::ShutDown {
            maybe_executed: false,
        });
    }
    if is_forked() {
        return Err(Error::Forked);
    }
    Ok(())
}

fn start() -> Result<Handle> {
    let refused = |error: std::io::Error| Error::State {
        detail: format!("the system refused to start the I/O thread: {error}"),
    };
    // Before the thread: a fork in between must not go unnoticed, nor a failure leave a thread behind.
    notice_forks()?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(refused)?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("skyline-io".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .map_err(refused)?;
    Ok(handle)
}

/// Has [`FORKED`] set in the children of this process.
#[cfg(unix)]
fn notice_forks() -> Result<()> {
    static NOTICED: OnceCell<()> = OnceCell::new();
    extern "C" fn note() {
        FORKED.store(true, Ordering::Relaxed);
    }
    NOTICED.get_or_try_init(|| register(note)).copied()
}

#[cfg(unix)]
fn register(note: unsafe extern "C" fn()) -> Result<()> {
    // SAFETY: the function only stores to an atomic, which a child may do after a fork.
    match unsafe { libc::pthread_atfork(None, None, Some(note)) } {
        0 => Ok(()),
        // Out of memory is its only failure.
        code => Err(Error::State {
            detail: format!(
                "forks cannot be noticed: {}",
                std::io::Error::from_raw_os_error(code)
            ),
        }),
    }
}

/// Processes do not fork here.
#[cfg(not(unix))]
fn notice_forks() -> Result<()> {
    Ok(())
}

/// Whether this process is a fork of the one that has the runtime's thread.
pub(crate) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Runs `work` on a runtime and gives its result; dropping the returned future aborts it.
pub(crate) async fn run<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let task = AbortOnDrop(runtime.spawn(work));
    match task.await {
        Ok(result) => result,
        // A panic of `work`, an abort, or the end of the application's runtime.
        Err(_) => Err(Error::ShutDown {
            maybe_executed: true,
        }),
    }
}

/// Runs `work`, which may block, on a thread made for that. To be awaited on the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::ShutDown {
            maybe_executed: true,
        }),
    }
}

/// The moment after `time` has passed, or in 30 years if that is sooner: the clock cannot tell
/// moments as far as [`Duration::MAX`], which some use for "never".
pub(crate) fn instant_after(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    Instant::now() + time.min(FAR)
}

/// A task that ends when nobody waits for it any more.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = std::result::Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Brings the I/O thread to rest for good; see [`crate::ffi::halt`].
pub(crate) fn halt() {
    if HALTED.swap(true, Ordering::AcqRel) {
        return;
    }
    let Some(runtime) = RUNTIME.get() else { return };
    if is_forked() {
        return;
    }
    let (at_rest, rest) = mpsc::channel();
    runtime.spawn(async move {
        let _ = at_rest.send(());
        // Blocks the only thread of the runtime on purpose: no task runs and no waker is called
        // from here on.
        loop {
            thread::park();
        }
    });
    let _ = rest.recv_timeout(HALT_DEADLINE);
}
