//! `skyline-server`: the licensing server and its admin commands.

use std::process::ExitCode;

use skyline_server::cli::{self, Invocation, SettingsError};

/// Exit codes: 0 done, 1 failed (the reason is on the standard error), 2 wrong usage (from clap).
#[tokio::main]
async fn main() -> ExitCode {
    let invocation = match Invocation::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(SettingsError::Usage(error)) => error.exit(),
        Err(error) => return failed(&error),
    };
    match cli::run(invocation).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
