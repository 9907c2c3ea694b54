//! A TCP connection to the server, straight or through a proxy.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

use super::{authority, failed};
use crate::config::{Proxy, is_loopback};
use crate::error::{ConnectionFailure, Error, Result};

type Connector = HttpConnector<Resolver>;

/// Connects to the host and port of `url`.
pub(super) async fn dial(url: &Url, proxy: &Proxy) -> Result<TcpStream> {
    let target = target(url)?;
    let mut direct = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    direct.enforce_http(false);
    direct.set_nodelay(true);
    let connected = match intercept(url, &target, proxy) {
        None => direct
            .call(target)
            .await
            .map_err(|error| direct_failed(url, &error)),
        Some(proxy) => through(&proxy, direct, target).await,
    };
    connected.map(TokioIo::into_inner)
}

/// Checks that an explicitly configured proxy can be used at all.
///
/// # Errors
///
/// [`Error::InvalidConfiguration`] for the field `proxy`.
pub(crate) fn check_proxy(proxy: &Proxy) -> Result<()> {
    let Proxy::Url(url) = proxy else {
        return Ok(());
    };
    let expected = "http://, socks5:// or socks5h:// with host and port";
    let usable = explicit(url).intercept(&Uri::from_static("https://example.invalid:443"));
    match usable.as_ref().and_then(|proxy| proxy.uri().scheme_str()) {
        // A port is asked for because the guess that the library makes differs by scheme.
        Some("http" | "socks5" | "socks5h")
            if Url::parse(url).is_ok_and(|url| url.host().is_some() && has_port(&url)) =>
        {
            Ok(())
        }
        _ => Err(Error::invalid("proxy", expected)),
    }
}

/// Whether a port stands in the URL; `url` forgets that of `http://host:80`.
fn has_port(url: &Url) -> bool {
    url.port_or_known_default().is_some()
}

fn explicit(url: &str) -> Matcher {
    Matcher::builder().all(url).build()
}

/// What the proxy is asked for: always as for `https`, so that `ws://` and `wss://` take the same
/// way.
fn target(url: &Url) -> Result<Uri> {
    format!("https://{}", authority(url))
        .parse()
        .map_err(|error| Error::invalid("url", format!("a host and a port ({error})")))
}

fn intercept(url: &Url, target: &Uri, proxy: &Proxy) -> Option<Intercept> {
    match proxy {
        Proxy::Direct => None,
        Proxy::Url(url) => explicit(url).intercept(target),
        // A proxy cannot reach this machine's loopback for us.
        Proxy::Environment if url.host().as_ref().is_some_and(is_loopback) => None,
        Proxy::Environment => Matcher::from_env().intercept(target),
    }
}

async fn through(proxy: &Intercept, direct: Connector, target: Uri) -> Result<TokioIo<TcpStream>> {
    let address = proxy.uri().clone();
    match address.scheme_str() {
        Some("http") => {
            let mut tunnel = Tunnel::new(address, direct);
            if let Some(credentials) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(credentials.clone());
            }
            tunnel
                .call(target)
                .await
                .map_err(|error| proxy_failed(&error))
        }
        Some(scheme @ ("socks5" | "socks5h")) => {
            let names_here = scheme == "socks5";
            let mut socks = SocksV5::new(address, direct).local_dns(names_here);
            if let Some((user, password)) = proxy.raw_auth() {
                socks = socks.with_auth(user.to_owned(), password.to_owned());
            }
            socks
                .call(target)
                .await
                .map_err(|error| proxy_failed(&error))
        }
        // The address is not shown: it may hold a password.
        _ => Err(failed(
            ConnectionFailure::Proxy,
            "the environment names a proxy that is neither http:// nor socks5://",
        )),
    }
}

fn direct_failed(url: &Url, error: &(dyn StdError + 'static)) -> Error {
    let failure = if chain(error).any(|cause| cause.is::<ResolveError>()) {
        ConnectionFailure::Dns
    } else {
        match io_kind(error) {
            Some(io::ErrorKind::ConnectionRefused) => ConnectionFailure::Refused,
            Some(io::ErrorKind::TimedOut) => ConnectionFailure::Timeout,
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                ConnectionFailure::Unreachable
            }
            _ => ConnectionFailure::Other,
        }
    };
    failed(
        failure,
        format!("{}: {}", authority(url), root_cause(error)),
    )
}

fn proxy_failed(error: &(dyn StdError + 'static)) -> Error {
    // hyper-util's error type of the tunnel is not exported, so its sentence must do.
    let wants_credentials = chain(error).any(|cause| cause.to_string().contains("authorization"));
    Error::Connection {
        failure: ConnectionFailure::Proxy,
        http_status: wants_credentials.then_some(407),
        retry_after_seconds: None,
        detail: format!("{error}: {}", root_cause(error)),
    }
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (*error).source()
    })
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    chain(error)
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind)
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The system's resolver, whose errors can be told from those of the connection.
#[derive(Clone)]
struct Resolver(GaiResolver);

#[derive(Debug)]
struct ResolveError(io::Error);

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl StdError for ResolveError {}

impl Service<Name> for Resolver {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = ResolveError;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<std::result::Result<(), ResolveError>> {
        self.0.poll_ready(context).map_err(ResolveError)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.0.call(name);
        Box::pin(async move { addresses.await.map_err(ResolveError) })
    }
}
