//! Connections that are open and do nothing: what each takes of the server's memory.
//!
//! `BENCH_CONNECTIONS` of them log in with the licenses of `BENCH_LICENSE_KEYS`, make one call each
//! and fall silent. `BENCH_SECONDS` later, when the server has given back what the logins took, its
//! memory is compared with that before the first one. All that it has in RAM counts (`Rss` of
//! /proc/PID/smaps_rollup), what its libraries and its database keep among it; the kernel's buffers
//! are the kernel's.

use std::error::Error;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use skyline_benches::{
    Access, Licensee, Licenses, Process, Task, conclude, connections, message_pack_bin,
    server_process,
};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Serialize)]
struct Report {
    connections: usize,
    /// The server's memory with the connections, less that without them, for each.
    bytes_per_connection: f64,
}

fn main() -> ExitCode {
    conclude("idle-connections", measure())
}

fn measure() -> Result<Report, Failure> {
    let task = Task::from_environment()?;
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work(&task, connections()?, server_process()?))
}

async fn work(task: &Task, wanted: usize, server: Process) -> Result<Report, Failure> {
    raise_limit_on_open_files()?;
    let before = server.resident_bytes()?;
    let access = Access::from_environment()?;
    let keys = Licenses::from_environment()?.0;
    let payload = message_pack_bin(task.payload_bytes);
    let mut clients = JoinSet::new();
    for (number, key) in keys.iter().enumerate() {
        let mut licensee = Licensee::new(&access, key)?;
        let share = wanted / keys.len() + usize::from(number < wanted % keys.len());
        let payload = payload.clone();
        clients.spawn(async move {
            let mut open = Vec::with_capacity(share);
            for _ in 0..share {
                let mut session = licensee.connect().await?;
                session.call("test.echo", &payload).await?;
                open.push(session.into_connection());
            }
            Ok::<Vec<TcpStream>, Failure>(open)
        });
    }
    let mut open = Vec::with_capacity(wanted);
    while let Some(ended) = clients.join_next().await {
        open.extend(ended.expect("no client panics")?);
    }
    sleep(task.measured).await;
    let after = server.resident_bytes()?;
    for connection in &open {
        // Nothing but a ping may have come: an end would make room that is none.
        if connection.try_read(&mut [0; 8]).is_ok_and(|read| read == 0) {
            return Err("the server has closed a connection".into());
        }
    }
    Ok(Report {
        connections: open.len(),
        bytes_per_connection: (after as f64 - before as f64) / open.len() as f64,
    })
}

/// As far as the system lets this process: it may be more than what it starts with.
fn raise_limit_on_open_files() -> Result<(), Failure> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current, maximum })?)
}
