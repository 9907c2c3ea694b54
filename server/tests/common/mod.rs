//! What the tests of the wire share: a server in this process, with a clock that the test sets,
//! and a peer that follows the protocol exactly as far as the test wants.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test file is a crate of its own and uses a part of this"
)]

pub mod database;
mod peer;
pub mod process;

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{Timestamp, ToSpan};
use skyline_protocol::{IdentityKeyPair, IdentityPublicKey, LicenseKey};
use skyline_server::{
    clock::Clock,
    config::ServerConfig,
    model::{Actor, License, LicenseId, Stamp},
    serve::Server,
    store::{AuditFilter, NewLicense, ProductChange, Store},
};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

pub use database::{Backend, Database};
pub use peer::{Answer, Login, Peer, Received, Socket, open_answer, pack};

/// Every wait of a test ends after this time: far more than anything here takes.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub const PRODUCT: &str = "telepower";
pub const MONTHLY: &str = "telepower.licensePlan.release.monthly";
pub const YEARLY: &str = "telepower.licensePlan.release.yearly";

/// Long enough for an answer that should not come to come, if it did.
pub const QUIET: Duration = Duration::from_millis(300);

/// The payload of `test.delay`.
pub fn milliseconds(number: u64) -> Vec<u8> {
    pack(&BTreeMap::from([("milliseconds", number)]))
}

/// A payload that is a bin.
pub fn binary(bytes: &[u8]) -> Vec<u8> {
    pack(&rmpv::Value::from(bytes))
}

/// Waits, but not for ever.
pub async fn within<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future)
        .await
        .expect("it did not happen in time")
}

/// A clock that stands still until the test moves it.
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    pub fn set(&self, moment: &str) {
        *self.0.lock().unwrap() = moment.parse().unwrap();
    }

    pub fn advance_days(&self, days: i64) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add((days * 24).hours()).unwrap();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// An administrator, at the beginning of time.
pub fn by() -> Stamp {
    Stamp {
        who: Actor::administrator(),
        at: Timestamp::UNIX_EPOCH,
    }
}

/// The database of the rigs: `tests/on_postgres.rs` has the tests of other files once more.
fn backend() -> Backend {
    match env!("CARGO_CRATE_NAME") {
        "on_postgres" => Backend::Postgres,
        _ => Backend::Sqlite,
    }
}

/// A server with the product `telepower`, listening on a free port of this machine.
pub struct Rig {
    pub server: Arc<Server>,
    pub address: SocketAddr,
    pub identity: IdentityPublicKey,
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub running: JoinHandle<()>,
    pub database: Database,
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let database = Database::new(backend()).await;
        let store: Arc<dyn Store> = Arc::new(database.open().await);
        let change = ProductChange::default();
        store.set_product(PRODUCT, &change, &by()).await.unwrap();
        let mut config = ServerConfig {
            test_hooks: true,
            ..ServerConfig::default()
        };
        configure(&mut config);
        let identity = IdentityKeyPair::generate();
        let public = identity.public();
        let clock = Arc::new(ManualClock(Mutex::new(
            "2024-10-25T12:00:00Z".parse().unwrap(),
        )));
        let shared_clock: Arc<dyn Clock> = clock.clone();
        let server = Server::new(config, identity, Arc::clone(&store), shared_clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = tokio::spawn(Arc::clone(&server).run(listener, None));
        Self {
            server,
            address,
            identity: public,
            store,
            clock,
            running,
            database,
        }
    }

    pub async fn license(&self) -> LicenseKey {
        self.license_with(MONTHLY, BTreeMap::new()).await
    }

    pub async fn license_with(&self, plan: &str, limits: BTreeMap<String, i64>) -> LicenseKey {
        let key = LicenseKey::generate();
        let license = NewLicense {
            key: key.clone(),
            product_id: PRODUCT.to_owned(),
            plan_id: plan.to_owned(),
            limits,
            by: Stamp {
                at: self.clock.now(),
                ..by()
            },
        };
        self.store.issue_license(&license).await.unwrap();
        key
    }

    pub async fn stored(&self, key: &LicenseKey) -> License {
        self.store.license_by_key(key).await.unwrap().unwrap()
    }

    /// What the audit log says of a license, in order; counts of repeats are written out.
    pub async fn audit_actions(&self, license: LicenseId) -> Vec<String> {
        self.server.write_refusals().await;
        let filter = AuditFilter {
            license: Some(license),
            ..AuditFilter::default()
        };
        let log = self.store.audit_log(&filter, 0).await.unwrap();
        log.into_iter()
            .flat_map(|entry| vec![entry.action; usize::try_from(entry.times).unwrap()])
            .collect()
    }

    /// A peer that has only opened the WebSocket.
    pub async fn socket(&self) -> Socket {
        Socket::open(self.address).await
    }

    /// A peer that has a session key and no session.
    pub async fn peer(&self) -> Peer {
        self.socket().await.shake_hands(&self.identity).await
    }

    /// A peer with an open session, of a license of its own.
    pub async fn session(&self) -> Peer {
        let login = Login::new(&self.license().await);
        let mut peer = self.peer().await;
        peer.log_in(&login).await.expect_ok();
        peer
    }

    /// The same over a network that holds little.
    pub async fn narrow_session(&self) -> Peer {
        let login = Login::new(&self.license().await);
        let socket = Socket::open_narrow(self.address).await;
        let mut peer = socket.shake_hands(&self.identity).await;
        peer.log_in(&login).await.expect_ok();
        peer
    }

    /// Asserts that the server is as well as before.
    pub async fn still_serves(&self) {
        let mut peer = self.session().await;
        peer.call("get-limits", None).await.expect_ok();
    }

    /// Logs in and makes one more call, so that the login is confirmed.
    pub async fn confirmed_login(&self, login: &Login) -> Answer {
        let mut peer = self.peer().await;
        let answer = peer.log_in(login).await;
        if answer.status == "OK" {
            peer.call("get-limits", None).await.expect_ok();
        }
        answer
    }
}
