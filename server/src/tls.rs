//! The server's TLS: a certificate chain and its key from PEM files, which may be renewed while the
//! server runs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject},
    },
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the wanted kind.
    #[error("{what} {} cannot be read: {error}", .path.display())]
    File {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: PemError,
    },
    /// The certificate and the key do not go together, or are of no use.
    #[error("the TLS certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate of a server, as its files were when they were last usable.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    loaded: RwLock<Loaded>,
}

/// What was read, to know a change by, and what was made of it.
struct Loaded {
    files: Files,
    acceptor: TlsAcceptor,
}

#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Certificate {
    /// Reads a certificate chain, the server's own certificate first, and its private key.
    ///
    /// # Errors
    /// When a file cannot be read, or the two do not go together.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let files = Files::read(&certificate, &key)?;
        let acceptor = files.acceptor(&certificate, &key)?;
        Ok(Self {
            certificate,
            key,
            loaded: RwLock::new(Loaded { files, acceptor }),
        })
    }

    /// Reads the files again. Tells whether they had changed; a connection that is open keeps what
    /// it has.
    ///
    /// # Errors
    /// As [`Certificate::load`]; then the server goes on with what it had.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.certificate, &self.key)?;
        let unchanged = |loaded: &Loaded| loaded.files == files;
        if unchanged(&self.loaded.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(false);
        }
        let acceptor = files.acceptor(&self.certificate, &self.key)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Loaded { files, acceptor };
        Ok(true)
    }

    /// What speaks TLS with the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.acceptor.clone()
    }
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |what, path: &Path| {
            fs::read(path).map_err(|error| failed(what, path)(PemError::Io(error)))
        };
        Ok(Self {
            certificate: read(CERTIFICATE, certificate)?,
            key: Zeroizing::new(read(KEY, key)?),
        })
    }

    fn acceptor(&self, certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed(CERTIFICATE, certificate))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(failed(KEY, key))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // The WebSocket upgrade is of HTTP/1.1 (RFC 6455, section 4).
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

const CERTIFICATE: &str = "the TLS certificate";
const KEY: &str = "the TLS key";

fn failed(what: &'static str, path: &Path) -> impl FnOnce(PemError) -> TlsError {
    let path = path.to_owned();
    move |error| TlsError::File { what, path, error }
}
