//! One device: a license, a proxy in bad weather, and a client process after the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use skyline_fault_proxy::{FaultProxy, Script};
use skyline_reliability::process::{self, SessionProcess};

use super::ledger::{Kind, Ledger};
use super::support::Owner;
use super::weather;

/// The deadline of every call and login.
const DEADLINE: Duration = Duration::from_millis(1500);

/// The same when there is no fault, and nothing but a busy machine to exceed it.
const FAIR_DEADLINE: Duration = Duration::from_secs(20);

/// What no answer of the process exceeds: connecting and logging in, twice over for the
/// machine's load, or the delivery of all tracked events.
const PATIENCE: Duration = Duration::from_secs(90);

/// After so many connections the proxy's records begin anew.
const CONNECTIONS_KEPT: usize = 500;

/// Calls that are made at once, at the most.
const AT_ONCE: u64 = 8;

/// How long a process may work on a command before it is killed, in milliseconds at the most:
/// most commands take less, so that all moments are hit.
const KILL_WITHIN: u64 = 30;

/// A device with its client process.
pub struct Device {
    number: u64,
    random: StdRng,
    weather: Arc<Mutex<StdRng>>,
    owner: Owner,
    proxy: FaultProxy,
    program: PathBuf,
    process: Option<SessionProcess>,
    /// Whether the process has a client that has logged in.
    is_logged_in: bool,
    /// Of the calls and logins of the next process.
    deadline: Duration,
    next_event: u64,
    /// What it was told.
    pub ledger: Ledger,
}

impl Device {
    /// A device of `owner`, whose server is at `server`.
    pub async fn new(number: u64, seed: u64, mut owner: Owner, server: SocketAddr) -> Self {
        let proxy = FaultProxy::start(server).await.expect("a port");
        owner.url = format!("ws://{}/ws", proxy.address());
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number + 1));
        let weather = StdRng::seed_from_u64(random.random());
        let soak = std::env::current_exe().expect("the path of this program");
        let mut ledger = Ledger::default();
        ledger.note_queue(format!("tracked.{number}."));
        Self {
            number,
            random,
            weather: Arc::new(Mutex::new(weather)),
            owner,
            proxy,
            // cargo builds all programs of a package beside each other.
            program: soak.with_file_name("session-process"),
            process: None,
            is_logged_in: false,
            deadline: DEADLINE,
            next_event: 0,
            ledger,
        }
    }

    /// Works until `end`.
    pub async fn run(mut self, end: Instant) -> Self {
        self.worsen_weather();
        while Instant::now() < end {
            self.step().await;
            if self.proxy.connections().len() > CONNECTIONS_KEPT {
                self.worsen_weather();
            }
        }
        self
    }

    /// Delivers what is queued, without any fault, and compares the process's counters.
    pub async fn settle(&mut self) {
        self.count_connections();
        self.proxy.play_without_bytes(|_| Script::default());
        self.kill().await;
        self.deadline = FAIR_DEADLINE;
        for command in ["connect", "flush"] {
            let answer = self.ask(command).await;
            if answer.as_deref() != Some("ok") {
                let failure = format!("{command} in fair weather: {answer:?}");
                self.ledger.note_failure(failure);
            }
        }
        let counters = self.ask("counters").await.unwrap_or_default();
        let value = |name: &str| {
            let mut words = counters.split(' ').skip_while(|word| *word != name);
            words.nth(1).and_then(|word| word.parse::<u64>().ok())
        };
        // Everything that was left is delivered, and nothing was given up.
        let adds_up = value("recovered").is_some()
            && value("recovered") == value("sent")
            && ["tracked", "queued", "dropped", "rejected"]
                .iter()
                .all(|name| value(name) == Some(0));
        if !adds_up {
            self.ledger
                .note_failure(format!("the counters do not add up: {counters}"));
        }
        self.ask("shutdown").await;
    }

    fn worsen_weather(&mut self) {
        self.count_connections();
        let weather = self.weather.clone();
        self.proxy.play_without_bytes(move |_| {
            weather::draw(&mut weather.lock().expect("nobody panics with it"))
        });
    }

    fn count_connections(&mut self) {
        let connections = self.proxy.connections();
        let struck = connections.iter().filter(|record| record.struck).count();
        self.ledger.note_connections(connections.len(), struck);
    }

    /// One command, after which the process may be dead.
    async fn step(&mut self) {
        if !self.is_logged_in {
            self.login().await;
            return;
        }
        let kills = self.random.random_range(0..40) == 0;
        match self.random.random_range(0..20) {
            0 => self.login().await,
            1..4 => self.call("limits", kills).await,
            4..11 => {
                let count = self.random.random_range(1..=AT_ONCE);
                let name = self.name("once");
                let command = format!("events {name} {count}");
                let names = (0..count).map(|index| format!("{name}.{index}")).collect();
                self.send(&command, names, Kind::Once, kills).await;
            }
            11..14 => {
                let name = self.name("repeated");
                let command = format!("repeat {name}");
                self.send(&command, vec![name], Kind::Repeated, kills).await;
            }
            _ => {
                let name = self.name("tracked");
                let command = format!("track {name}");
                self.send(&command, vec![name], Kind::Tracked, kills).await;
            }
        }
    }

    fn name(&mut self, kind: &str) -> String {
        self.next_event += 1;
        format!("{kind}.{}.{:09}", self.number, self.next_event)
    }

    /// Logs in, with a new client of the process that is there or of a new one.
    async fn login(&mut self) {
        let answer = self.ask("connect").await;
        self.is_logged_in = answer.as_deref() == Some("ok");
        match answer.as_deref() {
            Some("ok") => {}
            Some(error) => self.ledger.note_error(error),
            None => self
                .ledger
                .note_failure("the process ended at a login".to_owned()),
        }
    }

    /// A command whose answer changes nothing.
    async fn call(&mut self, command: &str, kills: bool) {
        if let Some(error) = self.answers(command, 1, kills).await.pop().flatten()
            && error != "ok"
        {
            self.heed(&error).await;
        }
    }

    /// A command that sends events of those names.
    async fn send(&mut self, command: &str, names: Vec<String>, kind: Kind, kills: bool) {
        let answers = self.answers(command, names.len(), kills).await;
        let mut last_error = None;
        for (name, answer) in names.into_iter().zip(answers) {
            self.ledger.note(name, kind, answer.as_deref());
            last_error = answer.filter(|answer| answer != "ok").or(last_error);
        }
        if let Some(error) = last_error
            && error.starts_with("INTEGRITY_BREACH")
        {
            // The client is finished; another one starts clean.
            self.login().await;
        }
    }

    async fn heed(&mut self, error: &str) {
        self.ledger.note_error(error);
        if error.starts_with("INTEGRITY_BREACH") {
            self.login().await;
        }
    }

    /// Gives a command and takes its answers; those that a killed process owes are `None`.
    async fn answers(&mut self, command: &str, count: usize, kills: bool) -> Vec<Option<String>> {
        let mut answers = vec![None; count];
        if kills {
            if let Some(process) = &mut self.process {
                let _ = process.begin(command).await;
                let life = self.random.random_range(0..=KILL_WITHIN);
                tokio::time::sleep(Duration::from_millis(life)).await;
            }
            self.kill().await;
            return answers;
        }
        let Some(process) = &mut self.process else {
            return answers;
        };
        let all = async {
            process.begin(command).await.ok()?;
            for answer in &mut answers {
                *answer = Some(process.answer().await?);
            }
            Some(())
        };
        if tokio::time::timeout(PATIENCE, all).await != Ok(Some(())) {
            self.ledger
                .note_failure(format!("{command} had no answer in {PATIENCE:?}"));
            self.kill().await;
        }
        answers
    }

    /// Gives a command to the process, which is started when there is none.
    async fn ask(&mut self, command: &str) -> Option<String> {
        if self.process.is_none() {
            let mut start = process::command(&self.program, &self.owner.config());
            let deadline = self.deadline.as_millis().to_string();
            start.env("SKYLINE_DEADLINE_MILLISECONDS", deadline);
            self.process = Some(SessionProcess::start(start).expect("the process starts"));
        }
        self.answers(command, 1, false).await.pop().flatten()
    }

    async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.is_logged_in = false;
            self.ledger.note_kill();
            process.kill().await.expect("it is killed");
        }
    }
}
