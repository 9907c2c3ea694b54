//! One connection's life after its handshake: the task that owns the socket, and the calls in
//! flight.
//!
//! Callers hand requests over a bounded queue. One task numbers them, seals them and writes them,
//! flushing once for all that are queued, and reads the answers; a request that has the connection
//! for itself is written by its caller. Reading and writing are two futures that progress
//! independently: a peer that writes before it reads cannot make them wait for each other.

mod reading;
mod writing;

pub(crate) use self::writing::unix_seconds;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, SplitSink};
use futures_util::{FutureExt, SinkExt, StreamExt};
use skyline_protocol::SessionToken;
use skyline_protocol::cipher::SessionKey;
use skyline_protocol::sequence::InFlight;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, SetOnce, mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

use self::writing::Writer;
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::transport::{Activity, Socket};
use crate::wake::Wall;

/// How long a peer may be silent before it is asked for a sign of life. Below the 30 s after
/// which the strictest common middleboxes forget a connection.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// After how long a silence the peer counts as gone: it missed two pings.
const SILENCE_LIMIT: Duration = Duration::from_secs(50);

/// How long a peer may take for a sign of life when there is a reason to doubt that it is still
/// there: several round trips on the worst link, so that a phone that changed its network need
/// not wait for [`SILENCE_LIMIT`].
pub(crate) const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// How often it is looked whether the last call has its answer. It is once in a connection's life,
/// and nobody waits for the moment itself.
const IDLE_STEP: Duration = Duration::from_millis(20);

/// How long the closing frame may take to leave. The peer needs it for nothing but its logs.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// The largest payload that is written on its caller's thread: to seal so much takes about as long
/// as to wake another thread, and a host's event loop does not notice it.
pub(crate) const AT_ONCE_BYTES: usize = 16 << 10;

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

/// Why a connection takes no new request.
#[derive(Debug)]
pub(crate) enum Over {
    /// Its key is nearly used up. The calls in flight go on.
    Spent,
    /// The peer or the network is gone; holds the error that says so.
    Lost(Error),
    /// The client is finished.
    Finished,
}

/// How a connection behaves.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) limits: Limits,
    pub(crate) inline_payloads: bool,
    pub(crate) wall: Wall,
}

/// What a call gets back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The payload of an `OK`; none when there is none.
    Ok(Option<Bytes>),
    /// The call failed, by the server's word or the connection's end.
    Failed(Error),
    /// The connection was lost, or its key is nearly used up, before the request was written: send
    /// it over the next connection.
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
    spent: SetOnce<()>,
    activity: Arc<Activity>,
    /// Taken away when the connection ends.
    writer: Mutex<Option<Writer>>,
    /// Asks whether the peer is still there.
    probe: Notify,
    end: SetOnce<End>,
    options: Options,
}

impl Connection {
    /// Takes a socket over whose handshake is done. `stop` resolves when the connection is to end,
    /// and says how. `ended` is told how it ended before any waiting call has its answer; what it
    /// returns is dropped when the socket is closed.
    pub(crate) fn start<T: Send>(
        socket: Socket,
        key: &SessionKey,
        options: Options,
        stop: impl Future<Output = End> + Send + 'static,
        ended: impl FnOnce(&End) -> T + Send + 'static,
    ) -> Self {
        let (requests, queue) = mpsc::channel(options.limits.calls_in_flight);
        let activity = socket.get_ref().activity();
        let (sealer, opener) = key.cipher();
        let (sink, mut stream) = socket.split();
        let shared = Arc::new(Shared {
            writer: Mutex::new(Some(Writer::new(sink, sealer))),
            in_flight: Mutex::new(InFlight::new()),
            token: Mutex::new(None),
            spent: SetOnce::new(),
            activity,
            probe: Notify::new(),
            end: SetOnce::new(),
            options,
        });
        let task = shared.clone();
        Handle::current().spawn(async move {
            let mut ending = Ending {
                shared: task,
                queue,
            };
            let Ending {
                shared: task,
                queue,
            } = &mut ending;
            let end = first(&mut [
                stop.boxed(),
                reading::read_all(&mut stream, opener, task).boxed(),
                writing::write_all(queue, task).boxed(),
                watch_silence(task).boxed(),
            ])
            .await;
            tracing::debug!(?end, "connection ended");
            let open = ended(&end);
            let sink = task.finish(queue, &end);
            // A breach closes at once, without a word.
            if let (End::Closed, Some(mut sink)) = (&end, sink) {
                let close = async {
                    let _ = sink.send(Message::Close(None)).await;
                };
                let _ = tokio::time::timeout(CLOSE_DEADLINE, close).await;
            }
            drop(stream);
            drop(open);
            // A caller may have had its place in the queue when it closed, and still fills it.
            while let Some(outgoing) = queue.recv().await {
                task.decline(outgoing, &end);
            }
        });
        Self { requests, shared }
    }

    /// Hands a request over, waiting while the queue is full. Its answer comes by
    /// `outgoing.answer`. `false`: the connection has ended, and the request was not written.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> bool {
        match self.write_at_once(outgoing) {
            Ok(()) => true,
            Err(outgoing) => self.requests.send(outgoing).await.is_ok(),
        }
    }

    /// Writes a request that has the connection for itself; gives it back otherwise. Several are
    /// better off in the queue: they leave by one flush.
    fn write_at_once(&self, outgoing: Outgoing) -> Result<(), Outgoing> {
        let size = outgoing.payload.as_ref().map_or(0, Bytes::len);
        let alone = size <= AT_ONCE_BYTES
            && self.requests.capacity() == self.requests.max_capacity()
            && self.shared.in_flight().is_empty();
        if !alone {
            return Err(outgoing);
        }
        match self.shared.writer.try_lock().as_deref_mut() {
            Ok(Some(writer)) => writer.write_at_once(outgoing, &self.shared),
            _ => Err(outgoing),
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

    /// Whether it still takes new requests: it is open and its key is not nearly used up.
    pub(crate) fn takes_requests(&self) -> bool {
        !self.shared.end.initialized() && !self.shared.spent.initialized()
    }

    /// Resolves when it takes no more requests, and says why.
    pub(crate) async fn over(&self) -> Over {
        let end = tokio::select! {
           biased;
            end = self.shared.end.wait() => end,
            _ = self.shared.spent.wait() => return Over::Spent,
        };
        match end {
            End::Lost(_) => Over::Lost(end.error(false)),
            End::Breach(_) | End::Closed => Over::Finished,
        }
    }

    /// How it ended; [`End::Closed`] when it has not.
    pub(crate) fn end(&self) -> End {
        self.shared.end.get().cloned().unwrap_or(End::Closed)
    }

    /// Resolves when no call waits for its answer any more, or the connection has ended.
    pub(crate) async fn idle(&self) {
        while !self.shared.end.initialized() && self.shared.in_flight().iter().any(is_awaited) {
            tokio::time::sleep(IDLE_STEP).await;
        }
    }

    /// Asks the peer for a sign of life and gives it up when none comes soon.
    pub(crate) fn probe(&self) {
        self.shared.probe.notify_one();
    }
}

/// The task's hold on what callers wait for. The end of the application's runtime drops the task
/// where it stands: nobody must wait for it then.
struct Ending {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Outgoing>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.finish(&mut self.queue, &End::Closed);
    }
}

/// Resolves with the first of `futures`. Each is polled only when it was woken itself: a call wakes
/// the writer, its answer the reader, and neither need look at the others' timers and locks.
async fn first(futures: &mut [BoxFuture<'_, End>]) -> End {
    let mut futures: FuturesUnordered<_> = futures.iter_mut().collect();
    // There is one at least.
    futures.next().await.unwrap_or(End::Closed)
}

/// Whether somebody still waits for the answer: nobody does for that of a cancelled call.
fn is_awaited(answer: &oneshot::Sender<Answer>) -> bool {
    !answer.is_closed()
}

impl Shared {
    fn in_flight(&self) -> MutexGuard<'_, InFlight<oneshot::Sender<Answer>>> {
        // Nothing panics while it is held; were it so, the table would still be whole.
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        // Nothing panics while it is held.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a ping written, to which a living peer answers.
    fn ask_for_ping(&self) {
        if let Some(writer) = &mut *self.writer() {
            writer.ask_for_ping();
        }
    }

    fn token(&self) -> MutexGuard<'_, Option<SessionToken>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no new request onto this connection; its calls in flight go on, and it closes when the
    /// last of their callers lets go of it.
    fn retire(&self) {
        if self.spent.set(()).is_ok() {
            tracing::info!("the session key is nearly used up: moving to a fresh connection");
        }
    }

    /// Wipes the token and answers everybody who waits; gives the half of the socket that is
    /// written to.
    fn finish(
        &self,
        queue: &mut mpsc::Receiver<Outgoing>,
        end: &End,
    ) -> Option<SplitSink<Socket, Message>> {
        // Set first: whoever comes later, with a token or a request, reads it.
        let _ = self.end.set(end.clone());
        // From here on no caller puts a call in flight. Before the token goes: none must leave without.
        let writer = self.writer().take();
        self.token().take();
        queue.close();
        for waiting in self.in_flight().drain() {
            let _ = waiting.send(Answer::Failed(end.error(true)));
        }
        while let Ok(outgoing) = queue.try_recv() {
            self.decline(outgoing, end);
        }
        writer.map(Writer::into_sink)
    }

    /// Answers a request that was not written.
    fn decline(&self, outgoing: Outgoing, end: &End) {
        let moves_on = match end {
            End::Lost(_) => true,
            // Retired, and closed because nobody was left to use it.
            End::Closed => self.spent.initialized(),
            End::Breach(_) => false,
        };
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
    tokio::select! {
        biased;
        end = watch_long_silence(shared) => end,
        end = watch_doubts(shared) => end,
    }
}

async fn watch_long_silence(shared: &Shared) -> End {
    loop {
        let silence = shared.activity.silence();
        if silence >= SILENCE_LIMIT {
            return silent(silence);
        }
        if silence >= PING_INTERVAL {
            shared.ask_for_ping();
            tokio::time::sleep(PING_INTERVAL.min(SILENCE_LIMIT - silence)).await;
        } else {
            tokio::time::sleep(PING_INTERVAL - silence).await;
        }
    }
}

/// Where there is a reason to doubt (the machine slept, the host says that the network changed),
/// the peer has less time for a sign of life.
async fn watch_doubts(shared: &Shared) -> End {
    loop {
        tokio::select! {
            biased;
            () = shared.probe.notified() => {}
            () = shared.options.wall.slept() => {}
        }
        let signs = shared.activity.signs();
        shared.ask_for_ping();
        tokio::time::sleep(PROBE_DEADLINE).await;
        if shared.activity.signs() == signs {
            return silent(shared.activity.silence());
        }
    }
}

fn silent(silence: Duration) -> End {
    End::Lost(format!(
        "the server said nothing for {} s",
        silence.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

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
    async fn connection(
        wall: Wall,
    ) -> (
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
        let options = Options {
            limits: Limits::default(),
            inline_payloads: false,
            wall,
        };
        let stop = std::future::pending();
        let connection = Connection::start(socket, &key, options, stop, move |how| {
            let _ = end.send(how.clone());
        });
        (connection, peer, ended)
    }

    /// A wall clock that nobody sets.
    fn steady() -> Wall {
        Wall::new(|| SystemTime::UNIX_EPOCH)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_misses_two_pings_is_gone() {
        let started = Instant::now();
        let (_connection, peer, ended) = connection(steady()).await;
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
        let (_connection, mut peer, mut ended) = connection(steady()).await;
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
        let (_connection, peer, mut ended) = connection(steady()).await;
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

    #[tokio::test(start_paused = true)]
    async fn a_peer_in_doubt_has_less_time_for_a_sign_of_life() {
        let (connection, peer, ended) = connection(steady()).await;
        let started = Instant::now();
        connection.probe();
        assert!(matches!(ended.await.unwrap(), End::Lost(_)));
        assert!(started.elapsed() < PROBE_DEADLINE * 2);
        drop(peer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_in_doubt_that_answers_stays() {
        let (connection, mut peer, mut ended) = connection(steady()).await;
        let reading = tokio::spawn(async move { while peer.next().await.is_some() {} });
        for _ in 0..3 {
            connection.probe();
            tokio::time::sleep(PROBE_DEADLINE * 2).await;
        }
        assert!(ended.try_recv().is_err(), "it ended");
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_went_away_while_the_machine_slept_is_noticed() {
        let started = Instant::now();
        // Ten seconds after the start the machine sleeps for an hour: the wall clock alone goes on.
        let wall = Wall::new(move || {
            let slept = u64::from(started.elapsed() > Duration::from_secs(10)) * 3600;
            SystemTime::UNIX_EPOCH + started.elapsed() + Duration::from_secs(slept)
        });
        let (_connection, peer, ended) = connection(wall).await;
        assert!(matches!(ended.await.unwrap(), End::Lost(_)));
        assert!(
            started.elapsed() < PING_INTERVAL + PROBE_DEADLINE,
            "{:?}",
            started.elapsed()
        );
        drop(peer);
    }

    #[tokio::test]
    async fn the_token_is_wiped_when_the_connection_ends() {
        let (connection, peer, ended) = connection(steady()).await;
        connection.set_token(SessionToken::generate()).unwrap();
        drop(peer);
        ended.await.unwrap();
        assert!(connection.shared.token().is_none());
        connection.set_token(SessionToken::generate()).unwrap_err();
        assert!(connection.shared.token().is_none());
    }
}
