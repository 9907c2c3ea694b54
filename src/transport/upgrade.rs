//! From a byte stream to a WebSocket, however small the pieces are in which the server's answer comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self};

/// The longest head of an answer that is waited for, in bytes: what is longer tungstenite refuses, as
/// soon as it has it. Proxies on the way add to the 150 bytes of our server, and none comes near it.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// How much of a head is read at once, in bytes: all of it, as a rule.
const PIECE_BYTES: usize = 1 << 10;

/// Asks for the upgrade to a WebSocket and waits for the answer.
pub(super) async fn upgrade<S>(
    request: Request,
    stream: S,
    settings: WebSocketConfig,
) -> tungstenite::Result<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (reader, writer) = tokio::io::split(stream);
    let stream = tokio::io::join(WholeHead::new(reader), writer);
    let (socket, _) =
        tokio_tungstenite::client_async_with_config(request, stream, Some(settings)).await?;
    let (WholeHead { stream, bytes, .. }, writer) = socket.into_inner().into_inner();
    let stream = stream.unsplit(writer);
    Ok(WebSocketStream::from_partially_read(stream, bytes, Role::Client, Some(settings)).await)
}

/// A byte stream that gives the head of an HTTP answer in one piece and keeps what comes after.
///
/// tungstenite takes more than 64 reads of fewer than 128 bytes each for an attack, which is right
/// for a server that many strangers reach. A client asked for this answer, it has a deadline, and a
/// link that brings it byte by byte is no reason to refuse it.
struct WholeHead<S> {
    stream: S,
    /// What was read and not given yet.
    bytes: Vec<u8>,
    /// How many of them may be given, from when the head has ended or does not end.
    given: Option<usize>,
}

impl<S> WholeHead<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            given: None,
        }
    }
}

/// Where the head ends that `bytes` begin with, when nothing before `from` ends it: after an empty
/// line, whose lines may end in a bare line feed (RFC 9112, section 2.2).
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| match &bytes[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

impl<S: AsyncRead + Unpin> WholeHead<S> {
    /// Reads until the head has ended; then tells how many bytes may be given.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if let Some(given) = self.given {
                return Poll::Ready(Ok(given));
            }
            let mut piece = [0; PIECE_BYTES];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
            // An empty line that has begun already ends with what was read now.
            let from = self.bytes.len().saturating_sub(2);
            self.bytes.extend_from_slice(piece.filled());
            self.given = if piece.filled().is_empty() || self.bytes.len() > HEAD_BYTES {
                Some(self.bytes.len())
            } else {
                end_of_head(&self.bytes, from)
            };
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WholeHead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let given = ready!(this.poll_head(context))?;
        let now = given.min(buffer.remaining());
        buffer.put_slice(&this.bytes[..now]);
        this.bytes.drain(..now);
        this.given = Some(given - now);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
    use tokio_tungstenite::tungstenite::{Error, Message};

    use super::*;

    /// A frame with the binary message `[7]` (RFC 6455, section 5.2).
    const FRAME: &[u8] = &[0x82, 1, 7];

    /// Answers a request for the upgrade with `status_line` and the bytes that make it right.
    async fn answer(mut server: DuplexStream, status_line: &str, lines: &str) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(server.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let (_, key) = request.split_once("Sec-WebSocket-Key: ").unwrap();
        let accept = derive_accept_key(key.lines().next().unwrap().as_bytes());
        let head = format!(
            "HTTP/1.1 {status_line}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
        );
        // The client may have had enough before the end.
        let _ = server.write_all(&[head.as_bytes(), FRAME].concat()).await;
    }

    /// Upgrades over a pipe that takes `pipe` bytes at a time.
    async fn upgrade_over(
        pipe: usize,
        status_line: &str,
        lines: &str,
    ) -> tungstenite::Result<WebSocketStream<DuplexStream>> {
        let (client, server) = tokio::io::duplex(pipe);
        let request = "ws://localhost/ws".into_client_request().unwrap();
        let upgraded = upgrade(request, client, WebSocketConfig::default());
        tokio::join!(upgraded, answer(server, status_line, lines)).0
    }

    #[tokio::test]
    async fn an_answer_that_comes_byte_by_byte_upgrades() {
        let (client, server) = tokio::io::duplex(1);
        let request = "ws://localhost/ws".into_client_request().unwrap();
        let upgraded = async {
            let mut socket = upgrade(request, client, WebSocketConfig::default()).await?;
            socket.next().await.unwrap()
        };
        let (message, ()) = tokio::join!(upgraded, answer(server, "101 Switching Protocols", ""));
        assert_eq!(message.unwrap(), Message::binary(vec![7]));
    }

    #[tokio::test]
    async fn what_comes_with_the_answer_is_not_lost() {
        let mut socket = upgrade_over(4096, "101 Switching Protocols", "")
            .await
            .unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Message::binary(vec![7])
        );
    }

    #[tokio::test]
    async fn a_refusal_that_comes_byte_by_byte_keeps_its_status() {
        let refused = upgrade_over(1, "503 Service Unavailable", "").await;
        let Err(Error::Http(response)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(response.status(), 503);
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let line = format!("X-Long: {}\r\n", "x".repeat(HEAD_BYTES));
        let refused = upgrade_over(4096, "101 Switching Protocols", &line).await;
        assert!(matches!(refused, Err(Error::AttackAttempt)), "{refused:?}");
    }

    #[tokio::test]
    async fn an_answer_that_ends_half_way_is_refused() {
        let (client, server) = tokio::io::duplex(4096);
        let request = "ws://localhost/ws".into_client_request().unwrap();
        let cut = async move {
            let mut server = server;
            server
                .write_all(b"HTTP/1.1 101 Switching Prot")
                .await
                .unwrap();
        };
        let (refused, ()) = tokio::join!(upgrade(request, client, WebSocketConfig::default()), cut);
        assert!(refused.is_err(), "{refused:?}");
    }
}
