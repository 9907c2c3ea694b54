//! TLS by rustls, trusting what the operating system trusts and the configured extra roots.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::{authority, failed};
use crate::error::{ConnectionFailure, Error, Result};
use crate::runtime;

/// Makes `tcp` a TLS connection to the host of `url`.
pub(super) async fn connect(
    url: &Url,
    tcp: TcpStream,
    extra_roots: &[Vec<u8>],
) -> Result<TlsStream<TcpStream>> {
    let host = url.host_str().unwrap_or_default();
    // Brackets belong to the URL's notation of an IPv6 address, not to the name in a certificate.
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| Error::invalid("url", format!("a host name ({error})")))?;
    let extra_roots = parse_all(extra_roots)?;
    // Reading the system's trust store takes tens of milliseconds: not on the I/O thread.
    let config = runtime::blocking(move || client_config(extra_roots)).await?;
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(|error| {
            failed(
                ConnectionFailure::Tls,
                format!("{}: {error}", authority(url)),
            )
        })
}

/// Checks that every extra root certificate can be used.
///
/// # Errors
///
/// [`Error::InvalidConfiguration`] for the field `extra_root_certificates`.
pub(crate) fn check_root_certificates(extra_roots: &[Vec<u8>]) -> Result<()> {
    let mut store = RootCertStore::empty();
    for root in parse_all(extra_roots)? {
        store.add(root).map_err(unusable)?;
    }
    Ok(())
}

fn parse_all(extra_roots: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>> {
    let mut roots = Vec::new();
    for bytes in extra_roots {
        // DER of a certificate begins with a SEQUENCE (0x30); PEM is text.
        if bytes.first() == Some(&0x30) {
            roots.push(CertificateDer::from(bytes.clone()));
            continue;
        }
        let before = roots.len();
        for root in CertificateDer::pem_slice_iter(bytes) {
            roots.push(root.map_err(unusable)?);
        }
        if roots.len() == before {
            return Err(unusable("no certificate in it"));
        }
    }
    Ok(roots)
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::invalid(
        "extra_root_certificates",
        format!("certificates in PEM or DER ({error})"),
    )
}

fn client_config(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(extra_roots, &provider)
        .map_err(|error| failed(ConnectionFailure::Tls, format!("the trust store: {error}")))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(ConnectionFailure::Tls, error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

fn verifier(
    extra_roots: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> std::result::Result<Verifier, rustls::Error> {
    #[cfg(not(target_os = "android"))]
    return Verifier::new_with_extra_roots(extra_roots, provider.clone());

    // Android's verifier takes its roots from the application's network security configuration
    // only (docs/android.md).
    #[cfg(target_os = "android")]
    if extra_roots.is_empty() {
        Verifier::new(provider.clone())
    } else {
        Err(rustls::Error::General(
            "on Android extra roots belong in the network security configuration".to_owned(),
        ))
    }
}
