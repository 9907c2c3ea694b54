//! A worker through the public Rust interface.
//!
//! `BENCH_RUNTIME=shared` puts the client on the worker's own runtime, as a program that has one may.
//! `BENCH_EXECUTOR` is `tokio` (current-thread) or `pollster`; by default pollster waits for a
//! single caller, as a program without an executor would, and tokio drives several.

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use skyline::{Bytes, Client, ClientConfig};
use skyline_benches::{Access, Report, Task, conclude, message_pack_bin, run};
use tokio::runtime;

fn main() -> ExitCode {
    conclude("rust-client", measure())
}

fn measure() -> Result<Report, Box<dyn Error>> {
    let task = Task::from_environment()?;
    let alone = task.callers == 1 && task.rate.is_none();
    let executor = env::var("BENCH_EXECUTOR").unwrap_or_default();
    if shares_runtime() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return runtime.block_on(work(task));
    }
    match executor.as_str() {
        "" if alone => pollster::block_on(work(task)),
        "pollster" if alone => pollster::block_on(work(task)),
        "pollster" => Err("pollster runs a single caller, and no fixed rate".into()),
        "" | "tokio" => runtime::Builder::new_current_thread()
            .build()?
            .block_on(work(task)),
        other => Err(format!("BENCH_EXECUTOR is {other:?}: there are tokio and pollster").into()),
    }
}

fn shares_runtime() -> bool {
    env::var_os("BENCH_RUNTIME").is_some_and(|runtime| runtime == "shared")
}

async fn work(task: Task) -> Result<Report, Box<dyn Error>> {
    let access = Access::from_environment()?;
    let mut config = ClientConfig::new(
        "telepower",
        "7.0.3",
        access.license_key.parse()?,
        [access.identity_key.parse()?],
    );
    config.url = access.url;
    config.state_folder = Some(access.state_folder);
    config.runtime = shares_runtime().then(runtime::Handle::current);
    // The answer is as large as the request.
    config.limits.packet_bytes = config.limits.packet_bytes.max(task.payload_bytes + 4096);

    let begun = Instant::now();
    let client = Client::connect(config).await?;
    let connected_in = begun.elapsed();

    let payload = Bytes::from(message_pack_bin(task.payload_bytes));
    let caller = client.clone();
    let call = move || {
        let (client, payload) = (caller.clone(), payload.clone());
        async move {
            let answer = client.call_raw("test.echo", Some(payload.clone())).await;
            match answer.map_err(|error| format!("{}: {error}", error.code()))? {
                Some(answer) if answer.len() == payload.len() => Ok(()),
                Some(answer) => Err(format!(
                    "the answer has {} bytes, the request {}",
                    answer.len(),
                    payload.len()
                )),
                None => Err("the answer is empty".to_owned()),
            }
        }
    };
    let report = run(&task, connected_in, call).await?;
    client.shutdown().await;
    Ok(report)
}
