//! The library's log, handed to the host's logger.

use std::sync::Arc;

use crate::logging;

/// How important a log record is, and from where on the host wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// The milestones of a session.
    Info,
    /// Something is amiss but the client goes on.
    Warn,
    /// The client cannot do what it was asked.
    Error,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::TRACE,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Info => Self::INFO,
            LogLevel::Warn => Self::WARN,
            LogLevel::Error => Self::ERROR,
        }
    }
}

impl From<tracing::Level> for LogLevel {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::ERROR => Self::Error,
        }
    }
}

/// One record of the log. It never holds a license key, a token or a key.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct LogRecord {
    /// How important it is.
    pub level: LogLevel,
    /// The part of the library that speaks, for example `skyline::connection`.
    pub target: String,
    /// The record's text with its fields.
    pub text: String,
    /// When it happened, in milliseconds since the UNIX epoch.
    pub unix_milliseconds: i64,
}

/// A log sink's failure; it is ignored, since a logger must not break the session.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum LogSinkError {
    /// The host's logger failed.
    #[error("the host's logger failed: {reason}")]
    Failed {
        /// What the host said.
        reason: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for LogSinkError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed {
            reason: error.reason,
        }
    }
}

/// Where the host takes log records.
#[uniffi::export(with_foreign)]
pub trait LogSink: Send + Sync {
    /// Takes one record. Called from one thread of the library's own that does nothing else, so a
    /// slow sink delays no call; records that it cannot keep up with are dropped and counted.
    fn log(&self, record: LogRecord) -> Result<(), LogSinkError>;
}

/// Hands the records of `level` and above to `sink`, in place of any sink before it.
#[uniffi::export]
pub fn set_log_sink(level: LogLevel, sink: Arc<dyn LogSink>) {
    let deliver = move |record: logging::Record| {
        // The sink's failure has nowhere to go: logging it would come back here.
        let _ = sink.log(LogRecord {
            level: record.level.into(),
            target: record.target.to_owned(),
            text: record.text,
            unix_milliseconds: record.unix_milliseconds,
        });
    };
    logging::set_sink(level.into(), Box::new(deliver));
}

/// Changes from which level on records reach the sink.
#[uniffi::export]
pub fn set_log_level(level: LogLevel) {
    logging::set_level(level.into());
}

/// Takes the sink away; records go nowhere then.
#[uniffi::export]
pub fn clear_log_sink() {
    logging::clear_sink();
}
