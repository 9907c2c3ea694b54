//! One connection's life after its handshake: the task that owns the socket, and the calls in
//! flight.
//!
//! Callers hand requests over a bounded queue. One task numbers them, seals them and writes them,
//! flushing once for all that are queued, and reads the answers. Its reading and its writing are
//! two futures that progress independently: a peer that writes before it reads cannot make them
//! wait for each other.

mod reading;
mod writing;

pub(crate) use self::writing::unix_seconds;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use skyline_protocol::SessionToken;
use skyline_protocol::cipher::SessionKey;
use skyline_protocol::sequence::InFlight;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

use crate::config::Limits;
use crate::error::{Error, Result};
use crate::transport::{Activity, Socket};

/// How long a peer may be silent before it is asked for a sign of life. Below the 30 s after
/// which the strictest common middleboxes forget a connection.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// After how long a silence the peer counts as gone: it missed two pings.
const SILENCE_LIMIT: Duration = Duration::from_secs(50);

/// How long the closing frame may take to leave. The peer needs it for nothing but its logs.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// The peer or the network is gone.
    Lost(String),
    /// The integrity of the session was violated; holds that error.
    Breach(Error),
    /// The client wanted it so.
    Closed,
}

/// What a call gets back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The payload of an `OK`; none when there is none.
    Ok(Option<Bytes>),
    /// The call failed, by the server's word or the connection's end.
    Failed(Error),
    /// This connection's key is nearly used up. The request was not sent: send it over the next
    /// connection.
    Unsent,
}

/// A request on its way to the socket.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Arc<str>,
    /// The MessagePack of one value.
    pub(crate) payload: Option<Bytes>,
    /// `t`; the time of writing when absent.
    pub(crate) timestamp: Option<i64>,
    pub(crate) answer: oneshot::Sender<Answer>,
    /// The room that the payload takes among the bytes in flight; given back when it is written.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// A connection after its handshake. Dropping the last handle closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
}

/// What the callers and the connection's task share.
#[derive(Debug)]
struct Shared {
    in_flight: Mutex<InFlight<oneshot::Sender<Answer>>>,
    /// Taken away, and so wiped, when the connection ends.
    token: Mutex<Option<SessionToken>>,
    /// The key is nearly used up: no new request goes over this connection.
    spent: AtomicBool,
    activity: Arc<Activity>,
    /// Asks the writer for a ping.
    ping: Notify,
    end: OnceLock<End>,
    limits: Limits,
    inline_payloads: bool,
}

impl Connection {
    /// Takes a socket over whose handshake is done. `stop` resolves when the connection is to end,
    /// and says how. `ended` is told how it ended and whether it was retired, before any waiting
    /// call has its answer; what it returns is dropped when the socket is closed.
    pub(crate) fn start<T: Send>(
        socket: Socket,
        key: &SessionKey,
        limits: Limits,
        inline_payloads: bool,
        stop: impl Future<Output = End> + Send + 'static,
        ended: impl FnOnce(&End, bool) -> T + Send + 'static,
    ) -> Self {
        let (requests, queue) = mpsc::channel(limits.calls_in_flight);
        let shared = Arc::new(Shared {
            in_flight: Mutex::new(InFlight::new()),
            token: Mutex::new(None),
            spent: AtomicBool::new(false),
            activity: socket.get_ref().activity(),
            ping: Notify::new(),
            end: OnceLock::new(),
            limits,
            inline_payloads,
        });
        let (sealer, opener) = key.cipher();
        let task = shared.clone();
        Handle::current().spawn(async move {
            let mut queue = queue;
            let (mut sink, mut stream) = socket.split();
            let end = tokio::select! {
                biased;
                end = stop => end,
                end = reading::read_all(&mut stream, opener, &task) => end,
                end = writing::write_all(&mut sink, &mut queue, sealer, &task) => end,
                end = watch_silence(&task) => end,
            };
            tracing::debug!(?end, "connection ended");
            let open = ended(&end, task.spent.load(Ordering::Acquire));
            task.finish(&mut queue, &end);
            // A breach closes at once, without a word.
            if matches!(end, End::Closed) {
                let close = async {
                    let _ = sink.send(Message::Close(None)).await;
                };
                let _ = tokio::time::timeout(CLOSE_DEADLINE, close).await;
            }
            drop((sink, stream));
            drop(open);
            // A caller may have had its place in the queue when it closed, and still fills it.
            while let Some(outgoing) = queue.recv().await {
                task.decline(outgoing, &end);
            }
        });
        Self { requests, shared }
    }

    /// Hands a request over, waiting while the queue is full. Its answer comes by
    /// `outgoing.answer`.
    ///
    /// # Errors
    ///
    /// How the connection ended, when it has.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<(), End> {
        match self.requests.send(outgoing).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.shared.end.get().cloned().unwrap_or(End::Closed)),
        }
    }

    /// Gives the token that every request from now on carries.
    ///
    /// # Errors
    ///
    /// How the connection ended, when it has: a token must not outlive it.
    pub(crate) fn set_token(&self, token: SessionToken) -> Result<(), End> {
        let mut place = self.shared.token();
        if let Some(end) = self.shared.end.get() {
            return Err(end.clone());
        }
        *place = Some(token);
        Ok(())
    }

    /// Whether new requests need another connection because this one's key is nearly used up.
    pub(crate) fn is_spent(&self) -> bool {
        self.shared.spent.load(Ordering::Acquire)
    }
}

impl Shared {
    fn in_flight(&self) -> MutexGuard<'_, InFlight<oneshot::Sender<Answer>>> {
        // Nothing panics while it is held; were it so, the table would still be whole.
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self) -> MutexGuard<'_, Option<SessionToken>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no new request onto this connection; its calls in flight go on, and it closes when the
    /// last of their callers lets go of it.
    fn retire(&self) {
        if !self.spent.swap(true, Ordering::AcqRel) {
            tracing::info!("the session key is nearly used up: moving to a fresh connection");
        }
    }

    /// Wipes the token and answers everybody who waits.
    fn finish(&self, queue: &mut mpsc::Receiver<Outgoing>, end: &End) {
        // Set first: whoever comes later, with a token or a request, reads it.
        let _ = self.end.set(end.clone());
        self.token().take();
        queue.close();
        for waiting in self.in_flight().drain() {
            let _ = waiting.send(Answer::Failed(end.error(true)));
        }
        while let Ok(outgoing) = queue.try_recv() {
            self.decline(outgoing, end);
        }
    }

    /// Answers a request that was not written.
    fn decline(&self, outgoing: Outgoing, end: &End) {
        let moves_on = self.spent.load(Ordering::Acquire) && !matches!(end, End::Breach(_));
        let answer = if moves_on {
            Answer::Unsent
        } else {
            Answer::Failed(end.error(false))
        };
        let _ = outgoing.answer.send(answer);
    }
}

impl End {
    /// The error of a call that this end overtook. `written`: its request may have reached the
    /// server.
    pub(crate) fn error(&self, written: bool) -> Error {
        match self {
            Self::Lost(detail) => Error::ConnectionLost {
                detail: detail.clone(),
                maybe_executed: written,
            },
            Self::Breach(error) => error.clone(),
            Self::Closed => Error::ShutDown {
                maybe_executed: written,
            },
        }
    }
}

/// Asks a silent peer for a sign of life, and gives it up when none comes.
async fn watch_silence(shared: &Shared) -> End {
    loop {
        let silence = shared.activity.silence();
        if silence >= SILENCE_LIMIT {
            return End::Lost(format!(
                "the server said nothing for {} s",
                silence.as_secs()
            ));
        }
        if silence >= PING_INTERVAL {
            shared.ping.notify_one();
            tokio::time::sleep(PING_INTERVAL.min(SILENCE_LIMIT - silence)).await;
        } else {
            tokio::time::sleep(PING_INTERVAL - silence).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use skyline_protocol::handshake::KeyDerivation;
    use skyline_protocol::handshake::{ClientHandshake, ServerHandshake};
    use skyline_protocol::identity::IdentityKeyPair;
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;
    use crate::transport::Watched;

    /// A connection in the clock of the test, the peer's end of it, and how it ends.
    async fn connection() -> (
        Connection,
        WebSocketStream<DuplexStream>,
        oneshot::Receiver<End>,
    ) {
        let identity = IdentityKeyPair::generate();
        let (client, hello) = ClientHandshake::start();
        let derivation = KeyDerivation::default();
        let (answer, _) = ServerHandshake::answer(&hello, &identity, &derivation).unwrap();
        let key = client
            .finish(&answer, &[identity.public()], &derivation)
            .unwrap();

        let (near, far) = tokio::io::duplex(1 << 16);
        let near = Watched::new(near);
        let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        let peer = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let (end, ended) = oneshot::channel();
        let (limits, stop) = (Limits::default(), std::future::pending());
        let connection = Connection::start(socket, &key, limits, false, stop, move |how, _| {
            let _ = end.send(how.clone());
        });
        (connection, peer, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_misses_two_pings_is_gone() {
        let started = Instant::now();
        let (_connection, peer, ended) = connection().await;
        assert!(matches!(ended.await.unwrap(), End::Lost(_)));
        let elapsed = started.elapsed();
        assert!(
            SILENCE_LIMIT <= elapsed && elapsed < SILENCE_LIMIT + PING_INTERVAL,
            "{elapsed:?}"
        );
        drop(peer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_answers_pings_stays() {
        let (_connection, mut peer, mut ended) = connection().await;
        let mut pings = 0;
        while pings < 10 {
            // Reading answers a ping by itself.
            let message = peer.next().await.unwrap().unwrap();
            pings += usize::from(message.is_ping());
        }
        assert!(ended.try_recv().is_err(), "it ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_packet_on_a_slow_link_is_a_sign_of_life() {
        let (_connection, peer, mut ended) = connection().await;
        let mut wire = peer.into_inner();
        // The head of a binary frame of 64 KiB (RFC 6455, section 5.2), then a byte at a time.
        wire.write_all(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])
            .await
            .unwrap();
        for _ in 0..20 {
            tokio::time::sleep(SILENCE_LIMIT / 2).await;
            wire.write_all(&[0]).await.unwrap();
        }
        assert!(ended.try_recv().is_err(), "it ended");
    }

    #[tokio::test]
    async fn the_token_is_wiped_when_the_connection_ends() {
        let (connection, peer, ended) = connection().await;
        connection.set_token(SessionToken::generate()).unwrap();
        drop(peer);
        ended.await.unwrap();
        assert!(connection.shared.token().is_none());
        connection.set_token(SessionToken::generate()).unwrap_err();
        assert!(connection.shared.token().is_none());
    }
}
