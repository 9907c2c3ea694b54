//! `skyline-server`: the licensing server and its admin commands.

use std::{io, num::NonZero, process::ExitCode, thread::available_parallelism};

use skyline_server::cli::{self, Invocation, SettingsError};
use tokio::runtime::{Builder, Runtime};

/// Exit codes: 0 done, 1 failed (the reason is on the standard error), 2 wrong usage (from clap).
fn main() -> ExitCode {
    let invocation = match Invocation::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(SettingsError::Usage(error)) => error.exit(),
        Err(error) => return failed(&error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(cli::run(invocation)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// One core needs one thread: a second one, to watch over it, would only take turns with it.
fn runtime() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let mut builder = match cores {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
