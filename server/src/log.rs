//! The log of the server, on the standard error.
//!
//! No secret gets into it: whatever carries one is of a type that does not print it, and texts of
//! peers are not logged. A test reads the whole log of a session at the level `trace`.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people: time, level, place and text, coloured on a terminal.
    #[default]
    Text,
    /// For machines: one JSON object a line, with `timestamp`, `level`, `target`, `fields` and the
    /// `span` of the connection.
    Json,
}

/// Starts to log. The standard output is left to what the commands print.
///
/// # Errors
/// When the filter is none of `tracing`'s.
///
/// # Panics
/// When it is called a second time in a process.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
