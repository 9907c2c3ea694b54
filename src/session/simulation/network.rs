//! A network that breaks in many ways, in the clock of the test.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use url::Url;

use super::server::Server;
use crate::config::ClientConfig;
use crate::error::{ConnectionFailure, Error, Result};
use crate::session::login::Dial;
use crate::transport::{Socket, Watched};
use crate::wake::Wall;

/// What a connection's pipe holds, in bytes, like the buffers of a socket.
const PIPE_BYTES: usize = 64 << 10;

/// What is carried at a time.
const CHUNK_BYTES: usize = 1 << 10;

/// What connections meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// All is well.
    Clear,
    /// New connections are refused; those that there are go on.
    Refusing,
    /// Nothing moves, and nobody is told: packets wait for better weather.
    Silent,
    /// Connections break after some bytes, in either direction.
    Flaky,
    /// The server answers logins and calls with `RATE_LIMITED`.
    Limiting,
}

/// The network, and where it gets its weather from.
#[derive(Debug)]
pub(super) struct Sky {
    server: Arc<Server>,
    random: Mutex<StdRng>,
    weather: Arc<Changing<Weather>>,
    /// Counts the cuts of all connections.
    cuts: Arc<Changing<u64>>,
    started: Instant,
    /// How long the machine has slept.
    slept: Arc<Mutex<Duration>>,
}

impl Sky {
    pub(super) fn new(server: Arc<Server>, seed: u64) -> Self {
        Self {
            server,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            weather: Changing::new(Weather::Clear),
            cuts: Changing::new(0),
            started: Instant::now(),
            slept: Arc::default(),
        }
    }

    pub(super) fn set(&self, weather: Weather) {
        self.server.limit(weather == Weather::Limiting);
        self.weather.change(|now| *now = weather);
    }

    /// The end of the storm. Connections that are to break after some more bytes still do.
    pub(super) fn clear(&self) {
        self.set(Weather::Clear);
    }

    /// All connections break.
    pub(super) fn cut_all(&self) {
        self.cuts.change(|cuts| *cuts += 1);
    }

    /// The machine sleeps: the wall clock goes on, and the network forgets the connections.
    pub(super) fn sleep(&self, time: Duration) {
        *self.slept.lock().unwrap() += time;
    }

    /// The wall clock of the simulated machine.
    pub(super) fn wall(&self) -> Wall {
        let (slept, started) = (self.slept.clone(), self.started);
        Wall::new(move || SystemTime::UNIX_EPOCH + started.elapsed() + *slept.lock().unwrap())
    }

    /// Opens a connection, or fails to, as the weather has it.
    async fn open(&self, deadline: Duration) -> Result<Socket> {
        let failed = |failure| Error::Connection {
            failure,
            http_status: None,
            retry_after_seconds: None,
            detail: "the weather".to_owned(),
        };
        let (latency, seed) = {
            let mut random = self.random.lock().unwrap();
            (random.random_range(1..300), random.random())
        };
        tokio::time::sleep(Duration::from_millis(latency)).await;
        let weather = self.weather.now();
        match weather {
            Weather::Refusing => return Err(failed(ConnectionFailure::Refused)),
            Weather::Silent => {
                tokio::time::sleep(deadline).await;
                return Err(failed(ConnectionFailure::Timeout));
            }
            Weather::Clear | Weather::Flaky | Weather::Limiting => {}
        }
        let (near, link_near) = tokio::io::duplex(PIPE_BYTES);
        let (link_far, far) = tokio::io::duplex(PIPE_BYTES);
        let link = Link {
            weather: self.weather.clone(),
            cuts: self.cuts.clone(),
        };
        tokio::spawn(link.carry(link_near, link_far, seed, weather == Weather::Flaky));
        tokio::spawn(self.server.clone().serve(far));
        Ok(WebSocketStream::from_raw_socket(Watched::new(near), Role::Client, None).await)
    }
}

impl Dial for Arc<Sky> {
    fn dial<'a>(&'a self, _: &'a Url, config: &'a ClientConfig) -> BoxFuture<'a, Result<Socket>> {
        self.open(config.deadlines.connect).boxed()
    }
}

/// What lies between the two ends of a connection.
struct Link {
    weather: Arc<Changing<Weather>>,
    cuts: Arc<Changing<u64>>,
}

/// A value that many wait for. They wake up in the order in which they came, which a tokio watch
/// does not keep: a seed must replay its schedule.
#[derive(Debug)]
struct Changing<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Changing<T> {
    fn new(value: T) -> Arc<Self> {
        Arc::new(Self {
            value: Mutex::new(value),
            changed: Notify::new(),
        })
    }

    fn now(&self) -> T {
        *self.value.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.value.lock().unwrap());
        self.changed.notify_waiters();
    }

    async fn wait_for(&self, wanted: impl Fn(T) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if wanted(self.now()) {
                return;
            }
            changed.await;
        }
    }
}

impl Link {
    /// Carries the bytes until an end closes, or the weather breaks the connection.
    async fn carry(self, near: DuplexStream, far: DuplexStream, seed: u64, flaky: bool) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes_left = || {
            if flaky {
                random.random_range(0..6_000)
            } else {
                usize::MAX
            }
        };
        let left = [bytes_left(), bytes_left()];
        let latency = Duration::from_millis(random.random_range(1..200));
        let (near_reader, near_writer) = tokio::io::split(near);
        let (far_reader, far_writer) = tokio::io::split(far);
        let cut = self.cuts.now();
        let there = pump(near_reader, far_writer, left[0], latency, &self.weather);
        let back = pump(far_reader, near_writer, left[1], latency, &self.weather);
        tokio::select! {
            biased;
            () = self.cuts.wait_for(|cuts| cuts != cut) => {}
            () = there => {}
            () = back => {}
        }
    }
}

/// Carries bytes one way, each chunk after the latency, at most `left` of them.
async fn pump(
    mut reader: ReadHalf<DuplexStream>,
    mut writer: WriteHalf<DuplexStream>,
    mut left: usize,
    latency: Duration,
    weather: &Changing<Weather>,
) {
    let mut chunk = [0; CHUNK_BYTES];
    while let Ok(read @ 1..) = reader.read(&mut chunk).await {
        tokio::time::sleep(latency).await;
        weather.wait_for(|now| now != Weather::Silent).await;
        let carried = read.min(left);
        left -= carried;
        if writer.write_all(&chunk[..carried]).await.is_err() || left == 0 {
            return;
        }
    }
}
