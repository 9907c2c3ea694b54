//! A server that does what a test tells it to, right or wrong, on a real socket.

use std::future::Future;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use skyline::{Client, ClientConfig, LicenseKey, Result};
use skyline_protocol::cipher::{Opener, Sealer, SessionKey};
use skyline_protocol::handshake::{KeyDerivation, ServerHandshake};
use skyline_protocol::identity::IdentityKeyPair;
use skyline_protocol::methods::{self, StartSessionRequest, StartSessionResponse};
use skyline_protocol::packet::{Payload, Request, Response};
use skyline_protocol::status::Status;
use skyline_protocol::{ExpectedSequence, SessionToken};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{PRODUCT, VERSION, device, soon};

pub type Socket = WebSocketStream<TcpStream>;

/// A listener that serves each connection by the test's script, and what a client needs to reach
/// it.
pub struct Peer {
    pub url: String,
    pub identity: Arc<IdentityKeyPair>,
    pub license_key: LicenseKey,
    pub state: TempDir,
    task: JoinHandle<()>,
}

impl Peer {
    /// Serves every connection by `script`, which gets the WebSocket and the identity key.
    pub async fn start<F>(
        script: impl Fn(Socket, Arc<IdentityKeyPair>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let identity = Arc::new(IdentityKeyPair::generate());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        let key = identity.clone();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                if let Ok(socket) = tokio_tungstenite::accept_async(tcp).await {
                    tokio::spawn(script(socket, key.clone()));
                }
            }
        });
        Self {
            url,
            identity,
            license_key: LicenseKey::generate(),
            state: tempfile::tempdir().unwrap(),
            task,
        }
    }

    pub fn config(&self) -> ClientConfig {
        let identity_key = self.identity.public();
        let mut config =
            ClientConfig::new(PRODUCT, VERSION, self.license_key.clone(), [identity_key]);
        config.url = self.url.clone();
        config.device = Some(device("ADTFBB4112800098"));
        config.state_folder = Some(self.state.path().to_owned());
        config
    }

    pub async fn connect(&self) -> Result<Client> {
        soon(Client::connect(self.config())).await
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The next message that the client sends, pings aside; `None` when it is gone.
pub async fn receive(socket: &mut Socket) -> Option<Message> {
    loop {
        match socket.next().await? {
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(message) => return Some(message),
        }
    }
}

/// A request with its payload, taken out of the packet.
#[derive(Debug)]
pub struct Received {
    pub seq: u64,
    pub timestamp: i64,
    pub method: String,
    pub token: Option<String>,
    pub payload: Option<Vec<u8>>,
    /// Whether the payload stood inline instead of in a `bin`.
    pub inline: bool,
}

/// The server's end of a connection whose handshake is done.
pub struct Link {
    pub socket: Socket,
    pub sealer: Sealer,
    pub opener: Opener,
    pub key: SessionKey,
    pub sequence: ExpectedSequence,
}

impl Link {
    /// Makes the handshake in order.
    pub async fn accept(mut socket: Socket, identity: &IdentityKeyPair) -> Option<Self> {
        let hello = receive(&mut socket).await?.into_data();
        let derivation = KeyDerivation::default();
        let (answer, key) = ServerHandshake::answer(&hello, identity, &derivation).ok()?;
        socket.send(Message::Binary(answer.into())).await.ok()?;
        let (sealer, opener) = key.cipher();
        Some(Self {
            socket,
            sealer,
            opener,
            key,
            sequence: ExpectedSequence::new(),
        })
    }

    /// Makes the handshake and the login in order; gives the token as well.
    pub async fn log_in(
        socket: Socket,
        identity: &IdentityKeyPair,
    ) -> Option<(Self, SessionToken)> {
        let mut link = Self::accept(socket, identity).await?;
        let request = link.request().await?;
        assert_eq!(
            (request.seq, request.method.as_str()),
            (0, methods::START_SESSION)
        );
        let token = SessionToken::generate();
        let payload = login_answer(&token);
        link.respond(0, Status::Ok, None, Payload::Binary(&payload))
            .await;
        Some((link, token))
    }

    /// The next request, checked for its number; `None` when the client is gone.
    pub async fn request(&mut self) -> Option<Received> {
        let mut packet = BytesMut::from(&receive(&mut self.socket).await?.into_data()[..]);
        let request = Request::decode(self.opener.open(&mut packet).unwrap()).unwrap();
        self.sequence.accept(request.seq).unwrap();
        Some(Received {
            seq: request.seq,
            timestamp: request.timestamp,
            method: request.method.to_owned(),
            token: request.token.map(str::to_owned),
            payload: request.payload.message_pack().map(<[u8]>::to_vec),
            inline: matches!(request.payload, Payload::Inline(_)),
        })
    }

    pub fn seal(
        &mut self,
        seq: u64,
        status: Status,
        message: Option<&str>,
        payload: Payload<'_>,
    ) -> Vec<u8> {
        let mut packet = BytesMut::new();
        let response = Response {
            seq,
            status,
            message,
            payload,
        };
        self.sealer.seal_response(&response, &mut packet).unwrap();
        packet.to_vec()
    }

    pub async fn respond(
        &mut self,
        seq: u64,
        status: Status,
        message: Option<&str>,
        payload: Payload<'_>,
    ) {
        let packet = self.seal(seq, status, message, payload);
        self.send(Message::Binary(packet.into())).await;
    }

    /// Sends any message; a client that is gone already is no failure of the script.
    pub async fn send(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    /// Seals any plaintext and sends it.
    pub async fn send_sealed(&mut self, plaintext: &[u8]) {
        let mut packet = BytesMut::new();
        let nonce = *SessionToken::generate()
            .expose()
            .as_bytes()
            .first_chunk()
            .unwrap();
        self.sealer
            .seal_with_nonce(nonce, plaintext, &mut packet)
            .unwrap();
        self.send(Message::Binary(packet.freeze())).await;
    }

    /// Waits until the client closes the connection.
    pub async fn until_closed(&mut self) {
        while receive(&mut self.socket).await.is_some() {}
    }
}

/// The payload of a good answer to `start-session`.
pub fn login_answer(token: &SessionToken) -> Vec<u8> {
    let date = |text: &str| text.parse().unwrap();
    methods::encode(&StartSessionResponse {
        is_activated_now: false,
        activation_date: date("2024-11-20"),
        license_plan: "telepower.licensePlan.release.quarterly".to_owned(),
        expiry_date: date("2025-02-20"),
        session_token: token.clone(),
    })
    .unwrap()
}

/// The login that a request asks for.
pub fn login_request(request: &Received) -> StartSessionRequest {
    methods::decode(request.payload.as_deref().unwrap()).unwrap()
}

/// Something that a script tells the test.
pub type Told<T> = Arc<Mutex<Vec<T>>>;
