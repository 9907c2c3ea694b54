//! TLS by certificate files, which are renewed while the server runs.

use std::{net::SocketAddr, path::Path, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{net::TcpStream, time::sleep};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};
use tokio_tungstenite::tungstenite::Message;

use super::http::{metrics, replace, value};
use crate::common::{
    QUIET,
    process::{Installation, fail},
    within,
};

const TLS: [&str; 4] = [
    "--tls-certificate",
    "certificate.pem",
    "--tls-key",
    "key.pem",
];

/// A certificate authority, and clients that trust it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    connector: TlsConnector,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            issuer: Issuer::new(authority, key),
            connector: TlsConnector::from(Arc::new(config)),
        }
    }

    /// Puts a new certificate for `localhost` and its key into the folder. Gives the certificate.
    fn issue(&self, folder: &Path) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &self.issuer).unwrap();
        replace(&folder.join("key.pem"), &key.serialize_pem());
        replace(&folder.join("certificate.pem"), &certificate.pem());
        certificate.der().to_vec()
    }

    async fn connect(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        let tcp = within(TcpStream::connect(address)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        within(self.connector.connect(name, tcp)).await.unwrap()
    }

    /// The certificate that the server shows to a new connection.
    async fn shown(&self, address: SocketAddr) -> Vec<u8> {
        let stream = self.connect(address).await;
        let (_, connection) = stream.get_ref();
        connection.peer_certificates().unwrap()[0].to_vec()
    }

    async fn wait_until_shown(&self, address: SocketAddr, certificate: &[u8]) {
        let shown = async {
            while self.shown(address).await != certificate {
                sleep(QUIET / 10).await;
            }
        };
        within(shown).await;
    }
}

#[tokio::test]
async fn wss_is_spoken_with_a_certificate() {
    let installation = Installation::new().await;
    let authority = Authority::new();
    authority.issue(installation.path());
    let running = installation.serve(&TLS).await;
    assert_eq!(running.scheme, "wss");
    let stream = authority.connect(running.address).await;
    let opened = tokio_tungstenite::client_async("wss://localhost/ws", stream);
    let (mut socket, _) = within(opened).await.unwrap();
    within(socket.send(Message::text("not a hello")))
        .await
        .unwrap();
    let answer = within(socket.next()).await;
    assert!(answer.unwrap().unwrap().is_close());

    // A certificate without its own key is told at the start.
    let stranger_key = KeyPair::generate().unwrap();
    replace(
        &installation.path().join("key.pem"),
        &stranger_key.serialize_pem(),
    );
    let errors = fail(installation.path(), 1, &[&["serve"][..], &TLS].concat()).await;
    assert!(errors.contains("TLS"), "{errors}");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let installation = Installation::new().await;
    let authority = Authority::new();
    let first = authority.issue(installation.path());
    let options = [&TLS[..], &["--tls-reload-interval", "100ms"]].concat();
    let running = installation.serve(&options).await;
    assert_eq!(authority.shown(running.address).await, first);
    let open = authority.connect(running.address).await;
    let second = authority.issue(installation.path());
    authority.wait_until_shown(running.address, &second).await;
    // A connection from before goes on.
    let opened = tokio_tungstenite::client_async("wss://localhost/ws", open);
    within(opened).await.unwrap();
}

#[tokio::test]
async fn sighup_reads_the_certificate_at_once_and_a_broken_one_changes_nothing() {
    let installation = Installation::new().await;
    let authority = Authority::new();
    let first = authority.issue(installation.path());
    // No look at the files by itself within this test.
    let interval = [
        "--tls-reload-interval",
        "1h",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let mut running = installation.serve(&[&TLS[..], &interval].concat()).await;
    let admin = running.admin().await;
    let failed = "skyline_reloads_total{result=\"failed\"}";
    for broken in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let before = value(&metrics(admin).await, failed);
        replace(&installation.path().join("certificate.pem"), broken);
        running.signal("HUP").await;
        let noticed = async {
            while value(&metrics(admin).await, failed) == before {
                sleep(QUIET / 10).await;
            }
        };
        within(noticed).await;
        assert_eq!(authority.shown(running.address).await, first);
    }
    let second = authority.issue(installation.path());
    running.signal("HUP").await;
    authority.wait_until_shown(running.address, &second).await;
    running.signal("TERM").await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the TLS certificate stays as it was"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}
