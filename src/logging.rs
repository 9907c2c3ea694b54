//! The library's tracing events, handed to a host that has no `tracing` of its own.
//!
//! A Rust application installs its own subscriber as usual and needs nothing of this. The hosts
//! of the foreign-language packages install a sink: records go over a bounded queue to a thread
//! that does nothing but deliver them, so a slow logger never delays a call.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use once_cell::sync::OnceCell;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

/// How many records may wait for the sink. At trace level a session writes tens of records a
/// second; a thousand cover a stall of the host's logger without holding notable memory.
const QUEUE_RECORDS: usize = 1024;

/// How long [`halt`] waits for a delivery: a healthy logger takes far less.
const HALT_DEADLINE: Duration = Duration::from_secs(2);

/// How often it looks whether the delivery is over; a process that ends can spare a millisecond.
const HALT_RETRY: Duration = Duration::from_millis(1);

/// Records of this crate and the protocol crate; those of other crates are not ours to hand out.
const TARGET_PREFIX: &str = "skyline";

/// One record on its way to the sink.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) text: String,
    pub(crate) unix_milliseconds: i64,
}

type Deliver = Box<dyn Fn(Record) + Send>;

static QUEUE: OnceCell<SyncSender<Record>> = OnceCell::new();
/// Held while a record is delivered, so that after [`clear_sink`] or [`halt`] none is under way.
static SINK: Mutex<Option<Deliver>> = Mutex::new(None);
/// The numeric verbosity that is let through; 0 is nothing, 5 is trace.
static VERBOSITY: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static HALTED: AtomicBool = AtomicBool::new(false);
/// The process that has the delivering thread. In a fork of it the locks above may be held by a
/// thread that does not exist there, so nothing here touches them then.
static PROCESS: OnceCell<u32> = OnceCell::new();

fn usable() -> bool {
    !HALTED.load(Ordering::Acquire) && *PROCESS.get_or_init(std::process::id) == std::process::id()
}

/// Hands records of `level` and above to `deliver` from now on.
pub(crate) fn set_sink(level: Level, deliver: Deliver) {
    if !usable() {
        return;
    }
    *sink() = Some(deliver);
    QUEUE.get_or_init(|| {
        let (queue, records) = sync_channel(QUEUE_RECORDS);
        // Without the thread records are dropped and counted; the client itself works on.
        let _ = thread::Builder::new()
            .name("skyline-log".to_owned())
            .spawn(move || deliver_all(&records));
        // An application in Rust that loaded a subscriber first keeps it.
        let _ = tracing::subscriber::set_global_default(Forwarder);
        queue
    });
    set_level(level);
}

/// Changes from which level on records are delivered.
pub(crate) fn set_level(level: Level) {
    if !usable() {
        return;
    }
    VERBOSITY.store(verbosity(&level), Ordering::Release);
    tracing::callsite::rebuild_interest_cache();
}

/// Takes the sink away. When it returns, no delivery is under way.
pub(crate) fn clear_sink() {
    if !usable() {
        return;
    }
    VERBOSITY.store(0, Ordering::Release);
    tracing::callsite::rebuild_interest_cache();
    sink().take();
}

/// Takes the sink away for good. The host's object is leaked, not dropped: dropping it would call
/// into the host once more. Waits for the delivery under way, for [`HALT_DEADLINE`] at the most:
/// the host's logger may be stuck, and the end of a process must not hang.
pub(crate) fn halt() {
    if !usable() {
        return;
    }
    HALTED.store(true, Ordering::Release);
    VERBOSITY.store(0, Ordering::Release);
    let deadline = Instant::now() + HALT_DEADLINE;
    while Instant::now() < deadline {
        match SINK.try_lock() {
            Ok(mut sink) => return std::mem::forget(sink.take()),
            Err(TryLockError::Poisoned(sink)) => {
                return std::mem::forget(sink.into_inner().take());
            }
            Err(TryLockError::WouldBlock) => thread::sleep(HALT_RETRY),
        }
    }
}

fn sink() -> MutexGuard<'static, Option<Deliver>> {
    // A panic in a sink leaves nothing half-done here.
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn deliver_all(records: &Receiver<Record>) {
    for record in records {
        let dropped = DROPPED.swap(0, Ordering::AcqRel);
        let sink = sink();
        let Some(deliver) = sink.as_ref() else {
            continue;
        };
        if dropped > 0 {
            deliver(Record {
                level: Level::WARN,
                target: module_path!(),
                text: format!("{dropped} log records were dropped: the logger was too slow"),
                unix_milliseconds: record.unix_milliseconds,
            });
        }
        deliver(record);
    }
}

fn verbosity(level: &Level) -> usize {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// The subscriber that queues this library's events for the sink. Spans are not used.
struct Forwarder;

impl Subscriber for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with(TARGET_PREFIX)
            && verbosity(metadata.level()) <= VERBOSITY.load(Ordering::Acquire)
    }

    fn register_callsite(
        &self,
        metadata: &'static Metadata<'static>,
    ) -> tracing::subscriber::Interest {
        // Asked again whenever the level changes: see `rebuild_interest_cache` above.
        if self.enabled(metadata) {
            tracing::subscriber::Interest::always()
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        if !usable() {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let record = Record {
            level: *event.metadata().level(),
            target: event.metadata().target(),
            text: text.0,
            unix_milliseconds: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        };
        let Some(queue) = QUEUE.get() else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(record) {
            DROPPED.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event as one line: its sentence, then ` name=value` for each field.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.push_str(value);
        } else {
            let _ = write!(self.0, " {}={value}", field.name());
        }
    }
}
