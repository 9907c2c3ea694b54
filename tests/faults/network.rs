//! Connections that cannot be made, each with the failure that tells why; and proxies.

use std::time::Duration;

use skyline::{Client, ConnectionFailure, Error, Proxy, download_update};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{Server, soon};

/// The configuration of a client whose server is none.
fn peerless(url: &str) -> skyline::ClientConfig {
    let server_less = crate::support::Owner {
        url: url.to_owned(),
        identity_key: skyline_protocol::identity::IdentityKeyPair::generate()
            .public()
            .to_string(),
        license_key: skyline::LicenseKey::generate(),
        state: tempfile::tempdir().unwrap(),
    };
    server_less.config()
}

async fn failure_at(url: &str) -> (ConnectionFailure, Option<u16>) {
    failure_within(skyline::Deadlines::default().connect, url).await
}

async fn failure_within(deadline: Duration, url: &str) -> (ConnectionFailure, Option<u16>) {
    let mut config = peerless(url);
    config.deadlines.connect = deadline;
    config.proxy = Proxy::Direct;
    failure(soon(Client::connect(config)).await.unwrap_err())
}

fn failure(error: Error) -> (ConnectionFailure, Option<u16>) {
    match error {
        Error::Connection {
            failure,
            http_status,
            ..
        } => (failure, http_status),
        other => panic!("{other:?}"),
    }
}

/// A listener that answers every connection's first bytes with `answer`, or never.
async fn listener(answer: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut tcp, _)) = listener.accept().await {
            if let Some(answer) = answer {
                let mut request = [0; 4096];
                let _ = tcp.read(&mut request).await;
                let _ = tcp.write_all(answer).await;
                let _ = tcp.shutdown().await;
            }
            open.push(tcp);
        }
    });
    address.to_string()
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    // Bound, so that nobody else gets the port, and not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    assert_eq!(
        failure_at(&format!("ws://{address}/ws")).await,
        (ConnectionFailure::Refused, None)
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_failure() {
    // A label of more than 63 bytes (RFC 1035, section 2.3.4): the resolver refuses it itself, and
    // no query leaves this machine.
    let failure = failure_at(&format!("wss://{}.example/ws", "a".repeat(64))).await;
    assert_eq!(failure, (ConnectionFailure::Dns, None));
}

#[tokio::test]
async fn an_http_status_is_told() {
    let address = listener(Some(
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    let failure = failure_at(&format!("ws://{address}/ws")).await;
    assert_eq!(failure, (ConnectionFailure::Http, Some(503)));
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_understood() {
    let address = listener(Some(
        b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    let mut config = peerless(&format!("ws://{address}/ws"));
    config.proxy = Proxy::Direct;
    let error = soon(Client::connect(config)).await.unwrap_err();
    let Error::Connection {
        http_status: Some(429),
        retry_after_seconds: Some(7),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
}

#[tokio::test]
async fn a_server_of_another_kind_is_no_skyline_server() {
    let address = listener(Some(b"220 mail.example ESMTP\r\n")).await;
    let failure = failure_at(&format!("ws://{address}/ws")).await;
    assert_eq!(failure.0, ConnectionFailure::Http);
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out() {
    let address = listener(None).await;
    let failure = failure_within(Duration::from_secs(2), &format!("ws://{address}/ws")).await;
    assert_eq!(failure, (ConnectionFailure::Timeout, None));
}

#[tokio::test]
async fn a_plaintext_server_is_no_tls_server() {
    let address = listener(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let failure = failure_at(&format!("wss://{address}/ws")).await;
    assert_eq!(failure.0, ConnectionFailure::Tls);
}

/// A proxy for CONNECT requests (RFC 9110, section 9.3.6) that wants the credentials
/// `user:secret`.
async fn http_proxy() -> String {
    // Base64 of "user:secret".
    const CREDENTIALS: &str = "Basic dXNlcjpzZWNyZXQ=";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                if !head.contains(CREDENTIALS) {
                    let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                    client.write_all(answer).await.unwrap();
                    return;
                }
                let target = head.split(' ').nth(1).unwrap();
                let mut server = TcpStream::connect(target).await.unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address.to_string()
}

/// A SOCKS5 proxy without authentication (RFC 1928), for IPv4 targets.
async fn socks_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut greeting = [0; 2];
                client.read_exact(&mut greeting).await.unwrap();
                let mut methods = vec![0; greeting[1].into()];
                client.read_exact(&mut methods).await.unwrap();
                client.write_all(&[5, 0]).await.unwrap();
                let mut head = [0; 4];
                client.read_exact(&mut head).await.unwrap();
                let host = match head[3] {
                    1 => {
                        let mut address = [0; 4];
                        client.read_exact(&mut address).await.unwrap();
                        std::net::Ipv4Addr::from(address).to_string()
                    }
                    3 => {
                        let mut name = vec![0; client.read_u8().await.unwrap().into()];
                        client.read_exact(&mut name).await.unwrap();
                        String::from_utf8(name).unwrap()
                    }
                    other => panic!("address type {other}"),
                };
                let port = client.read_u16().await.unwrap();
                let mut server = TcpStream::connect((host, port)).await.unwrap();
                client
                    .write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])
                    .await
                    .unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address.to_string()
}

#[tokio::test]
async fn http_and_socks_proxies_lead_to_the_server() {
    let server = Server::start();
    let proxies = [
        format!("http://user:secret@{}", http_proxy().await),
        format!("socks5://{}", socks_proxy().await),
        format!("socks5h://{}", socks_proxy().await),
    ];
    for proxy in proxies {
        let mut config = server.owner().config();
        config.proxy = Proxy::Url(proxy.clone().into());
        let client = soon(Client::connect(config))
            .await
            .unwrap_or_else(|error| panic!("{proxy}: {error}"));
        soon(client.get_limits()).await.unwrap();
    }
}

#[tokio::test]
async fn an_update_comes_through_the_proxy() {
    let server = Server::start();
    server.publish("telepower.bin", b"the new version", &[]);
    let folder = tempfile::tempdir().unwrap();
    let proxies = [
        format!("http://user:secret@{}", http_proxy().await),
        format!("socks5://{}", socks_proxy().await),
    ];
    for proxy in proxies {
        let mut config = server.owner().config();
        config.proxy = Proxy::Url(proxy.into());
        let download = download_update(config, folder.path()).unwrap();
        let update = soon(download.finish()).await.unwrap();
        std::fs::remove_file(update.path).unwrap();
    }
    // That it is asked at all shows where it wants other credentials.
    let mut config = server.owner().config();
    config.update.attempts = 1;
    config.proxy = Proxy::Url(format!("http://user:wrong@{}", http_proxy().await).into());
    let download = download_update(config, folder.path()).unwrap();
    let error = soon(download.finish()).await.unwrap_err();
    assert_eq!(failure(error), (ConnectionFailure::Proxy, Some(407)));
}

#[tokio::test]
async fn a_proxy_that_wants_other_credentials_is_told_apart_and_they_stay_secret() {
    let server = Server::start();
    let mut config = server.owner().config();
    config.proxy = Proxy::Url(format!("http://user:wrong-password@{}", http_proxy().await).into());
    let error = soon(Client::connect(config)).await.unwrap_err();
    assert!(!error.to_string().contains("wrong-password"), "{error}");
    assert_eq!(failure(error), (ConnectionFailure::Proxy, Some(407)));
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_a_proxy_failure() {
    let server = Server::start();
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for scheme in ["http", "socks5"] {
        let mut config = server.owner().config();
        config.proxy = Proxy::Url(format!("{scheme}://{address}").into());
        let error = soon(Client::connect(config)).await.unwrap_err();
        assert_eq!(failure(error).0, ConnectionFailure::Proxy);
    }
}
