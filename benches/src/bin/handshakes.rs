//! Full connections, one after the other: WebSocket, handshake, `start-session`, close.
//!
//! Each of the licenses of `BENCH_LICENSE_KEYS` has one connection at a time, as a client does; all
//! of them together keep the server busy. Prints the connections of the measured time and the
//! processor time that the server spent meanwhile, in user space and in the kernel.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use skyline_benches::{Access, Licensee, Licenses, Process, Task, conclude, server_process};
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[derive(Serialize)]
struct Report {
    /// Those that were complete within the measured time.
    connections: u64,
    /// The measured time.
    seconds: f64,
    /// The server's processor time within it.
    server_cpu_seconds: f64,
}

fn main() -> ExitCode {
    conclude("handshakes", measure())
}

fn measure() -> Result<Report, Box<dyn Error + Send + Sync>> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work(&Task::from_environment()?, server_process()?))
}

async fn work(task: &Task, server: Process) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let access = Access::from_environment()?;
    let begin = Instant::now() + task.warmup;
    let end = begin + task.measured;
    let mut clients = JoinSet::new();
    for key in Licenses::from_environment()?.0 {
        let mut licensee = Licensee::new(&access, &key)?;
        clients.spawn(async move {
            let mut connections = 0;
            loop {
                licensee.connect().await?.close().await?;
                let now = Instant::now();
                if now >= end {
                    return Ok::<u64, Box<dyn Error + Send + Sync>>(connections);
                }
                connections += u64::from(now >= begin);
            }
        });
    }
    // This task shares its thread with the clients: what they keep it waiting counts as measured.
    let sample = |at| async move {
        tokio::time::sleep_until(at).await;
        server.processor_time()
    };
    let before = sample(begin).await?;
    let spent: Duration = sample(end).await? - before;
    let mut connections = 0;
    while let Some(ended) = clients.join_next().await {
        connections += ended.expect("no client panics")?;
    }
    Ok(Report {
        connections,
        seconds: task.measured.as_secs_f64(),
        server_cpu_seconds: spent.as_secs_f64(),
    })
}
