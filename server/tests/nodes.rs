//! Several server processes on one PostgreSQL behind a load balancer: what must be right on one
//! node is right on three, also when one of them is killed.

mod common;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{
    Answer, Database, Login, PRODUCT, Peer, Received, Socket,
    database::PostgresServer,
    open_answer, pack,
    process::{Installation, PLAN, Running, command, fail, succeed},
    within,
};
use futures_util::{SinkExt, future::join_all};
use rmpv::Value;
use skyline_protocol::{
    ClientHandshake, IdentityPublicKey, KeyDerivation, LicenseKey, Payload, Request, methods,
};
use skyline_server::store::{AuditFilter, EventFilter, SqlStore, Store};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_tungstenite::{client_async, tungstenite::Message};

/// How long a client waits before it turns to the next node. Far more than a living node takes, as
/// a login that arrives after a later one would be out of order; a dead one is told at once by the
/// end of the connection.
const PATIENCE: Duration = Duration::from_secs(20);

/// Server processes on one database, with a load balancer before them.
struct Cluster {
    installation: Installation,
    database: Database,
    nodes: Vec<Option<Running>>,
    balancer: SocketAddr,
}

impl Cluster {
    async fn start(nodes: usize) -> Self {
        let installation = Installation::new().await;
        let database = Database::new(common::Backend::Postgres).await;
        let mut cluster = Self {
            installation,
            database,
            nodes: Vec::new(),
            balancer: ([127, 0, 0, 1], 0).into(),
        };
        // At the same time: each brings the new database up to date.
        let options = cluster.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let starts = (0..nodes).map(|_| cluster.installation.serve(&options));
        cluster.nodes = join_all(starts).await.into_iter().map(Some).collect();
        cluster.admin(&["product", "set", PRODUCT]).await;
        let addresses = cluster.nodes.iter().flatten().map(|node| node.address);
        cluster.balancer = balance(addresses.collect()).await;
        cluster
    }

    fn options(&self) -> Vec<String> {
        let secret = self.database.key_secret().to_str().unwrap().to_owned();
        [
            "--database",
            &self.database.address,
            "--license-key-secret",
            &secret,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    async fn admin(&self, arguments: &[&str]) -> String {
        let options = self.options();
        let options = options.iter().map(String::as_str);
        let all: Vec<&str> = arguments.iter().copied().chain(options).collect();
        succeed(self.installation.path(), &all).await
    }

    async fn license(&self) -> LicenseKey {
        let issue = ["license", "issue", "--product", PRODUCT, "--plan", PLAN];
        self.admin(&issue).await.trim_end().parse().unwrap()
    }

    /// A session on each node, of one license.
    async fn session_on_each_node(&self, login: &Login) -> Vec<Peer> {
        let mut peers = Vec::new();
        let mut login = login.clone();
        for node in self.nodes.iter().flatten() {
            let mut peer = node.peer(&self.installation).await;
            peer.log_in(&login).await.expect_ok();
            login = login.at(login.timestamp + 1, login.timestamp);
            peers.push(peer);
        }
        peers
    }

    async fn kill(&mut self, node: usize) {
        let node = self.nodes[node].take().unwrap();
        node.signal("KILL").await;
        let (code, _) = node.end().await;
        assert_eq!(code, None, "killed by a signal");
    }
}

/// A load balancer of TCP connections, round robin over the nodes that answer.
async fn balance(nodes: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (nodes, next) = (nodes.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                for _ in 0..nodes.len() {
                    let node = nodes[next.fetch_add(1, Ordering::Relaxed) % nodes.len()];
                    if let Ok(mut node) = TcpStream::connect(node).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A peer that takes the end of a connection for what it is: here a node dies.
async fn try_open(address: SocketAddr, identity: &IdentityPublicKey) -> Option<Peer> {
    let tcp = TcpStream::connect(address).await.ok()?;
    let opened = client_async(format!("ws://{address}/ws"), tcp).await;
    let mut socket = Socket(opened.ok()?.0);
    let (handshake, hello) = ClientHandshake::start();
    socket.0.send(Message::Binary(hello.into())).await.ok()?;
    let Received::Binary(answer) = socket.receive().await else {
        return None;
    };
    let pinned = [identity.clone()];
    let key = handshake.finish(&answer, &pinned, &KeyDerivation::default());
    let key = key.unwrap();
    let (sealer, opener) = key.cipher();
    Some(Peer {
        socket,
        sealer,
        opener,
        seq: 0,
        token: None,
        session_key: String::new(),
    })
}

async fn try_call(
    peer: &mut Peer,
    timestamp: i64,
    method: &str,
    payload: Option<&[u8]>,
) -> Option<Answer> {
    let token = peer.token.clone();
    let request = Request {
        seq: peer.seq,
        timestamp,
        method,
        token: token.as_deref(),
        payload: payload.map_or(Payload::None, Payload::Binary),
    };
    peer.seq += 1;
    let packet = peer.seal(&request);
    peer.socket.0.send(Message::Binary(packet)).await.ok()?;
    match peer.socket.receive().await {
        Received::Binary(packet) => Some(open_answer(&mut peer.opener, packet)),
        _ => None,
    }
}

/// One client's work: log in, read the limits, send an event. `Err`: the node died; whether it had
/// taken the login or the event, the client cannot know.
async fn work(
    cluster: &Cluster,
    login: &Login,
    event: &[u8],
    accepted: &mut i64,
) -> Result<(), ()> {
    let identity = &cluster.installation.identity;
    let attempt = async {
        let mut peer = try_open(cluster.balancer, identity).await?;
        let payload = pack(&login.request);
        let start = methods::START_SESSION;
        let answer = try_call(&mut peer, login.timestamp, start, Some(&payload)).await?;
        let answer = answer.expect_ok();
        let session: methods::StartSessionResponse = answer.payload();
        peer.token = Some(session.session_token.expose().to_owned());
        *accepted = login.timestamp;
        try_call(&mut peer, 0, "get-limits", None)
            .await?
            .expect_ok();
        try_call(&mut peer, 0, "send-event", Some(event))
            .await?
            .expect_ok();
        Some(())
    };
    timeout(PATIENCE, attempt).await.ok().flatten().ok_or(())
}

fn event(id: &str) -> Vec<u8> {
    let data = Value::Map(vec![]);
    pack(&Value::Map(vec![
        ("event".into(), "app.work".into()),
        ("data".into(), data),
        ("id".into(), id.into()),
    ]))
}

async fn stored_events(store: &SqlStore, key: &LicenseKey) -> Vec<String> {
    let license = store.license_by_key(key).await.unwrap().unwrap();
    let filter = EventFilter {
        license: Some(license.id),
        ..EventFilter::default()
    };
    let stored = store.events(&filter, 0).await.unwrap();
    stored
        .into_iter()
        .map(|stored| stored.event.id.unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_race_by_way_of_several_nodes_do_not_both_get_a_license() {
    const LICENSES: usize = 10;
    const DEVICES: usize = 6;
    let cluster = Cluster::start(3).await;
    let mut attempts = Vec::new();
    for _ in 0..LICENSES {
        let login = Login::new(&cluster.license().await);
        for device in 0..DEVICES {
            let name = format!("device {device}");
            let login = login.with(|request| request.device_serial_number = name);
            let cluster = &cluster;
            attempts.push(async move {
                let identity = &cluster.installation.identity;
                let socket = Socket::open(cluster.balancer).await;
                socket
                    .shake_hands(identity)
                    .await
                    .log_in(&login)
                    .await
                    .status
            });
        }
    }
    let statuses = join_all(attempts).await;
    for statuses in statuses.chunks(DEVICES) {
        let count = |wanted: &str| statuses.iter().filter(|status| *status == wanted).count();
        assert_eq!(count("OK"), 1, "{statuses:?}");
        assert_eq!(count("KEY_BOUND_TO_ANOTHER_DEVICE"), DEVICES - 1);
    }
    println!("{} logins of {LICENSES} licenses raced", statuses.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_spread_over_nodes_lose_and_double_nothing_when_one_is_killed() {
    const CLIENTS: usize = 12;
    const ROUNDS: usize = 8;
    let mut cluster = Cluster::start(3).await;
    let mut keys = Vec::new();
    for _ in 0..CLIENTS {
        keys.push(cluster.license().await);
    }
    let rounds_done = AtomicUsize::new(0);
    let mut victim = cluster.nodes[1].take();
    let lost = AtomicUsize::new(0);
    let clients = keys.iter().enumerate().map(|(number, key)| {
        let (cluster, rounds_done, lost) = (&cluster, &rounds_done, &lost);
        async move {
            let login = Login::new(key)
                .with(|request| request.device_serial_number = format!("device {number}"));
            let (mut accepted, mut timestamp) = (0, 1_000);
            for round in 0..ROUNDS {
                // As the durable queue of a client does: the same event until it is acknowledged.
                let event = event(&format!("{number}-{round}"));
                loop {
                    timestamp += 1;
                    let attempt = login.at(timestamp, accepted);
                    if work(cluster, &attempt, &event, &mut accepted).await.is_ok() {
                        break;
                    }
                    lost.fetch_add(1, Ordering::Relaxed);
                }
                // An answer that was lost: the event is sent again, to whichever node.
                timestamp += 1;
                let again = login.at(timestamp, accepted);
                let _ = work(cluster, &again, &event, &mut accepted).await;
                rounds_done.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let kill = async {
        while rounds_done.load(Ordering::Relaxed) < CLIENTS * ROUNDS / 3 {
            sleep(Duration::from_millis(5)).await;
        }
        let node = victim.take().unwrap();
        node.signal("KILL").await;
        node.end().await
    };
    let all = async { tokio::join!(join_all(clients), kill) };
    let (_, (code, _)) = timeout(Duration::from_secs(120), all).await.unwrap();
    assert_eq!(code, None, "killed by a signal");

    let store = cluster.database.open().await;
    for (number, key) in keys.iter().enumerate() {
        let expected: Vec<_> = (0..ROUNDS)
            .map(|round| format!("{number}-{round}"))
            .collect();
        assert_eq!(stored_events(&store, key).await, expected);
    }
    // No login of these was out of order, and nothing was refused.
    let log = store.audit_log(&AuditFilter::default(), 0).await.unwrap();
    let odd: Vec<_> = log
        .iter()
        .filter(|entry| entry.action == "resync" || entry.action.starts_with("refused"))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    let activated = log.iter().filter(|entry| entry.action == "activated");
    assert_eq!(activated.count(), CLIENTS);
    println!(
        "{CLIENTS} clients, {} logins or events cut off by the kill",
        lost.load(Ordering::Relaxed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_changes_holds_on_every_node() {
    let mut cluster = Cluster::start(3).await;
    let key = cluster.license().await;
    let mut peers = cluster.session_on_each_node(&Login::new(&key)).await;
    cluster
        .admin(&["plan", "set", PLAN, "--limit", "a.b=7"])
        .await;
    for peer in &mut peers {
        let limits: Value = peer.call("get-limits", None).await.expect_ok().payload();
        let limit = limits
            .as_map()
            .unwrap()
            .iter()
            .find(|(name, _)| name.as_str() == Some("a.b"));
        assert_eq!(limit.unwrap().1.as_i64(), Some(7));
    }
    cluster.admin(&["license", "suspend", key.expose()]).await;
    for peer in &mut peers {
        let answer = peer.call("get-limits", None).await;
        answer.expect("LICENSE_SUSPENDED");
    }
    cluster.kill(0).await;
    cluster.admin(&["license", "resume", "1"]).await;
    for peer in &mut peers[1..] {
        peer.call("get-limits", None).await.expect_ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_outlives_a_restart_of_its_database() {
    let server = PostgresServer::start();
    let database = Database::on(&server).await;
    let installation = Installation::new().await;
    let secret = database.key_secret().to_str().unwrap().to_owned();
    let options = [
        "--database",
        &database.address,
        "--license-key-secret",
        &secret,
    ];
    succeed(
        installation.path(),
        &[&["product", "set", PRODUCT][..], &options].concat(),
    )
    .await;
    let issue = ["license", "issue", "--product", PRODUCT, "--plan", PLAN];
    let key = succeed(installation.path(), &[&issue[..], &options].concat()).await;
    let login = Login::new(&key.trim_end().parse().unwrap());
    let running = installation.serve(&options).await;
    let mut peer = running.peer(&installation).await;
    peer.log_in(&login).await.expect_ok();
    peer.call("get-limits", None).await.expect_ok();
    server.restart();
    let back = async {
        while peer.call("get-limits", None).await.status != "OK" {
            sleep(Duration::from_millis(50)).await;
        }
    };
    within(back).await;
    let mut next = running.peer(&installation).await;
    next.log_in(&login.at(2_000, 1_000)).await.expect_ok();
}

#[tokio::test]
async fn a_password_of_the_database_is_in_no_error_and_no_log() {
    let database = Database::new(common::Backend::Postgres).await;
    let installation = Installation::new().await;
    let (before, after) = database.address.split_once("://skyline:").unwrap();
    let (password, rest) = after.split_once('@').unwrap();
    let wrong = format!("{before}://skyline:not-{password}@{rest}");
    let secret = database.key_secret().to_str().unwrap().to_owned();
    let not_a_url = format!("postgres://skyline:{password}@[/");
    for address in [&wrong, &not_a_url] {
        let arguments = ["serve", "--log", "trace", "--database", address];
        let arguments = [&arguments[..], &["--license-key-secret", &secret]].concat();
        let errors = fail(installation.path(), 1, &arguments).await;
        assert!(!errors.contains(password), "{errors}");
    }
    let unnamed = ["license", "list", "--database", &database.address];
    let errors = fail(installation.path(), 1, &unnamed).await;
    assert!(errors.contains("--license-key-secret"), "{errors}");

    let options = [
        "--log",
        "trace",
        "--database",
        &database.address,
        "--license-key-secret",
        &secret,
    ];
    let running = installation.serve(&options).await;
    running.signal("TERM").await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("serving") && !log.contains(password), "{log}");
    // Nor is it shown where the help tells what the environment says.
    let help = command(installation.path())
        .env("SKYLINE_DATABASE", &database.address)
        .args(["serve", "--help"])
        .output();
    let help = String::from_utf8(within(help).await.unwrap().stdout).unwrap();
    assert!(help.contains("SKYLINE_DATABASE") && !help.contains(password));
}
