//! `wss://` with a certificate authority that the test makes.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use skyline::{Client, ConnectionFailure, Error, download_update};

use crate::support::{Server, soon};

/// A server under TLS for `name`, and the authority's root in PEM.
fn tls_server(name: &str) -> (Server, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = file("certificate.pem", certificate.pem());
    let key = file("key.pem", key.serialize_pem());
    let server = Server::start_with(&["--tls-certificate", &certificate, "--tls-key", &key]);
    (server, authority.pem())
}

#[tokio::test]
async fn an_extra_root_makes_the_servers_certificate_trusted() {
    let (server, root) = tls_server("127.0.0.1");
    assert!(server.url.starts_with("wss://"), "{}", server.url);
    let mut config = server.owner().config();
    config.extra_root_certificates = vec![root.into_bytes()];
    let client = soon(Client::connect(config)).await.unwrap();
    soon(client.get_limits()).await.unwrap();
    soon(client.shutdown()).await;
}

#[tokio::test]
async fn an_unknown_authority_or_another_name_is_a_tls_failure() {
    let (server, _) = tls_server("127.0.0.1");
    let error = server.owner().try_connect().await.unwrap_err();
    assert_tls(error);
    let (server, root) = tls_server("licensing.example");
    let mut config = server.owner().config();
    config.extra_root_certificates = vec![root.into_bytes()];
    assert_tls(soon(Client::connect(config)).await.unwrap_err());
}

#[tokio::test]
async fn an_update_comes_over_tls_from_the_host_of_the_session() {
    let (server, root) = tls_server("127.0.0.1");
    server.publish("telepower.bin", b"the new version", &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut config = server.owner().config();
    config.update.attempts = 1;
    let untrusted = download_update(config.clone(), folder.path()).unwrap();
    assert_tls(soon(untrusted.finish()).await.unwrap_err());
    config.extra_root_certificates = vec![root.into_bytes()];
    let download = download_update(config, folder.path()).unwrap();
    let update = soon(download.finish()).await.unwrap();
    assert_eq!(std::fs::read(update.path).unwrap(), b"the new version");
}

fn assert_tls(error: Error) {
    let Error::Connection {
        failure: ConnectionFailure::Tls,
        ..
    } = error
    else {
        panic!("{error:?}");
    };
}
