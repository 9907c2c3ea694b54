//! The listener, its script, and what it saw.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::carry;
use crate::fault::{Direction, Script};

/// How long the listener rests when the system has no descriptor left for it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

type Play = Arc<dyn Fn(usize) -> Script + Send + Sync>;

/// What passed over one connection.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What the client sent, as it sent it.
    pub from_client: Vec<u8>,
    /// What the server sent, as it sent it.
    pub from_server: Vec<u8>,
    /// How many bytes were written to the server.
    pub to_server: u64,
    /// How many bytes were written to the client.
    pub to_client: u64,
    /// Whether a fault of the script has come to pass.
    pub struck: bool,
    /// Whether the connection is over.
    pub over: bool,
}

/// A proxy that listens on a loopback port of its own. Dropping it closes the port and all
/// connections.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

struct Shared {
    server: SocketAddr,
    act: Mutex<Act>,
    /// Counts the changes of all records, for those who wait for one.
    changes: watch::Sender<u64>,
}

/// What is being played: a script for each connection, and what became of those that came.
struct Act {
    play: Play,
    /// The bytes of the connections are kept, and not their number alone.
    keeps_bytes: bool,
    records: Vec<Record>,
    number: u64,
    /// Ends the connections of this act.
    stop: CancellationToken,
    _stops: DropGuard,
}

impl Act {
    fn new(number: u64, keeps_bytes: bool, play: Play) -> Self {
        let stop = CancellationToken::new();
        Self {
            play,
            keeps_bytes,
            records: Vec::new(),
            number,
            _stops: stop.clone().drop_guard(),
            stop,
        }
    }
}

impl FaultProxy {
    /// Listens for connections to `server`, and forwards them as they are until told otherwise.
    ///
    /// # Errors
    ///
    /// When the system gives no port.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            act: Mutex::new(Act::new(0, true, Arc::new(|_| Script::default()))),
            changes: watch::Sender::new(0),
        });
        let listening = tokio::spawn(listen(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            listening,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, forgets their records, and gives each later connection the script
    /// that `script_of` has for its number, from 0.
    pub fn play(&self, script_of: impl Fn(usize) -> Script + Send + Sync + 'static) {
        self.replace(true, Arc::new(script_of));
    }

    /// As [`FaultProxy::play`], for long runs: the records count bytes and do not keep them.
    pub fn play_without_bytes(&self, script_of: impl Fn(usize) -> Script + Send + Sync + 'static) {
        self.replace(false, Arc::new(script_of));
    }

    fn replace(&self, keeps_bytes: bool, play: Play) {
        let mut act = self.shared.act();
        let number = act.number + 1;
        *act = Act::new(number, keeps_bytes, play);
    }

    /// The connections since the script began, in the order in which they came.
    pub fn connections(&self) -> Vec<Record> {
        self.shared.act().records.clone()
    }

    /// Waits until the records fulfil `condition`. The caller bounds the wait.
    pub async fn until(&self, mut condition: impl FnMut(&[Record]) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        while !condition(&self.shared.act().records) {
            // The sender lives as long as this proxy.
            let _ = changes.changed().await;
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.shared.act().stop.cancel();
    }
}

impl Shared {
    fn act(&self) -> MutexGuard<'_, Act> {
        self.act.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (ledger, stop, play) = {
            let mut act = shared.act();
            act.records.push(Record::default());
            let ledger = Ledger {
                shared: shared.clone(),
                act: act.number,
                connection: act.records.len() - 1,
            };
            (ledger, act.stop.clone(), act.play.clone())
        };
        let script = play(ledger.connection);
        tokio::spawn(async move {
            let carried = async {
                // A server that is not there closes the client's connection.
                if let Ok(server) = TcpStream::connect(ledger.shared.server).await {
                    carry(client, server, script, &ledger).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = carried => {}
            }
            ledger.change(|record, _| record.over = true);
        });
    }
}

/// One connection's place in the records.
pub(crate) struct Ledger {
    shared: Arc<Shared>,
    act: u64,
    connection: usize,
}

impl Ledger {
    /// The fault has come to pass.
    pub(crate) fn strike(&self) {
        self.change(|record, _| record.struck = true);
    }

    /// `bytes` came.
    pub(crate) fn read(&self, direction: Direction, bytes: &[u8]) {
        self.change(|record, keeps_bytes| {
            let place = match direction {
                Direction::ToServer => &mut record.from_client,
                Direction::ToClient => &mut record.from_server,
            };
            if keeps_bytes {
                place.extend_from_slice(bytes);
            }
        });
    }

    /// That many bytes went.
    pub(crate) fn wrote(&self, direction: Direction, bytes: usize) {
        self.change(|record, _| match direction {
            Direction::ToServer => record.to_server += bytes as u64,
            Direction::ToClient => record.to_client += bytes as u64,
        });
    }

    fn change(&self, change: impl FnOnce(&mut Record, bool)) {
        let mut act = self.shared.act();
        // A connection of an act that is over has no record any more.
        if act.number == self.act {
            let keeps_bytes = act.keeps_bytes;
            change(&mut act.records[self.connection], keeps_bytes);
            drop(act);
            self.shared.changes.send_modify(|changes| *changes += 1);
        }
    }
}
