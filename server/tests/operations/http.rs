//! The smallest HTTP client that these tests need.

use std::{net::SocketAddr, path::Path};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::common::within;

/// The whole answer to a request with these further lines in its head.
pub async fn get(address: SocketAddr, path: &str, lines: &[&str]) -> String {
    let mut tcp = within(TcpStream::connect(address)).await.unwrap();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n");
    within(tcp.write_all(request.as_bytes())).await.unwrap();
    let mut answer = String::new();
    within(tcp.read_to_string(&mut answer)).await.unwrap();
    answer
}

/// The answer to a request for the upgrade; the head alone where it is granted.
pub async fn upgrade(address: SocketAddr, lines: &[&str]) -> String {
    let mut tcp = within(TcpStream::connect(address)).await.unwrap();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    );
    within(tcp.write_all(request.as_bytes())).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(within(tcp.read_u8()).await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

/// The status of an answer.
pub fn status(answer: &str) -> &str {
    answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// The lines of `/metrics`.
pub async fn metrics(address: SocketAddr) -> String {
    let answer = get(address, "/metrics", &[]).await;
    assert_eq!(status(&answer), "200", "{answer}");
    answer
}

/// The value of a series, 0 where it is not there yet.
pub fn value(metrics: &str, series: &str) -> u64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// Writes a file and puts it in its place in one step, as certificate tools do.
pub fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, path).unwrap();
}
