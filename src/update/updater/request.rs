//! One HTTP request for the file, redirects followed, over the same way to the server as a session.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HOST, IF_RANGE, LOCATION, RANGE,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use url::{Position, Url};

use super::source;
use crate::config::ClientConfig;
use crate::error::{ConnectionFailure, Error, Result};
use crate::runtime::AbortOnDrop;
use crate::transport;
use crate::update::UpdateFailure;

/// How many redirects are followed: the bound of most HTTP clients is higher, and no release needs
/// more than one to a store of files and one within it.
const MAX_REDIRECTS: usize = 5;

/// Bound of the answer's head, and of what is read ahead of its body, in bytes: far over the
/// longest manifest.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// The longest ETag that is used, in bytes; none that a server makes is near it.
const MAX_ETAG_BYTES: usize = 1024;

/// A part of the file that is here already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Have {
    /// Its length in bytes, from the file's beginning; more than zero.
    pub(super) bytes: u64,
    /// The strong ETag of the file that it is a part of.
    pub(super) etag: String,
}

/// The head of an answer, and the body that goes with it.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    stall: Duration,
    /// Moves the bytes; the connection goes when the answer does.
    _connection: AbortOnDrop<()>,
}

impl Answer {
    /// The next part of the body; `None` when it ended as HTTP says that it should.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] when the connection broke or fell silent.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(self.stall, self.body.frame()).await;
            match frame.map_err(|_| silent(self.stall))? {
                None => return Ok(None),
                // Trailers say nothing that is asked for.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => {}
                },
                Some(Err(error)) => return Err(broken(&error)),
            }
        }
    }

    /// The length that the head promises for the body.
    ///
    /// # Errors
    ///
    /// [`UpdateFailure::Http`] when the body is compressed, against what was asked for: neither
    /// length nor ranges would be those of the file.
    pub(super) fn length(&self) -> Result<Option<u64>> {
        let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if !self.headers.get_all(CONTENT_ENCODING).iter().all(plain) {
            return Err(UpdateFailure::Http.with("the file is sent in a compressed form"));
        }
        let length = self.headers.get(CONTENT_LENGTH);
        Ok(length.and_then(|value| value.to_str().ok()?.parse().ok()))
    }

    /// Whether nothing but the connection's end is the end of the body (RFC 9112, section 6.3):
    /// then one that was cut cannot be told from a whole one.
    pub(super) fn ends_with_connection(&self) -> bool {
        !self.headers.contains_key(CONTENT_LENGTH) && !self.headers.contains_key(TRANSFER_ENCODING)
    }

    /// The file's ETag, if it is a strong one: a weak one does not promise the same bytes
    /// (RFC 9110, section 8.8.1).
    pub(super) fn strong_etag(&self) -> Option<String> {
        let etag = self.headers.get(ETAG)?.to_str().ok()?;
        let strong = (3..=MAX_ETAG_BYTES).contains(&etag.len())
            && etag.starts_with('"')
            && etag.ends_with('"');
        strong.then(|| etag.to_owned())
    }
}

/// Asks for the file at `url`, or for what is missing of it, and gives the answer to it that is no
/// redirect.
///
/// # Errors
///
/// [`Error::Connection`] when no answer came, [`UpdateFailure::Redirect`] when it leads nowhere.
pub(super) async fn get(config: &ClientConfig, url: &Url, have: Option<&Have>) -> Result<Answer> {
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let answer = get_once(config, &url, have).await?;
        if !is_redirect(answer.status) {
            return Ok(answer);
        }
        let location = answer
            .headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let location = location
            .ok_or_else(|| UpdateFailure::Redirect.with("it names no location, or not in ASCII"))?;
        url = source::redirected(&url, location)?;
        tracing::debug!(host = url.host_str(), "the update is elsewhere");
    }
    Err(UpdateFailure::Redirect.with(format!("more than {MAX_REDIRECTS} in a row")))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

async fn get_once(config: &ClientConfig, url: &Url, have: Option<&Have>) -> Result<Answer> {
    let opened = transport::open_bytes(url, config);
    let stream = transport::within_deadline(url, config, opened).await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let connection = AbortOnDrop(tokio::spawn(async move {
        // What goes wrong with it, the body tells.
        let _ = connection.await;
    }));
    let stall = config.update.stall;
    let response = tokio::time::timeout(stall, sender.send_request(request(url, have)?))
        .await
        .map_err(|_| silent(stall))?
        .map_err(|error| broken(&error))?;
    let (head, body) = response.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
        stall,
        _connection: connection,
    })
}

fn request(url: &Url, have: Option<&Have>) -> Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, transport::USER_AGENT_VALUE)
        .header(ACCEPT_ENCODING, "identity");
    if let Some(have) = have {
        request = request
            .header(RANGE, format!("bytes={}-", have.bytes))
            .header(IF_RANGE, &have.etag);
    }
    request
        .body(Empty::new())
        .map_err(|error| UpdateFailure::Http.with(error))
}

fn silent(stall: Duration) -> Error {
    Error::Connection {
        failure: ConnectionFailure::Timeout,
        http_status: None,
        retry_after_seconds: None,
        detail: format!("the update server was silent for {stall:?}"),
    }
}

fn broken(error: &hyper::Error) -> Error {
    Error::Connection {
        failure: ConnectionFailure::Other,
        http_status: None,
        retry_after_seconds: None,
        detail: format!("the download was cut off: {error}"),
    }
}
