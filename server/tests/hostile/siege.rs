//! A server under attack, and the honest clients beside the attackers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use skyline_protocol::{Payload, Request};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::common::{
    DEADLINE, Login, Peer, Socket,
    process::{Installation, Running},
};

/// What an honest client is promised during every attack of these tests, for a call as for a new
/// login: far more than it takes, since a test machine may be busy with other things too, and
/// less than the 30 seconds after which our client gives up.
const PROMISE: Duration = Duration::from_secs(10);

/// Files that this process may have to open for a test, with room for the tests beside it.
const OPEN_FILES: u64 = 8_192;

/// Descriptors that a server may have opened since its start without keeping a connection: its
/// pool opens the database when it first needs another reader.
const OWN_DESCRIPTORS: usize = 24;

/// How often each honest client does something.
const PACE: Duration = Duration::from_millis(50);

/// A server with honest clients that go on all the time.
pub struct Siege {
    pub installation: Arc<Installation>,
    pub running: Running,
    descriptors: usize,
    memory: Memory,
    honest: JoinSet<Served>,
    over: CancellationToken,
}

/// What an honest client got.
#[derive(Clone, Copy, Debug, Default)]
struct Served {
    times: usize,
    slowest: Duration,
}

impl Served {
    async fn note<F: Future>(&mut self, what: &str, future: F) -> F::Output {
        let begun = Instant::now();
        let output = timeout(PROMISE, future)
            .await
            .unwrap_or_else(|_| panic!("{what} of an honest client took over {PROMISE:?}"));
        self.times += 1;
        self.slowest = self.slowest.max(begun.elapsed());
        output
    }
}

/// The server's memory, in KiB.
#[derive(Clone, Copy, Debug)]
struct Memory {
    now: u64,
    peak: u64,
}

impl Siege {
    /// Starts a server of these options. An attack comes from one address, as everything here
    /// does.
    pub async fn begin(options: &[&str]) -> Self {
        raise_open_files();
        let installation = Arc::new(Installation::new().await);
        let running = installation.serve(options).await;
        let mut honest = JoinSet::new();
        let over = CancellationToken::new();
        // Two clients that stay, and one that comes and goes.
        for _ in 0..2 {
            let login = Login::new(&installation.license().await);
            let mut peer = running.peer(&installation).await;
            peer.log_in(&login).await.expect_ok();
            honest.spawn(call_until(over.clone(), peer));
        }
        let login = Login::new(&installation.license().await);
        let process = running.process_id();
        // Before the one that comes and goes: it must not count as open when it is gone.
        let descriptors = descriptors(process);
        honest.spawn(log_in_until(
            over.clone(),
            Arc::clone(&installation),
            running.address,
            login,
        ));
        Self {
            descriptors,
            memory: memory(process),
            installation,
            running,
            honest,
            over,
        }
    }

    /// A peer with a session key and no session.
    pub async fn peer(&self) -> Peer {
        self.running.peer(&self.installation).await
    }

    /// A peer with an open session of a license of its own.
    pub async fn session(&self) -> Peer {
        let login = Login::new(&self.installation.license().await);
        let mut peer = self.peer().await;
        peer.log_in(&login).await.expect_ok();
        peer
    }

    /// The same over a network that holds little.
    pub async fn narrow_session(&self) -> Peer {
        let login = Login::new(&self.installation.license().await);
        let socket = Socket::open_narrow(self.running.address).await;
        let mut peer = socket.shake_hands(&self.installation.identity).await;
        peer.log_in(&login).await.expect_ok();
        peer
    }

    /// How many connections the server has open, beside its own files.
    pub fn connections(&self) -> usize {
        descriptors(self.running.process_id()).saturating_sub(self.descriptors)
    }

    /// Waits until the attackers' connections are gone, which they are at the server's deadlines
    /// if not before.
    pub async fn outlast(&self) {
        let begun = Instant::now();
        while self.connections() > OWN_DESCRIPTORS {
            let left = self.connections();
            let patient = begun.elapsed() < 3 * DEADLINE;
            assert!(patient, "{left} descriptors are kept");
            sleep(PACE).await;
        }
    }

    /// The most memory that the server has had so far, in MiB.
    pub fn peak_mebibytes(&self) -> u64 {
        memory(self.running.process_id()).peak / 1024
    }

    /// Outlasts the attack, and asserts what was promised: that the honest clients were served all
    /// the time, and by how many MiB the memory grew at most.
    pub async fn end(mut self, attack: &str, most_mebibytes: u64) {
        self.outlast().await;
        self.over.cancel();
        let mut served = Served::default();
        while let Some(client) = self.honest.join_next().await {
            let client = client.expect("an honest client was served");
            assert!(client.times > 3, "{attack}: {client:?}");
            served.times += client.times;
            served.slowest = served.slowest.max(client.slowest);
        }
        let process = self.running.process_id();
        let after = memory(process);
        let grown = after.peak.saturating_sub(self.memory.now) / 1024;
        println!(
            "{attack}: {} honest calls and logins, the slowest {:.0?}; memory {} MiB before, {} \
             MiB at most, {} MiB after",
            served.times,
            served.slowest,
            self.memory.now / 1024,
            after.peak / 1024,
            after.now / 1024,
        );
        assert!(
            grown <= most_mebibytes,
            "{attack}: the memory grew by {grown} MiB, more than {most_mebibytes}"
        );
        self.running.signal("TERM").await;
        let (code, log) = self.running.end().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

async fn call_until(over: CancellationToken, mut peer: Peer) -> Served {
    let mut served = Served::default();
    while !over.is_cancelled() {
        let answer = served.note("a call", peer.call("get-limits", None)).await;
        answer.expect_ok();
        sleep(PACE).await;
    }
    served
}

async fn log_in_until(
    over: CancellationToken,
    installation: Arc<Installation>,
    address: std::net::SocketAddr,
    login: Login,
) -> Served {
    let mut served = Served::default();
    let mut newest = 0;
    while !over.is_cancelled() {
        let session = async {
            let socket = Socket::open(address).await;
            let mut peer = socket.shake_hands(&installation.identity).await;
            peer.log_in(&login.at(newest + 1, newest)).await.expect_ok();
            peer.call("get-limits", None).await.expect_ok();
        };
        served.note("a login", session).await;
        newest += 1;
        sleep(PACE).await;
    }
    served
}

/// The next request of a session, sealed: an echo of this payload.
pub fn echo(peer: &mut Peer, payload: &[u8]) -> Bytes {
    let token = peer.token.clone();
    let packet = peer.seal(&Request {
        seq: peer.seq,
        timestamp: 1,
        method: "test.echo",
        token: token.as_deref(),
        payload: Payload::Binary(payload),
    });
    peer.seq += 1;
    packet
}

fn descriptors(process: u32) -> usize {
    let folder = format!("/proc/{process}/fd");
    std::fs::read_dir(folder).expect("the server lives").count()
}

fn memory(process: u32) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.expect("the server lives");
    let field = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    };
    Memory {
        now: field("VmRSS:"),
        peak: field("VmHWM:"),
    }
}

/// Lets this process open as many files as thousands of clients need.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    assert!(
        limit.maximum.is_none_or(|maximum| maximum >= OPEN_FILES),
        "these tests open thousands of connections: raise the hard limit on open files to \
         {OPEN_FILES} (ulimit -Hn)"
    );
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}
