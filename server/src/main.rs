//! `skyline-server`: the licensing server and its admin commands.

use std::process::ExitCode;

use clap::Parser;
use skyline_server::cli::{self, Cli};

/// Exit codes: 0 done, 1 failed (the reason is on the standard error), 2 wrong usage (from clap).
#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
