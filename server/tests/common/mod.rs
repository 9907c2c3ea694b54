//! What the tests of the wire share: a server in this process, with a clock that the test sets,
//! and a peer that follows the protocol exactly as far as the test wants.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test file is a crate of its own and uses a part of this"
)]

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
    model::{License, LicenseId},
    serve::Server,
    store::{AuditEntry, NewLicense, ProductChange, SqliteStore, Store},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

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

/// A server with the product `telepower`, listening on a free port of this machine.
pub struct Rig {
    pub server: Arc<Server>,
    pub address: SocketAddr,
    pub identity: IdentityPublicKey,
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub running: JoinHandle<()>,
    _folder: TempDir,
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skyline.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, true).await.unwrap());
        let change = ProductChange::default();
        store.set_product(PRODUCT, &change).await.unwrap();
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
            _folder: folder,
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
            at: self.clock.now(),
        };
        self.store.issue_license(&license).await.unwrap();
        key
    }

    pub async fn stored(&self, key: &LicenseKey) -> License {
        self.store.license_by_key(key).await.unwrap().unwrap()
    }

    pub async fn audit_actions(&self, license: LicenseId) -> Vec<String> {
        let log: Vec<AuditEntry> = self.store.audit_log(license).await.unwrap();
        log.into_iter().map(|entry| entry.action).collect()
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
