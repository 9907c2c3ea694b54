//! A soak: clients in processes of their own call and track events while their connections break
//! at random, they are killed, and the server is killed and started again on its database. At the
//! end every outcome that a client was told must agree with the server's database.
//!
//! The seed fixes what is done and what breaks, in which order; when the system runs what is not
//! the soak's to fix, so a seed gives the same weather and not the same run to the microsecond.

#[path = "../../../../support/mod.rs"]
mod support;

mod device;
mod ledger;
mod weather;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use skyline_reliability::database::Database;
use skyline_reliability::figures;

use self::device::Device;
use self::ledger::Ledger;
use self::support::Server;

/// Devices at a time, each with a license and a client process.
const DEVICES: u64 = 6;

/// How long the server lives before it is killed, in milliseconds: long enough for some hundred
/// calls, short enough for many ends in a minute.
const SERVER_LIFE: std::ops::Range<u64> = 2_000..8_000;

/// No step back is forgiven, and all clients come from one address.
const SERVER: [&str; 6] = [
    "--resync-budget",
    "0",
    "--connection-rate-per-address",
    "off",
    "--login-rate-per-address",
    "off",
];

#[derive(Debug, Parser)]
#[command(about = "Clients, calls and events under random faults; all counters must add up")]
struct Options {
    /// How long the faults last
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    minutes: f64,
    /// What is done and what breaks [default: a random one, which is printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("soak: seed {seed}, {} minutes", options.minutes);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let failures = runtime.block_on(soak(seed, Duration::from_secs_f64(options.minutes * 60.0)));
    for failure in &failures {
        eprintln!("soak: seed {seed}: {failure}");
    }
    ExitCode::from(u8::from(!failures.is_empty()))
}

async fn soak(seed: u64, time: Duration) -> Vec<String> {
    let server = Arc::new(Mutex::new(Server::start_with(&SERVER)));
    let end = Instant::now() + time;
    let mut devices = Vec::new();
    for number in 0..DEVICES {
        let (owner, address) = {
            let server = server.lock().expect("the server");
            (
                server.owner(),
                server.address().parse().expect("an address"),
            )
        };
        devices.push(Device::new(number, seed, owner, address).await);
    }
    let over = Arc::new(AtomicBool::new(false));
    let keeper = keep(server.clone(), StdRng::seed_from_u64(seed), over.clone());
    let running = devices
        .into_iter()
        .map(|device| tokio::spawn(device.run(end)))
        .collect::<Vec<_>>();
    let mut devices = Vec::new();
    for device in running {
        devices.push(device.await.expect("no device panics"));
    }
    over.store(true, Ordering::Relaxed);
    let restarts = tokio::task::spawn_blocking(move || keeper.join())
        .await
        .expect("it ends")
        .expect("the server starts again");

    // The sky clears: what is queued is delivered.
    let mut ledger = Ledger::default();
    for mut device in devices {
        device.settle().await;
        ledger.take(device.ledger);
    }
    let file: PathBuf = server.lock().expect("the server").database();
    let database = Database::open(&file).await;
    let failures = ledger.audit(&database).await;
    database.close().await;
    figures::tell(&format!(
        "soak: seed {seed}, {:.1} minutes, server killed {restarts} times, {ledger}; {}",
        time.as_secs_f64() / 60.0,
        if failures.is_empty() {
            "all add up".to_owned()
        } else {
            format!("{} do NOT add up", failures.len())
        }
    ));
    failures
}

/// Kills the server again and again, and starts it again on the same port and database. Gives how
/// often; the server runs at the end.
fn keep(
    server: Arc<Mutex<Server>>,
    mut random: StdRng,
    over: Arc<AtomicBool>,
) -> std::thread::JoinHandle<usize> {
    /// How soon the end is noticed.
    const STEP: Duration = Duration::from_millis(50);
    std::thread::spawn(move || {
        let mut restarts = 0;
        loop {
            let life = Instant::now() + Duration::from_millis(random.random_range(SERVER_LIFE));
            while Instant::now() < life {
                if over.load(Ordering::Relaxed) {
                    return restarts;
                }
                std::thread::sleep(STEP);
            }
            server.lock().expect("the server").restart();
            restarts += 1;
        }
    })
}
