//! What other languages see: the uniffi interface, and in `c` the C interface. The Python, Kotlin
//! and Swift packages stand on both.
//!
//! The only folder that knows uniffi or raw pointers. It converts types and adds what a host language needs
//! (explicit cancelling, JSON payloads, log sinks, an orderly end); every behaviour lives in the
//! modules below it. Exported functions await only channels of the internal runtime, so any
//! executor may poll them.

// A failure crosses the language border by value, once per failed call.
#![allow(clippy::result_large_err)]

pub mod c;
mod cancellation;
mod client;
mod configuration;
mod events;
mod failure;
pub(crate) mod json;
mod logging;
mod process;
mod session;
mod states;
mod update;

pub use cancellation::Cancellation;
pub use client::{CallOptions, Client};
pub use configuration::{Configuration, DeviceIdentity, Proxy, SecretText, detect_device_identity};
pub use events::{EventCounters, EventDurability, EventOverflow};
pub use failure::{Failure, FailureDetails, FailureKind};
pub use logging::{
    LogLevel, LogRecord, LogSink, LogSinkError, clear_log_sink, set_log_level, set_log_sink,
};
pub use process::{halt, library_version};
pub use session::Session;
pub use states::{ConnectionState, StateStream};
pub use update::{Update, UpdateDownload, UpdateProgress, verify_update};
