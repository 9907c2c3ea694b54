//! Clients behind proxies.

use super::http::{status, upgrade};
use crate::common::{Rig, process::Installation};

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart_by_their_addresses() {
    let rig = Rig::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.rates.connections_per_address = "1/h".parse().unwrap();
    })
    .await;
    for (line, expected) in [
        ("X-Forwarded-For: 192.0.2.1", "101"),
        ("X-Forwarded-For: 192.0.2.1", "429"),
        ("X-Forwarded-For: 192.0.2.7, 192.0.2.1, 127.0.0.9", "429"),
        ("X-Forwarded-For: 192.0.2.1, 192.0.2.7", "101"),
        ("X-Forwarded-For: 2001:db8::1", "101"),
        ("X-Forwarded-For: 2001:db8::2", "429"),
        ("Forwarded: for=192.0.2.8", "101"),
        ("Forwarded: for=192.0.2.9", "429"),
    ] {
        assert_eq!(
            status(&upgrade(rig.address, &[line]).await),
            expected,
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_stranger_cannot_choose_its_address() {
    let rig = Rig::start_with(|config| {
        config.rates.connections_per_address = "1/h".parse().unwrap();
    })
    .await;
    for (number, expected) in [(1, "101"), (2, "429"), (3, "429")] {
        let line = format!("X-Forwarded-For: 192.0.2.{number}");
        assert_eq!(status(&upgrade(rig.address, &[&line]).await), expected);
    }
}

#[tokio::test]
async fn a_client_behind_a_proxy_has_so_many_connections() {
    let rig = Rig::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse::<std::net::IpAddr>().unwrap().into()];
        config.proxy_header = skyline_server::address::ProxyHeader::Forwarded;
        config.max_connections_per_address = 1;
    })
    .await;
    let line = "Forwarded: for=\"[2001:db8::17]:4711\"";
    let request = http_request(rig.address, line);
    let tcp = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let (first, _) = tokio_tungstenite::client_async(request, tcp).await.unwrap();
    let refused = upgrade(rig.address, &[line]).await;
    assert_eq!(status(&refused), "429", "{refused}");
    assert!(refused.contains("retry-after: 10\r\n"), "{refused}");
    let other = upgrade(rig.address, &["Forwarded: for=192.0.2.1"]).await;
    assert_eq!(status(&other), "101");
    drop(first);
}

fn http_request(
    address: std::net::SocketAddr,
    line: &str,
) -> tokio_tungstenite::tungstenite::http::Request<()> {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;

    let (name, value) = line.split_once(": ").unwrap();
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn the_log_names_the_client_and_not_the_proxy_alone() {
    let installation = Installation::new().await;
    let running = installation
        .serve(&["--trusted-proxy", "127.0.0.1", "--log", "debug"])
        .await;
    let line = "X-Forwarded-For: 192.0.2.77";
    assert_eq!(status(&upgrade(running.address, &[line]).await), "101");
    running.signal("TERM").await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("client=192.0.2.77"), "{log}");
}
