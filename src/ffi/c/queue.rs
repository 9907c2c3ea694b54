//! Completion queues: many calls handed over at once, their ends collected at once.
//!
//! One task per queue goes on with all its calls, on the runtime's thread: a batch costs one wake-up
//! of that thread, and what is answered together wakes the host once. A small call that comes alone
//! is begun on the host's thread, and costs none.

mod flight;

use std::collections::VecDeque;
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use self::flight::{Command, Flight, drive};
use super::answer::one_call;
use super::call::Call;
use super::client::SkylineClient;
use super::error::SkylineError;
use super::wake_handle::WakeHandle;
use super::{memory, records};
use crate::error::{Error, Result};
use crate::runtime;

/// A completion queue. One for each event loop or pump thread of the host, and any number of
/// clients.
pub struct SkylineQueue {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    /// What the completions that were drained last point to.
    lent: Mutex<Vec<Lent>>,
}

/// How one call ended. Its pointers stay valid until the next `skyline_queue_drain` of the queue
/// that it came from, or the end of that queue.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SkylineCompletion {
    /// The id that the call was submitted with.
    pub id: u64,
    /// Why it failed; null when it did not.
    pub error: *const SkylineError,
    /// The answer's payload; null when it has none.
    pub payload: *const u8,
    /// The payload's length in bytes.
    pub payload_len: usize,
}

/// How a call ended.
struct Done {
    id: u64,
    result: Result<Option<Bytes>>,
}

/// What a completion points to.
struct Lent {
    _payload: Option<Bytes>,
    _error: Option<Box<SkylineError>>,
}

/// What the queue's task and the host share.
struct Shared {
    flight: Mutex<Flight>,
    ready: Mutex<Ready>,
    /// Tells threads that wait in `skyline_queue_wait`.
    filled: Condvar,
    handle: WakeHandle,
}

#[derive(Default)]
struct Ready {
    done: VecDeque<Done>,
    /// The host was told that there is something.
    told: bool,
    /// The host has asked for the handle: it is made readable only then.
    watched: bool,
    /// Threads in `skyline_queue_wait`. To notify nobody costs a system call too.
    waiting: usize,
}

impl Shared {
    fn flight(&self) -> MutexGuard<'_, Flight> {
        // A call that panics ends the queue's task with it, and that all the calls.
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        // Nothing panics while it is held; were it so, it would still be whole.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands completions over, and wakes the host if it has not been woken for earlier ones.
    fn publish(&self, batch: &mut Vec<Done>) {
        if batch.is_empty() {
            return;
        }
        let mut ready = self.ready();
        ready.done.extend(batch.drain(..));
        let news = !std::mem::replace(&mut ready.told, true);
        let (watched, waiting) = (ready.watched, ready.waiting > 0);
        drop(ready);
        // Not while it is held: the host that this wakes would have to wait for it at once, which
        // made a quarter of a call in Python.
        if news && watched {
            self.handle.signal();
        }
        if news && waiting {
            self.filled.notify_all();
        }
    }

    /// The handle, which from now on is readable while completions wait.
    fn watch(&self) -> isize {
        let mut ready = self.ready();
        if !std::mem::replace(&mut ready.watched, true) && ready.told {
            self.handle.signal();
        }
        self.handle.raw()
    }

    /// Waits until completions wait, for `timeout` at the most; whether there are any.
    fn wait(&self, timeout: Duration) -> bool {
        let mut ready = self.ready();
        ready.waiting += 1;
        let waited = self
            .filled
            .wait_timeout_while(ready, timeout, |ready| ready.done.is_empty());
        let (mut ready, _) = waited.unwrap_or_else(PoisonError::into_inner);
        ready.waiting -= 1;
        !ready.done.is_empty()
    }
}

impl SkylineQueue {
    fn new() -> Result<Self> {
        let runtime = runtime::handle()?;
        let handle = WakeHandle::new().map_err(|error| Error::State {
            detail: format!("the system refused a handle to wait on: {error}"),
        })?;
        let (commands, received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            flight: Mutex::new(Flight::new(received)),
            ready: Mutex::default(),
            filled: Condvar::new(),
            handle,
        });
        runtime.spawn(drive(shared.clone()));
        Ok(Self {
            shared,
            commands,
            lent: Mutex::default(),
        })
    }

    fn submit(&self, client: &SkylineClient, calls: Result<Vec<Call>>) -> Result<()> {
        runtime::check()?;
        let client = client.client();
        let mut calls = calls?;
        if let [call] = &calls[..]
            && call.is_small()
            && let Ok(mut flight) = self.shared.flight.try_lock()
        {
            let call = calls.remove(0);
            match flight.begin_at_once(client, call, &self.shared) {
                Ok(()) => return Ok(()),
                Err(call) => calls.push(call),
            }
        }
        let command = Command::Submit {
            client: client.clone(),
            calls,
        };
        // Its task ends before the queue only by a defect.
        self.commands.send(command).map_err(|_| Error::ShutDown {
            maybe_executed: false,
        })
    }

    fn drain(&self, mut place: impl FnMut(SkylineCompletion), capacity: usize) -> usize {
        let mut ready = self.shared.ready();
        let count = capacity.min(ready.done.len());
        let taken: Vec<Done> = ready.done.drain(..count).collect();
        if ready.done.is_empty() {
            let told = std::mem::take(&mut ready.told);
            // Without a completion the signal came behind the drain of what it was to tell of.
            if ready.watched && (told || count == 0) {
                self.shared.handle.clear();
            }
        }
        drop(ready);
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.clear();
        for done in taken {
            let mut completion = SkylineCompletion {
                id: done.id,
                error: ptr::null(),
                payload: ptr::null(),
                payload_len: 0,
            };
            match done.result {
                Ok(None) => {}
                Ok(Some(payload)) => {
                    completion.payload = payload.as_ptr();
                    completion.payload_len = payload.len();
                    lent.push(Lent {
                        _payload: Some(payload),
                        _error: None,
                    });
                }
                Err(error) => {
                    let error = Box::new(SkylineError::from(&error));
                    completion.error = &raw const *error;
                    lent.push(Lent {
                        _payload: None,
                        _error: Some(error),
                    });
                }
            }
            place(completion);
        }
        count
    }
}

/// A new queue, to be freed with `skyline_queue_free`. Null on failure, which is left in `error`
/// unless that is null.
///
/// # Safety
/// `error` is null, or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_queue_new(error: *mut *mut SkylineError) -> *mut SkylineQueue {
    match SkylineQueue::new() {
        Ok(queue) => Box::into_raw(Box::new(queue)),
        Err(failure) => {
            // SAFETY: promised by the caller.
            unsafe { memory::leave(&failure, error) };
            ptr::null_mut()
        }
    }
}

/// Frees a queue: its calls are cancelled, its completions are gone, its handle is closed, then or
/// soon afterwards. Null is fine.
///
/// # Safety
/// `queue` is null, or a queue that was not freed before and that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_queue_free(queue: *mut SkylineQueue) {
    // In a forked child its locks may be held by a thread that does not exist there.
    if !queue.is_null() && !runtime::is_forked() {
        // SAFETY: promised by the caller.
        drop(unsafe { Box::from_raw(queue) });
    }
}

/// What an event loop watches: it becomes readable when completions have come, and stays so while they
/// wait. Who drains without having seen it readable may find it so once more for nothing: that drain
/// finds none. An eventfd on Linux and Android, a socket elsewhere. It belongs to the queue: only
/// watch it, and watch it no more before the queue is freed.
///
/// # Safety
/// `queue` is a live queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_queue_wait_handle(queue: *const SkylineQueue) -> isize {
    // SAFETY: promised by the caller.
    let shared = &unsafe { &*queue }.shared;
    // In a forked child a lock may be held by a thread that does not exist there.
    if runtime::is_forked() {
        return shared.handle.raw();
    }
    shared.watch()
}

/// Hands one call over; never blocks. The arguments are those of `skyline_call`, `id` that of
/// `SkylineCallHeader`. The payload is copied, and a call that finds the client's bounds on calls and
/// bytes in flight reached waits in the library with its copy, until its deadline at the most: what a
/// host may have waiting there is for the host to bound.
///
/// Returns `SKYLINE_KIND_NONE`: then one completion with this id comes, however the call ends.
/// Else the kind of what is wrong with the arguments or the process; then none comes.
///
/// # Safety
/// `client` is a live client, `queue` a live queue; `method` and `payload` point to as many bytes
/// as their lengths say, unless `payload` is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_submit(
    client: *const SkylineClient,
    queue: *const SkylineQueue,
    id: u64,
    method: *const u8,
    method_len: usize,
    payload: *const u8,
    payload_len: usize,
    deadline_ms: u64,
    flags: u32,
) -> i32 {
    // SAFETY: promised by the caller.
    unsafe {
        let call = one_call(
            id,
            method,
            method_len,
            payload,
            payload_len,
            deadline_ms,
            flags,
        );
        kind_of((*queue).submit(&*client, call.map(|call| vec![call])))
    }
}

/// Hands many calls over; never blocks. `records` holds a `SkylineCallHeader` for each call, with
/// its method and its payload behind it. It is copied, and calls wait as with `skyline_submit`.
///
/// Returns `SKYLINE_KIND_NONE`: then one completion comes for each call. Else the kind of what is
/// wrong with the records or the process; then none comes for any of them.
///
/// # Safety
/// `client` is a live client, `queue` a live queue; `records` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_submit_many(
    client: *const SkylineClient,
    queue: *const SkylineQueue,
    records: *const u8,
    length: usize,
) -> i32 {
    // SAFETY: promised by the caller.
    unsafe {
        let calls = records::read(memory::bytes(records, length));
        kind_of((*queue).submit(&*client, calls))
    }
}

fn kind_of(result: Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => SkylineError::from(&error).kind(),
    }
}

/// Cancels a call: it completes with `SKYLINE_KIND_CANCELLED` unless it is complete already. An id
/// that is not in flight is ignored. Never blocks.
///
/// # Safety
/// `queue` is a live queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_cancel(queue: *const SkylineQueue, id: u64) {
    if runtime::check().is_ok() {
        // SAFETY: promised by the caller.
        let _ = unsafe { &*queue }.commands.send(Command::Cancel(id));
    }
}

/// Takes up to `capacity` completions, oldest first, into `completions` and returns how many. Never
/// blocks. What the completions of the last call of this function pointed to is gone. One thread
/// at a time for each queue. The wait handle stays readable while there are more.
///
/// # Safety
/// `queue` is a live queue; `completions` may be written to, `capacity` structs long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_queue_drain(
    queue: *const SkylineQueue,
    completions: *mut SkylineCompletion,
    capacity: usize,
) -> usize {
    // In a forked child a lock may be held by a thread that does not exist there.
    if runtime::is_forked() {
        return 0;
    }
    let mut next = completions;
    let place = |completion| {
        // SAFETY: promised by the caller; called `capacity` times at the most.
        unsafe {
            next.write(completion);
            next = next.add(1);
        }
    };
    // SAFETY: promised by the caller.
    unsafe { &*queue }.drain(place, capacity)
}

/// Blocks until completions wait, for `timeout_ms` at the most. For hosts that give a thread to it.
/// Returns 1 when there are completions, else 0.
///
/// # Safety
/// `queue` is a live queue, and stays so until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_queue_wait(queue: *const SkylineQueue, timeout_ms: u64) -> i32 {
    // SAFETY: promised by the caller.
    let shared = &unsafe { &*queue }.shared;
    // In a forked child a lock may be held by a thread that does not exist there.
    if runtime::is_forked() {
        return 0;
    }
    shared
        .wait(Duration::from_millis(timeout_ms).min(LONGEST_WAIT))
        .into()
}

/// The longest that `skyline_queue_wait` waits: the clock of some systems cannot tell moments much
/// further away. A day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
