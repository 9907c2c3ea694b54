//! The callers: each makes one call after another until the time is over.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;

use crate::pace::{self, Planned};
use crate::report::{Latency, Report};
use crate::task::Task;

/// Makes the load of `task` by `call`, which makes one call and fails when its answer is not what
/// it should be. With several callers, or a rate, it must run in a tokio runtime; a single caller
/// runs under any executor.
///
/// # Errors
/// The first error of a call.
pub async fn run<C, F, E>(task: &Task, connected_in: Duration, call: C) -> Result<Report, E>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Send + 'static,
{
    let (calls, latency) = match task.rate {
        Some(rate) => {
            let (calls, latency) = at_rate(task, rate, call).await?;
            (calls, Some(latency))
        }
        None => (flat_out(task, call).await?, None),
    };
    Ok(Report {
        calls,
        seconds: task.measured.as_secs_f64(),
        connect_ms: connected_in.as_secs_f64() * 1e3,
        latency_us: latency,
    })
}

/// As many calls as go. Those count that are answered within the measured time, begun within it or
/// not: what is cut off at its end stands against what came over at its start.
async fn flat_out<C, F, E>(task: &Task, call: C) -> Result<u64, E>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Send + 'static,
{
    let begin = Instant::now() + task.warmup;
    let end = begin + task.measured;
    // Without tokio it is a single one.
    if Handle::try_current().is_err() {
        return one_caller(begin, end, call).await;
    }
    // A single one is a task too: tokio asks the system for news before it goes on with the future
    // that it was started with, and a program's calls come from tasks.
    let mut callers = JoinSet::new();
    for _ in 0..task.callers {
        callers.spawn(one_caller(begin, end, call.clone()));
    }
    let mut calls = 0;
    while let Some(ended) = callers.join_next().await {
        calls += ended.expect("no caller panics")?;
    }
    Ok(calls)
}

async fn one_caller<C, F, E>(begin: Instant, end: Instant, call: C) -> Result<u64, E>
where
    C: Fn() -> F,
    F: Future<Output = Result<(), E>>,
{
    let mut calls = 0;
    loop {
        call().await?;
        let now = Instant::now();
        if now >= end {
            return Ok(calls);
        }
        calls += u64::from(now >= begin);
    }
}

/// Calls at fixed times. A call that finds all callers busy is late, and the time that it waits
/// counts: otherwise a server that stalls would hide its stall from the figures (coordinated
/// omission).
async fn at_rate<C, F, E>(task: &Task, rate: f64, call: C) -> Result<(u64, Latency), E>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Send + 'static,
{
    let due = Arc::new(AsyncMutex::new(pace::start(
        rate,
        task.warmup,
        task.measured,
    )));
    let histogram = Arc::new(Mutex::new(Latency::histogram()));
    let mut callers = JoinSet::new();
    for _ in 0..task.callers {
        let (due, histogram, call) = (due.clone(), histogram.clone(), call.clone());
        callers.spawn(async move {
            loop {
                let next = due.lock().await.recv().await;
                let Some(Planned { at, counts }) = next else {
                    return Ok(());
                };
                call().await?;
                if counts {
                    let mut histogram = histogram.lock().expect("no caller panics");
                    Latency::record(&mut histogram, at.elapsed());
                }
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.expect("no caller panics")?;
    }
    let histogram = histogram.lock().expect("no caller panics");
    Ok((histogram.len(), Latency::of(&histogram)))
}
