//! The peer of the tests, from `skyline-protocol` and tokio-tungstenite.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use serde::{Serialize, de::DeserializeOwned};
use skyline_protocol::{
    ClientHandshake, IdentityPublicKey, KeyDerivation, LicenseKey, Opener, Payload, Request,
    Response, Sealer,
    methods::{self, StartSessionRequest, StartSessionResponse},
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use super::{PRODUCT, within};

/// What came from the server.
#[derive(Debug)]
pub enum Received {
    Binary(Bytes),
    Closed(u16),
    /// The connection ended without a close frame.
    Dropped,
}

/// A response, opened and owned.
#[derive(Debug)]
pub struct Answer {
    pub seq: u64,
    pub status: String,
    pub message: Option<String>,
    pub payload: Option<Vec<u8>>,
    /// The packet as it came, for those who send it back.
    pub packet: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn expect_ok(self) -> Self {
        self.expect("OK")
    }

    #[track_caller]
    pub fn expect(self, status: &str) -> Self {
        assert_eq!(self.status, status, "{:?}", self.message);
        assert_eq!(self.message.is_none(), status == "OK");
        self
    }

    #[track_caller]
    pub fn payload<T: DeserializeOwned>(&self) -> T {
        methods::decode(self.payload.as_deref().unwrap_or_default()).unwrap()
    }
}

/// What a `start-session` says.
#[derive(Clone, Debug)]
pub struct Login {
    pub request: StartSessionRequest,
    /// The timestamp of the request: the value of this login.
    pub timestamp: i64,
}

impl Login {
    pub fn new(key: &LicenseKey) -> Self {
        Self {
            request: StartSessionRequest {
                product_id: PRODUCT.to_owned(),
                product_version: "7.0.3".to_owned(),
                language: "russian".to_owned(),
                last_login_reported_by_client: 0,
                device_serial_number: "ADTFBB4112800098".to_owned(),
                cs_product_uuid: "20240113-E0C2-646E-FDB1-E0C2646EFDB5".to_owned(),
                license_key: key.clone(),
            },
            timestamp: 1_000,
        }
    }

    /// The same login at that time, with that value reported.
    pub fn at(&self, timestamp: i64, reported: i64) -> Self {
        let mut login = self.clone();
        login.timestamp = timestamp;
        login.request.last_login_reported_by_client = reported;
        login
    }

    pub fn with(&self, change: impl FnOnce(&mut StartSessionRequest)) -> Self {
        let mut login = self.clone();
        change(&mut login.request);
        login
    }
}

/// An open WebSocket, before the handshake.
pub struct Socket(pub WebSocketStream<TcpStream>);

impl Socket {
    pub async fn open(address: SocketAddr) -> Self {
        let tcp = within(TcpStream::connect(address)).await.unwrap();
        let url = format!("ws://{address}/ws");
        Self(within(client_async(url, tcp)).await.unwrap().0)
    }

    /// One to a server that may not take it.
    pub async fn try_open(address: SocketAddr) -> Option<Self> {
        let tcp = within(TcpStream::connect(address)).await.ok()?;
        let url = format!("ws://{address}/ws");
        let opened = within(client_async(url, tcp)).await;
        opened.ok().map(|(socket, _)| Self(socket))
    }

    /// One whose kernel buffers are small, so that a test need not fill large ones.
    pub async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.set_send_buffer_size(16 << 10).unwrap();
        let tcp = within(socket.connect(address)).await.unwrap();
        let url = format!("ws://{address}/ws");
        Self(within(client_async(url, tcp)).await.unwrap().0)
    }

    pub async fn send(&mut self, message: Message) {
        within(self.0.send(message)).await.unwrap();
    }

    pub async fn send_binary(&mut self, bytes: impl Into<Bytes>) {
        self.send(Message::Binary(bytes.into())).await;
    }

    pub async fn receive(&mut self) -> Received {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Message::Binary(bytes))) => return Received::Binary(bytes),
                Some(Ok(Message::Close(frame))) => {
                    // Answers the close frame.
                    while let Some(Ok(_)) = within(self.0.next()).await {}
                    let code = frame.map_or(CloseCode::Status, |frame| frame.code);
                    return Received::Closed(code.into());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Received::Dropped,
            }
        }
    }

    #[track_caller]
    pub fn expect_closed(received: Received, code: u16) {
        assert!(
            matches!(received, Received::Closed(c) if c == code),
            "{received:?} instead of close code {code}"
        );
    }

    pub async fn is_closed_with(&mut self, code: u16) {
        Self::expect_closed(self.receive().await, code);
    }

    pub async fn shake_hands(self, identity: &IdentityPublicKey) -> Peer {
        self.shake_hands_with(identity, &KeyDerivation::default())
            .await
    }

    pub async fn shake_hands_with(
        mut self,
        identity: &IdentityPublicKey,
        derivation: &KeyDerivation,
    ) -> Peer {
        let (handshake, hello) = ClientHandshake::start();
        self.send_binary(hello).await;
        let Received::Binary(answer) = self.receive().await else {
            panic!("no answer to the hello");
        };
        let pinned = [identity.clone()];
        let key = handshake.finish(&answer, &pinned, derivation).unwrap();
        let (sealer, opener) = key.cipher();
        Peer {
            socket: self,
            sealer,
            opener,
            seq: 0,
            token: None,
            session_key: hex::encode(key.as_bytes()),
        }
    }
}

/// A peer with a session key.
pub struct Peer {
    pub socket: Socket,
    pub sealer: Sealer,
    pub opener: Opener,
    /// The seq of the next request.
    pub seq: u64,
    pub token: Option<String>,
    /// In hex, to look for it in logs.
    pub session_key: String,
}

/// Opens a packet and reads it.
pub fn open_answer(opener: &mut Opener, packet: Bytes) -> Answer {
    let mut message = BytesMut::from(&packet[..]);
    let plaintext = opener.open(&mut message).unwrap();
    let response = Response::decode(plaintext).unwrap();
    Answer {
        seq: response.seq,
        status: response.status.as_str().to_owned(),
        message: response.message.map(str::to_owned),
        payload: response.payload.message_pack().map(<[u8]>::to_vec),
        packet,
    }
}

/// The MessagePack of a value.
pub fn pack<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    methods::encode(value).unwrap()
}

impl Peer {
    pub fn seal(&mut self, request: &Request<'_>) -> Bytes {
        let mut packet = BytesMut::new();
        self.sealer.seal_request(request, &mut packet).unwrap();
        packet.freeze()
    }

    /// Any plaintext, sealed as a packet.
    pub fn seal_plaintext(&mut self, plaintext: &[u8]) -> Bytes {
        let mut packet = BytesMut::new();
        let nonce = [7; 12];
        self.sealer
            .seal_with_nonce(nonce, plaintext, &mut packet)
            .unwrap();
        packet.freeze()
    }

    /// Sends a request with the next seq and this session's token.
    pub async fn send(&mut self, method: &str, payload: Option<&[u8]>) -> u64 {
        let seq = self.seq;
        self.seq += 1;
        let token = self.token.clone();
        self.send_as(seq, token.as_deref(), method, payload).await;
        seq
    }

    pub async fn send_as(
        &mut self,
        seq: u64,
        token: Option<&str>,
        method: &str,
        payload: Option<&[u8]>,
    ) {
        let request = Request {
            seq,
            timestamp: 1_765_529_203,
            method,
            token,
            payload: payload.map_or(Payload::None, Payload::Binary),
        };
        let packet = self.seal(&request);
        self.socket.send_binary(packet).await;
    }

    pub fn open(&mut self, packet: Bytes) -> Answer {
        open_answer(&mut self.opener, packet)
    }

    pub async fn answer(&mut self) -> Answer {
        match self.socket.receive().await {
            Received::Binary(packet) => self.open(packet),
            other => panic!("{other:?} instead of an answer"),
        }
    }

    /// One call with nothing else in flight.
    pub async fn call(&mut self, method: &str, payload: Option<&[u8]>) -> Answer {
        let seq = self.send(method, payload).await;
        let answer = self.answer().await;
        assert_eq!(answer.seq, seq);
        answer
    }

    pub async fn call_with<T: Serialize>(&mut self, method: &str, payload: &T) -> Answer {
        self.call(method, Some(&pack(payload))).await
    }

    /// `start-session`, without waiting for the answer.
    pub async fn send_login(&mut self, login: &Login) {
        let payload = pack(&login.request);
        let request = Request {
            seq: self.seq,
            timestamp: login.timestamp,
            method: methods::START_SESSION,
            token: None,
            payload: Payload::Binary(&payload),
        };
        self.seq += 1;
        let packet = self.seal(&request);
        self.socket.send_binary(packet).await;
    }

    /// `start-session`; keeps the token if it is accepted.
    pub async fn log_in(&mut self, login: &Login) -> Answer {
        self.send_login(login).await;
        let answer = self.answer().await;
        if answer.status == "OK" {
            let session: StartSessionResponse = answer.payload();
            self.token = Some(session.session_token.expose().to_owned());
        }
        answer
    }
}
