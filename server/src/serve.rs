//! The listening node: accepts connections, speaks TLS and HTTP, and stops in good order.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use skyline_protocol::{IdentityKeyPair, IdentityPublicKey};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower::ServiceExt;
use tracing::Instrument;

use crate::{
    address::Proxies,
    admission::{Admission, Place},
    clock::Clock,
    config::ServerConfig,
    connection::CLOSE_DEADLINE,
    http,
    identity::{IdentityFileError, Keyring, Keys},
    messages::Messages,
    metrics::{Counted, Metrics},
    model::{Actor, Stamp},
    readiness::Readiness,
    refusals::{RefusalLog, Refused},
    store::{NewAuditEntry, Store},
    stream::{Meter, Metered},
    tls::Certificate,
};

/// The only path of the protocol (docs/protocol.md, section 1).
pub const WEBSOCKET_PATH: &str = "/ws";

/// Largest head of an HTTP request, in bytes: what common proxies let pass.
const MAX_HTTP_HEAD_BYTES: usize = 16 * 1024;

/// Pause after a failed accept: the usual reason, no free file descriptor, does not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the audit log calls it when an address has too many connections open.
pub(crate) const REFUSED_CONNECTION: &str = "refused-too-many-connections";

/// What all connections of a node share.
pub struct Server {
    pub(crate) config: ServerConfig,
    pub(crate) identity: Keyring,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) messages: Messages,
    pub(crate) refusals: RefusalLog,
    pub(crate) proxies: Proxies,
    pub(crate) admission: Admission,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    /// A permit for each download: half of the connections are kept for sessions.
    pub(crate) downloads: Arc<Semaphore>,
    /// No longer to be sent clients.
    stopping: CancellationToken,
    /// No connection is accepted, and no request read, from here on.
    pub(crate) stop: CancellationToken,
}

impl Server {
    /// A node that is not yet listening.
    pub fn new(
        config: ServerConfig,
        identity: IdentityKeyPair,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let trusted = config.trusted_proxies.clone();
        let metrics = Metrics::new();
        metrics.set_max_connections(config.max_connections);
        Arc::new(Self {
            proxies: Proxies::new(trusted, config.proxy_header),
            admission: Admission::new(&config),
            metrics,
            readiness: Readiness::default(),
            downloads: Arc::new(Semaphore::new(
                (config.max_connections / 2).clamp(1, Semaphore::MAX_PERMITS),
            )),
            config,
            identity: Keyring::new(identity),
            store,
            clock,
            messages: Messages::new(),
            refusals: RefusalLog::default(),
            stopping: CancellationToken::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Tells the key that is to follow the current identity key, if one is known.
    pub fn announce_identity(&self, next: Option<IdentityPublicKey>) {
        self.identity.announce(next);
    }

    /// Takes over identity keys that were read again: new handshakes are signed with the current
    /// one.
    ///
    /// # Errors
    /// [`IdentityFileError::Unannounced`] when the current key is another one than before and was
    /// not the next one; then nothing changes.
    pub async fn replace_identity(&self, keys: Keys) -> Result<(), IdentityFileError> {
        let before = self.identity.current().public();
        self.identity.replace(keys)?;
        let now = self.identity.current().public();
        if now != before {
            let by = Stamp {
                who: Actor::administrator(),
                at: self.clock.now(),
            };
            let entry = NewAuditEntry::new(&by, "identity-changed", format!("{before} to {now}"));
            if let Err(error) = self.store.append_audit(&[entry]).await {
                tracing::error!(%error, "the change of the identity key is missing in the audit log");
            }
        }
        Ok(())
    }

    /// Counts a reload of keys or certificates.
    pub fn count_reload(&self, succeeded: bool) {
        self.metrics.reload(succeeded);
    }

    /// Begins to stop: the server is not ready any more; after the drain delay no connection is
    /// accepted; calls in flight may finish within the drain deadline; then every peer gets a close
    /// frame. [`Server::run`] returns after that.
    pub fn stop(&self) {
        self.stopping.cancel();
        self.metrics.drain();
    }

    /// Whether [`Server::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Writes the refusals that are counted but not yet written: before the store is closed.
    pub async fn write_refusals(&self) {
        self.refusals.flush(&self.store).await;
    }

    /// Notes a refusal in the audit log, and waits until it is written.
    pub(crate) async fn note(&self, refused: Refused) {
        let writing = self.refusals.note(&self.store, self.clock.now(), refused);
        if let Some(writing) = writing {
            // It fails when it panics, which is in the log.
            let _ = writing.await;
        }
    }

    /// Notes in the audit log, without waiting for it, that an address got nothing at all.
    pub(crate) fn note_turned_away(&self, address: IpAddr, action: &'static str, detail: &str) {
        let refused = Refused {
            address,
            action,
            license: None,
            product: None,
            detail: detail.to_owned(),
        };
        // The task goes on by itself.
        drop(self.refusals.note(&self.store, self.clock.now(), refused));
    }

    /// Serves until [`Server::stop`], over TLS if there is a certificate.
    pub async fn run(self: Arc<Self>, listener: TcpListener, tls: Option<Arc<Certificate>>) {
        let router = http::router(&self);
        let most = self.config.max_connections.min(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(most));
        let tracker = TaskTracker::new();
        let stop = async {
            self.stopping.cancelled().await;
            sleep(self.config.drain_delay).await;
            self.stop.cancel();
        };
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &slots) => accepted,
            };
            let (tcp, peer, slot) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let span = tracing::info_span!("connection", %peer, client = tracing::field::Empty);
            let place = if self.proxies.trust(peer.ip()) {
                // Its clients are told apart by what it tells of them.
                None
            } else {
                let Some(place) = self.admission.open(peer.ip(), &self.metrics) else {
                    let _in_span = span.enter();
                    tracing::debug!("the address has too many connections");
                    self.note_turned_away(peer.ip(), REFUSED_CONNECTION, "");
                    continue;
                };
                Some(place)
            };
            let accepted = Arc::new(Accepted {
                meter: Meter::new(),
                peer: peer.ip(),
                place,
                _counted: self.metrics.connection(),
                _slot: slot,
                _tracked: tracker.token(),
            });
            let (server, router, tls) = (Arc::clone(&self), router.clone(), tls.clone());
            let task = serve_tcp(server, router, tcp, tls, accepted);
            tokio::spawn(task.instrument(span));
        }
        drop(listener);
        tracker.close();
        // Calls in flight, their answers, the close frame.
        let deadline = self.config.drain_deadline + 2 * CLOSE_DEADLINE;
        if timeout(deadline, tracker.wait()).await.is_err() {
            tracing::warn!(
                connections = tracker.len(),
                "some connections did not end in time"
            );
        }
    }
}

/// What lives as long as a connection, whoever is serving it: HTTP first, then the WebSocket.
pub(crate) struct Accepted {
    pub(crate) meter: Arc<Meter>,
    /// The other end of the connection: a client or a proxy.
    pub(crate) peer: IpAddr,
    /// The place of a client that came without a proxy.
    place: Option<Place>,
    _counted: Counted,
    _slot: OwnedSemaphorePermit,
    _tracked: TaskTrackerToken,
}

impl Accepted {
    /// Whether the peer is a trusted proxy.
    pub(crate) fn behind_proxy(&self) -> bool {
        self.place.is_none()
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (tcp, peer) = listener.accept().await?;
    Ok((tcp, peer, slot))
}

async fn serve_tcp(
    server: Arc<Server>,
    router: Router,
    tcp: TcpStream,
    tls: Option<Arc<Certificate>>,
    accepted: Arc<Accepted>,
) {
    // Packets are written whole: to wait for more only delays them.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    let Some(tls) = tls else {
        return serve_http(server, router, tcp, accepted).await;
    };
    let stopped = server.stop.clone();
    let handshake = timeout(server.config.handshake_deadline, tls.acceptor().accept(tcp));
    tokio::select! {
        stream = handshake => match stream {
            Ok(Ok(stream)) => serve_http(server, router, stream, accepted).await,
            Ok(Err(error)) => tracing::debug!(%error, "the TLS handshake failed"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        },
        () = stopped.cancelled() => {}
    }
}

async fn serve_http<S>(server: Arc<Server>, router: Router, stream: S, accepted: Arc<Accepted>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Metered::new(stream, Arc::clone(&accepted.meter));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&accepted));
        router.clone().oneshot(request.map(Body::new))
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.config.handshake_deadline)
        .max_buf_size(MAX_HTTP_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(http);
    let result = tokio::select! {
        result = http.as_mut() => result,
        () = server.stop.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP failed");
    }
}
