//! The stage: one server, and devices with a proxy each, which go through cases side by side.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skyline_fault_proxy::{Direction, FaultProxy, Record, Script};
use skyline_reliability::database::Database;
use skyline_reliability::layout;
use skyline_reliability::leaks::Held;

use super::judge::{Judge, Login};
use super::session::{self, Outcome};
use crate::support::{Owner, Server, soon};

/// Cases that run at a time: enough to fill two processors although most wait.
const AT_ONCE: usize = 24;

/// No step back is forgiven: a login that counts as one is a false breach, and shows. And all
/// cases come from one address, as fast as they can.
const SERVER: [&str; 6] = [
    "--resync-budget",
    "0",
    "--connection-rate-per-address",
    "off",
    "--login-rate-per-address",
    "off",
];

/// What no whole case exceeds.
const CASE_PATIENCE: Duration = Duration::from_secs(180);

/// What the last bytes of a session may take through the proxy.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

pub const DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// Tests that count what this process holds take turns.
static TURN: Mutex<()> = Mutex::new(());

/// One faulty session.
pub struct Case {
    /// What is done to each connection, by its number.
    pub script: Arc<dyn Fn(usize) -> Script + Send + Sync>,
    /// The deadline of each step.
    pub deadline: Duration,
    /// The case in words, for a failure.
    pub name: String,
}

impl Case {
    /// A fault of the first connection; the later ones are sound.
    pub fn first(name: String, deadline: Duration, script: Script) -> Self {
        let script = move |connection| match connection {
            0 => script.clone(),
            _ => Script::default(),
        };
        Self {
            script: Arc::new(script),
            deadline,
            name,
        }
    }

    /// A fault of every connection.
    pub fn every(name: String, deadline: Duration, script: Script) -> Self {
        Self {
            script: Arc::new(move |_| script.clone()),
            deadline,
            name,
        }
    }
}

/// What became of a case.
pub struct Played {
    pub number: usize,
    pub case: Case,
    pub outcome: Outcome,
    /// What passed over each of its connections.
    pub connections: Vec<Record>,
}

/// The bytes of a session without a fault.
#[derive(Clone)]
pub struct Sound {
    pub record: Record,
}

impl Sound {
    /// How many bytes one end sends.
    pub fn length(&self, direction: Direction) -> usize {
        self.bytes(direction).len()
    }

    pub fn bytes(&self, direction: Direction) -> &[u8] {
        match direction {
            Direction::ToServer => &self.record.from_client,
            Direction::ToClient => &self.record.from_server,
        }
    }

    /// The part of the session that byte `at` belongs to.
    pub fn part(&self, direction: Direction, at: usize) -> Part {
        let parts = layout::parts(self.bytes(direction));
        let index = parts.iter().position(|part| part.contains(&at));
        index.map_or(Part::Close, |index| match index {
            0 => Part::Upgrade,
            1 => Part::Hello,
            2..=5 => Part::Packet,
            _ => Part::Close,
        })
    }
}

/// What the bytes of a session are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The HTTP of the WebSocket's upgrade.
    Upgrade,
    /// A message of the handshake.
    Hello,
    /// An encrypted packet: login and calls.
    Packet,
    /// The WebSocket's close.
    Close,
}

/// Checks that four fifths of the faults struck: one that does not shows nothing. The last bytes may not
/// pass before a session is over, and a range that they end is not struck.
pub fn assert_mostly_struck(played: &[Played]) {
    let first = |played: &&Played| played.connections.first().is_some_and(|first| first.struck);
    let struck = played.iter().filter(first).count();
    assert!(
        struck * 5 >= played.len() * 4,
        "only {struck} of {} faults struck",
        played.len()
    );
}

struct Device {
    owner: Owner,
    proxy: FaultProxy,
    /// Logins that reached the server whole, at the most.
    most_logins: usize,
    /// Logins that the client knows of.
    least_logins: usize,
}

impl Device {
    async fn play(&mut self, number: usize, case: Case, login_end: Option<u64>) -> Played {
        let script = case.script.clone();
        self.proxy.play(move |connection| script(connection));
        let config = self.owner.config();
        let outcome =
            tokio::time::timeout(CASE_PATIENCE, session::run(config, case.deadline, number))
                .await
                .unwrap_or_else(|_| panic!("{}: it hangs", case.name));
        // What was sent last may still be on its way. A connection that stalls stays open.
        let over = self
            .proxy
            .until(|records| records.iter().all(|record| record.over));
        let _ = tokio::time::timeout(ON_ITS_WAY, over).await;
        let connections = self.proxy.connections();
        self.least_logins += outcome.logins.iter().filter(|login| login.is_ok()).count();
        self.most_logins += connections
            .iter()
            .filter(|record| login_end.is_none_or(|end| record.to_server >= end))
            .count();
        Played {
            number,
            case,
            outcome,
            connections,
        }
    }
}

/// Plays the cases that `cases_of` makes of a sound session, compares all of them with the
/// server's database, looks for what was left behind, and gives them in their order.
pub fn play(cases_of: impl FnOnce(&Sound) -> Vec<Case>) -> (Sound, Vec<Played>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(play_all(cases_of))
}

async fn play_all(cases_of: impl FnOnce(&Sound) -> Vec<Case>) -> (Sound, Vec<Played>) {
    let server = Server::start_with(&SERVER);
    let mut devices = Vec::new();
    for _ in 0..AT_ONCE {
        devices.push(device(&server).await);
    }
    // The first session activates the license, and has no last login to report; the later ones
    // are of one length.
    let mut number = 0;
    let mut sound = None;
    for _ in 0..2 {
        for device in &mut devices {
            let case = Case::first("no fault".to_owned(), PATIENT, Script::default());
            let played = device.play(number, case, None).await;
            assert!(played.outcome.is_smooth(), "{:?}", played.outcome);
            soon(device.proxy.until(|records| records[0].over)).await;
            sound = device.proxy.connections().pop();
            number += 1;
        }
    }
    let sound = Sound {
        record: sound.unwrap(),
    };
    let login_end = layout::parts(&sound.record.from_client)[2].end as u64;

    let held = Held::by_this_process();
    let held_by_server = Held::by_process(server.process_id());
    let cases: VecDeque<_> = cases_of(&sound)
        .into_iter()
        .enumerate()
        .map(|(index, case)| (number + index, case))
        .collect();
    let count = cases.len();
    let cases = Arc::new(Mutex::new(cases));
    let workers: Vec<_> = devices
        .into_iter()
        .map(|mut device| {
            let cases = cases.clone();
            tokio::spawn(async move {
                let mut played = Vec::new();
                loop {
                    let next = cases.lock().unwrap().pop_front();
                    let Some((number, case)) = next else {
                        device.proxy.play(|_| Script::default());
                        return (device, played);
                    };
                    played.push(device.play(number, case, Some(login_end)).await);
                }
            })
        })
        .collect();
    let mut played = Vec::new();
    let mut devices = Vec::new();
    for worker in workers {
        let (device, cases) = worker.await.unwrap();
        devices.push(device);
        played.extend(cases);
    }
    played.sort_by_key(|played| played.number);
    assert_eq!(played.len(), count);
    held.is_given_back().await;
    // With its last socket the server has ended its last call.
    held_by_server.sockets_are_given_back().await;

    let database = Database::open(&server.database()).await;
    let mut judge = Judge::new(database.events().await);
    for played in &played {
        judge.hear(played);
    }
    for device in &devices {
        let logins = database.logins(&device.owner.license_key).await;
        judge.hear_logins(&Login {
            accepted: &logins,
            least: device.least_logins,
            most: device.most_logins,
        });
    }
    database.close().await;
    judge.pronounce();
    (sound, played)
}

/// A deadline that nothing reaches unless something is broken.
pub const PATIENT: Duration = Duration::from_secs(30);

async fn device(server: &Server) -> Device {
    let address = server.address().parse().unwrap();
    let proxy = FaultProxy::start(address).await.unwrap();
    let mut owner = server.owner();
    owner.url = format!("ws://{}/ws", proxy.address());
    Device {
        owner,
        proxy,
        most_logins: 0,
        least_logins: 0,
    }
}
