//! From a URL to a stream of WebSocket messages: name, TCP or proxy, TLS, upgrade.

mod activity;
mod dial;
mod tls;
mod upgrade;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{RETRY_AFTER, USER_AGENT};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self};
use url::Url;

pub(crate) use self::activity::{Activity, Watched};
pub(crate) use self::dial::check_proxy;
pub(crate) use self::tls::check_root_certificates;
use crate::config::ClientConfig;
use crate::error::{ConnectionFailure, Error, Result};

/// The size of the buffer that the socket is read into. tungstenite zero-fills it for every read:
/// 16 KiB measured 1.4 times the sequential round trips of its default, 128 KiB, and an idle
/// connection holds 20 KiB instead of 135 (docs/adr/0003).
const READ_BUFFER_BYTES: usize = 16 << 10;

/// What may wait to be written beside the largest packet, in bytes: tungstenite's own buffer, twice.
/// A server that pings and does not read gets no more pongs than fit: only the newest matters
/// (RFC 6455, section 5.5.3).
const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// How this client names itself to the server and the proxies on the way.
pub(crate) const USER_AGENT_VALUE: &str = concat!("skyline/", env!("CARGO_PKG_VERSION"));

/// Any byte stream to the server: TCP, through a proxy or not, under TLS or not.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A WebSocket to the server.
pub(crate) type Socket = WebSocketStream<Watched>;

/// Opens a WebSocket to `url`, within the configured connect deadline.
///
/// # Errors
///
/// [`Error::Connection`] with what stood in the way.
pub(crate) async fn connect(url: &Url, config: &ClientConfig) -> Result<Socket> {
    within_deadline(url, config, open(url, config)).await
}

/// Opens a connection, within the configured connect deadline.
///
/// # Errors
///
/// [`Error::Connection`] when the deadline passes first, and those of `opened`.
pub(crate) async fn within_deadline<T>(
    url: &Url,
    config: &ClientConfig,
    opened: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(config.deadlines.connect, opened).await {
        Ok(result) => result,
        Err(_) => Err(failed(
            ConnectionFailure::Timeout,
            format!(
                "no connection to {} within {:?}",
                authority(url),
                config.deadlines.connect
            ),
        )),
    }
}

/// Opens a byte stream to the host of `url`.
///
/// # Errors
///
/// [`Error::Connection`] with what stood in the way.
pub(crate) async fn open_bytes(url: &Url, config: &ClientConfig) -> Result<Watched> {
    let tcp = dial::dial(url, &config.proxy).await?;
    Ok(if matches!(url.scheme(), "wss" | "https") {
        Watched::new(tls::connect(url, tcp, &config.extra_root_certificates).await?)
    } else {
        Watched::new(tcp)
    })
}

async fn open(url: &Url, config: &ClientConfig) -> Result<Socket> {
    let stream = open_bytes(url, config).await?;
    let mut request = url.as_str().into_client_request().map_err(upgrade_failed)?;
    request
        .headers_mut()
        .insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
    let settings = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_write_buffer_size(
            config
                .limits
                .packet_bytes
                .saturating_add(WRITE_BUFFER_BYTES),
        )
        .max_message_size(Some(config.limits.packet_bytes))
        .max_frame_size(Some(config.limits.packet_bytes));
    upgrade::upgrade(request, stream, settings)
        .await
        .map_err(upgrade_failed)
}

/// The seconds of `Retry-After`; its other form, a date, needs two clocks that agree.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

fn upgrade_failed(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => Error::Connection {
            failure: ConnectionFailure::Http,
            http_status: Some(response.status().as_u16()),
            retry_after_seconds: retry_after(response.headers()),
            detail: format!("it answered with HTTP status {}", response.status()),
        },
        tungstenite::Error::Io(error) => failed(ConnectionFailure::Other, error),
        tungstenite::Error::AttackAttempt => failed(
            ConnectionFailure::Http,
            format!(
                "the head of its answer has more than {} bytes",
                upgrade::HEAD_BYTES
            ),
        ),
        error => failed(ConnectionFailure::Http, error),
    }
}

fn failed(failure: ConnectionFailure, detail: impl ToString) -> Error {
    Error::Connection {
        failure,
        http_status: None,
        retry_after_seconds: None,
        detail: detail.to_string(),
    }
}

/// Host and port, for messages.
fn authority(url: &Url) -> String {
    match url.port_or_known_default() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}
