//! What the node answers over HTTP: the upgrade to a WebSocket, and how it is.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Router,
    extract::{Request, State, WebSocketUpgrade},
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER},
    },
    middleware::{Next, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tracing::Instrument;

use crate::{
    admission::{Limited, Place},
    connection, metrics,
    serve::{Accepted, REFUSED_CONNECTION, Server, WEBSOCKET_PATH},
    updates,
};

/// Buffer for what a WebSocket reads, in bytes. It is kept for each idle connection; larger
/// packets grow it for their time.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Written bytes that are gathered before they go to the socket without a flush.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Room for pongs beside the largest packet that is being written, in bytes. A peer that pings and
/// does not read gets no more of them than fit: only the newest matters (RFC 6455, section 5.5.3).
const PONG_BUFFER_BYTES: usize = 64 * 1024;

/// After how many seconds somebody with too many open connections is to try again: one of them
/// must end first, and nothing tells when.
const CROWDED_RETRY_SECONDS: u64 = 10;

/// Who sends a request: the client itself, whatever proxies are between.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// Its place among the connections of its address, where a proxy's connection has none.
    _place: Option<Arc<Place>>,
}

/// The routes of the public address.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    Router::new()
        .route(WEBSOCKET_PATH, get(websocket))
        .route("/updates/{product}", get(updates::update))
        // What is above is limited; what is below must answer a load balancer whatever it asks.
        .route_layer(from_fn_with_state(Arc::clone(server), admit))
        .merge(health())
        .layer(map_response(close_unless_upgraded))
        .with_state(Arc::clone(server))
}

fn health() -> Router<Arc<Server>> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

/// Serves `/metrics`, `/healthz` and `/readyz` on an address that strangers do not reach, until it
/// is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve_admin(server: Arc<Server>, listener: TcpListener) -> std::io::Result<()> {
    let router = health().route("/metrics", get(metrics)).with_state(server);
    axum::serve(listener, router).await
}

/// Finds out whose request it is, and whether that client may have one more.
async fn admit(
    State(server): State<Arc<Server>>,
    Extension(accepted): Extension<Arc<Accepted>>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = server.proxies.client(accepted.peer, request.headers());
    tracing::Span::current().record("client", tracing::field::display(address));
    let place = if accepted.behind_proxy() {
        match server.admission.open(address, &server.metrics) {
            Some(place) => Some(Arc::new(place)),
            None => {
                server.note_turned_away(address, REFUSED_CONNECTION, "");
                return too_many(Limited {
                    retry_after_seconds: CROWDED_RETRY_SECONDS,
                });
            }
        }
    } else {
        None
    };
    if let Err(limited) = server.admission.request(address, &server.metrics) {
        server.note_turned_away(address, "refused-rate-limited", "HTTP");
        return too_many(limited);
    }
    request.extensions_mut().insert(Client {
        address,
        _place: place,
    });
    next.run(request).await
}

/// RFC 6585, section 4.
fn too_many(limited: Limited) -> Response {
    let retry_after = [(RETRY_AFTER, limited.retry_after_seconds.to_string())];
    (
        StatusCode::TOO_MANY_REQUESTS,
        retry_after,
        "too many requests\n",
    )
        .into_response()
}

/// Nobody needs a second request: one is the upgrade, the others tell the health or bring a file. hyper's own
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
    Extension(client): Extension<Client>,
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
            // Before the future is made, which would keep room for the whole of it.
            let halves = socket.split();
            async move { connection::serve(&server, halves, &client, &accepted.meter).await }
                .instrument(span)
        })
}

/// Whether the process lives and answers. A supervisor restarts it when it does not, which would
/// help nobody while it is the database that does not answer.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether clients should be sent here.
async fn readyz(State(server): State<Arc<Server>>) -> (StatusCode, &'static str) {
    if server.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the server stops\n");
    }
    let check = async {
        let checked = server.store.check().await;
        if let Err(error) = &checked {
            tracing::error!(%error, "the store does not answer");
        }
        checked.is_ok()
    };
    if server.readiness.of(check).await {
        (StatusCode::OK, "ok\n")
    } else {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        (unavailable, "the store does not answer\n")
    }
}

async fn metrics(State(server): State<Arc<Server>>) -> Response {
    match server.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
