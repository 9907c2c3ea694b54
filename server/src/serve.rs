//! The listening node: accepts connections, speaks TLS and HTTP, and stops in good order.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{State, WebSocketUpgrade},
    http::{HeaderValue, StatusCode, header::CONNECTION},
    middleware::map_response,
    response::Response,
    routing::get,
};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use skyline_protocol::IdentityKeyPair;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower::ServiceExt;
use tracing::Instrument;

use crate::{
    clock::Clock,
    config::ServerConfig,
    connection::{self, CLOSE_DEADLINE},
    messages::Messages,
    refusals::RefusalLog,
    store::Store,
    stream::{Meter, Metered},
};

/// The only path of the protocol (docs/protocol.md, section 1).
pub const WEBSOCKET_PATH: &str = "/ws";

/// Buffer for what a WebSocket reads, in bytes. It is kept for each idle connection; larger
/// packets grow it for their time.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Written bytes that are gathered before they go to the socket without a flush.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Room for pongs beside the largest packet that is being written, in bytes. A peer that pings and
/// does not read gets no more of them than fit: only the newest matters (RFC 6455, section 5.5.3).
const PONG_BUFFER_BYTES: usize = 64 * 1024;

/// Largest head of an HTTP request, in bytes: what common proxies let pass.
const MAX_HTTP_HEAD_BYTES: usize = 16 * 1024;

/// Pause after a failed accept: the usual reason, no free file descriptor, does not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections of a node share.
pub struct Server {
    pub(crate) config: ServerConfig,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) messages: Messages,
    pub(crate) refusals: RefusalLog,
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
        Arc::new(Self {
            config,
            identity,
            store,
            clock,
            messages: Messages::new(),
            refusals: RefusalLog::default(),
            stop: CancellationToken::new(),
        })
    }

    /// Begins to stop: no connection is accepted any more, calls in flight may finish within the
    /// drain deadline, then every peer gets a close frame. [`Server::run`] returns after that.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Writes the refusals that are counted but not yet written: before the store is closed.
    pub async fn write_refusals(&self) {
        self.refusals.flush(&*self.store).await;
    }

    /// Serves until [`Server::stop`], over TLS if an acceptor is given.
    pub async fn run(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let router = Router::new()
            .route(WEBSOCKET_PATH, get(websocket))
            .route("/healthz", get(healthz))
            .layer(map_response(close_unless_upgraded))
            .with_state(Arc::clone(&self));
        let most = self.config.max_connections.min(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(most));
        let tracker = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
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
            let accepted = Arc::new(Accepted {
                address: peer.ip(),
                meter: Meter::new(),
                _slot: slot,
                _tracked: tracker.token(),
            });
            let span = tracing::info_span!("connection", %peer);
            let task = serve_tcp(
                Arc::clone(&self),
                router.clone(),
                tcp,
                tls.clone(),
                accepted,
            );
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
struct Accepted {
    address: IpAddr,
    meter: Arc<Meter>,
    _slot: OwnedSemaphorePermit,
    _tracked: TaskTrackerToken,
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, std::net::SocketAddr, OwnedSemaphorePermit)> {
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
    tls: Option<TlsAcceptor>,
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
    let handshake = timeout(server.config.handshake_deadline, tls.accept(tcp));
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

/// Nobody needs a second request: one is the upgrade, the other one tells the health. hyper's own
/// switch for it would write `close` into the answer to the upgrade too.
async fn close_unless_upgraded(mut response: Response) -> Response {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

async fn websocket(
    State(server): State<Arc<Server>>,
    Extension(accepted): Extension<Arc<Accepted>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let span = tracing::Span::current();
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(
            server.config.max_packet_bytes + WRITE_BUFFER_BYTES + PONG_BUFFER_BYTES,
        )
        .max_message_size(server.config.max_packet_bytes)
        .max_frame_size(server.config.max_packet_bytes)
        .on_upgrade(move |socket| {
            async move { connection::serve(&server, socket, accepted.address, &accepted.meter).await }
                .instrument(span)
        })
}

async fn healthz(State(server): State<Arc<Server>>) -> (StatusCode, &'static str) {
    match server.store.check().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::error!(%error, "the store does not answer");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store does not answer\n",
            )
        }
    }
}
