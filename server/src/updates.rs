//! `GET /updates/{product}`: the newest release for a client (docs/protocol.md, section 8).
//!
//! | answer | when |
//! |---|---|
//! | 200, 206, 304, 412, 416 | there is a newer release; the condition and the range are judged by RFC 9110 |
//! | 204 | the product has releases for the platform, and none is newer |
//! | 307 | the product's update address is elsewhere (`product set --update-url`) |
//! | 400 | the query lacks the platform, or the version is none |
//! | 404 | there is no such product, or no release of it for the platform |
//! | 503 | too many downloads go on, or no file of a newer release can be opened; `Retry-After` tells when to ask again |

use std::{
    fs::File,
    io::{self, SeekFrom},
    ops::Range,
    pin::Pin,
    sync::Arc,
};

use axum::{
    Extension,
    body::Body,
    extract::{Path, Query, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use skyline_protocol::{
    update::{Disposition, MANIFEST_HEADER, SIGNATURE_HEADER, check_platform},
    version::{self, Version},
};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::OwnedSemaphorePermit,
};
use tokio_util::io::ReaderStream;

use crate::{
    http::Client,
    methods::is_name,
    model::Release,
    release_files::ReleaseFiles,
    serve::{Accepted, Server},
    store::{ReleaseFilter, StoreError},
};

/// How much of a file is read at once, in bytes: enough for a fast line, and little for each of
/// thousands of slow ones.
const CHUNK_BYTES: usize = 64 * 1024;

/// After how many seconds a client is to try again that cannot be served now.
const RETRY_SECONDS: &str = "30";

/// What a client says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// The version that runs; without it, the newest release is meant.
    version: Option<String>,
    platform: Option<String>,
}

pub(crate) async fn update(
    State(server): State<Arc<Server>>,
    Extension(accepted): Extension<Arc<Accepted>>,
    Extension(client): Extension<Client>,
    Path(product): Path<String>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Response {
    match answer(&server, &accepted, client, &product, &asked, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, product, "an update cannot be served");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Why an update cannot be served.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a header cannot be written: {0}")]
    Header(#[from] axum::http::header::InvalidHeaderValue),
}

async fn answer(
    server: &Server,
    accepted: &Accepted,
    client: Client,
    product: &str,
    asked: &Asked,
    request: Request,
) -> Result<Response, Fault> {
    // What no product can be called is not looked for: PostgreSQL takes no U+0000.
    if !is_name(product) {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    let Some(known) = server.store.product(product).await? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    if let Some(elsewhere) = known.update_url {
        return redirect(&elsewhere, request.uri().query().unwrap_or_default());
    }
    let platform = asked.platform.as_deref().unwrap_or_default();
    let running = match asked.version.as_deref().map(version::parse) {
        Some(None) => return Ok(bad_request("the version is not like 7.0.3\n")),
        Some(running) => running,
        None => None,
    };
    if check_platform(platform).is_err() {
        return Ok(bad_request("the platform is not like linux-x86_64\n"));
    }
    let Some(files) = &server.config.releases else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let filter = ReleaseFilter {
        product: Some(product.to_owned()),
        platform: Some(platform.to_owned()),
    };
    let releases = server.store.releases(&filter).await?;
    if releases.is_empty() {
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    let newer = newer(releases, running.as_ref());
    if newer.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Ok(slot) = Arc::clone(&server.downloads).try_acquire_owned() else {
        return Ok(later());
    };
    let Some((release, file)) = open_newest(files, newer).await else {
        return Ok(later());
    };
    let sha256 = release.manifest.sha256;
    // From here on it is not the client's request that takes long, but its line.
    accepted.meter.bound_writes(server.config.download_stall);
    let download = Download {
        file: Arc::new(file),
        size: release.manifest.size,
        etag: HeaderValue::from_str(&format!("\"{}\"", hex::encode(sha256)))?,
        headers: headers(&release)?,
        held: Arc::new((slot, client)),
    };
    Ok(http_serve::serve(download, &request).map(Body::new))
}

/// The client is to come back.
fn later() -> Response {
    let later = [(RETRY_AFTER, RETRY_SECONDS)];
    (StatusCode::SERVICE_UNAVAILABLE, later).into_response()
}

/// The first of the releases whose file can be opened. A file that is missing, on this node alone
/// perhaps, is the operator's to see; clients are served with what there is.
async fn open_newest(files: &ReleaseFiles, releases: Vec<Release>) -> Option<(Release, File)> {
    for release in releases {
        let (files, sha256) = (files.clone(), release.manifest.sha256);
        let opened = tokio::task::spawn_blocking(move || files.open(&sha256)).await;
        match opened.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(file) => return Some((release, file)),
            Err(error) => {
                let manifest = &release.manifest;
                tracing::error!(
                    %error,
                    product = manifest.product,
                    version = manifest.version,
                    platform = manifest.platform,
                    file = hex::encode(sha256),
                    "the file of a release cannot be opened"
                );
            }
        }
    }
    None
}

fn bad_request(why: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, why).into_response()
}

/// To the vendor's own place, with what the client says of itself.
fn redirect(address: &str, query: &str) -> Result<Response, Fault> {
    let separator = if address.contains('?') { '&' } else { '?' };
    let location = HeaderValue::from_str(&format!("{address}{separator}{query}"))?;
    Ok((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response())
}

/// The releases that are newer than the running version, the newest first; of equal ones, the one
/// that was published last.
fn newer(releases: Vec<Release>, running: Option<&Version>) -> Vec<Release> {
    let version_of = |release: &Release| version::parse(&release.manifest.version);
    let mut newer: Vec<_> = releases
        .into_iter()
        .rev()
        .filter_map(|release| Some((version_of(&release)?, release)))
        .filter(|(offered, _)| running.is_none_or(|running| version::is_newer(offered, running)))
        .collect();
    newer.sort_by(|(one, _), (other, _)| other.cmp_precedence(one));
    newer.into_iter().map(|(_, release)| release).collect()
}

fn headers(release: &Release) -> Result<HeaderMap, Fault> {
    let signed = &release.signed;
    let disposition = Disposition::attachment(&release.manifest.file_name);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_DISPOSITION, disposition.parse()?);
    headers.insert(MANIFEST_HEADER, signed.manifest_header().parse()?);
    headers.insert(SIGNATURE_HEADER, signed.signature_header().parse()?);
    let binary = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, binary);
    // The address stays and the newest release does not: a cache must ask, by the ETag.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(headers)
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A release's file on its way to a client.
struct Download {
    file: Arc<File>,
    size: u64,
    /// The file's hash: as strong as an ETag can be.
    etag: HeaderValue,
    headers: HeaderMap,
    /// Its place among the downloads and among the connections of its address, given back when
    /// the body is gone.
    held: Arc<(OwnedSemaphorePermit, Client)>,
}

impl http_serve::Entity for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn len(&self) -> u64 {
        self.size
    }

    fn get_range(
        &self,
        range: Range<u64>,
    ) -> Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send + Sync>> {
        let (file, held) = (Arc::clone(&self.file), Arc::clone(&self.held));
        let opened = async move {
            let mut file = tokio::fs::File::from_std(file.try_clone()?);
            file.seek(SeekFrom::Start(range.start)).await?;
            let part = file.take(range.end - range.start);
            Ok::<_, io::Error>(
                ReaderStream::with_capacity(part, CHUNK_BYTES).map(move |chunk| {
                    let _held = &held;
                    chunk
                }),
            )
        };
        Box::pin(
            stream::once(opened)
                .try_flatten()
                .map_err(|error: io::Error| -> BoxError { error.into() }),
        )
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        headers.extend(self.headers.clone());
    }

    fn etag(&self) -> Option<HeaderValue> {
        Some(self.etag.clone())
    }

    fn last_modified(&self) -> Option<std::time::SystemTime> {
        None
    }
}
