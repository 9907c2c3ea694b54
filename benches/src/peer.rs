//! A client of the protocol without all that a product needs of one: what it costs is its
//! cryptography and its socket.

use std::error::Error;
use std::net::ToSocketAddrs;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use skyline_protocol::methods::{
    START_SESSION, StartSessionRequest, StartSessionResponse, decode, encode,
};
use skyline_protocol::{
    ClientHandshake, IdentityPublicKey, KeyDerivation, LicenseKey, Opener, Payload, Request,
    Response, Sealer, Status,
};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::Access;

/// No packet of a login is larger, and one is made for each connection.
const READ_BUFFER_BYTES: usize = 4 << 10;

type Failure = Box<dyn Error + Send + Sync>;

/// The logins of one license, one after the other.
#[derive(Debug)]
pub struct Licensee {
    url: String,
    address: std::net::SocketAddr,
    identity_key: IdentityPublicKey,
    license_key: LicenseKey,
    /// The timestamp of the last login, to be reported by the next one; 0: there was none.
    last_login: i64,
}

impl Licensee {
    /// Somebody who has that license and has not used it.
    ///
    /// # Errors
    /// When the URL is none, or a key is malformed.
    pub fn new(access: &Access, license_key: &str) -> Result<Self, Failure> {
        let rest = access.url.strip_prefix("ws://").ok_or("no ws:// URL")?;
        let authority = rest.split('/').next().unwrap_or(rest);
        let mut addresses = authority.to_socket_addrs()?;
        Ok(Self {
            url: access.url.clone(),
            address: addresses.next().ok_or("a URL without an address")?,
            identity_key: access.identity_key.parse()?,
            license_key: license_key.parse()?,
            last_login: 0,
        })
    }

    /// Makes a full connection: WebSocket, handshake, `start-session`.
    ///
    /// # Errors
    /// When the server answers anything but OK, or not at all.
    pub async fn connect(&mut self) -> Result<Session, Failure> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let settings = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let (socket, _) = client_async_with_config(&self.url, tcp, Some(settings)).await?;
        let mut session = Session::shake_hands(socket, &self.identity_key).await?;
        let request = StartSessionRequest {
            product_id: "telepower".to_owned(),
            product_version: "7.0.3".to_owned(),
            language: "english".to_owned(),
            last_login_reported_by_client: self.last_login,
            device_serial_number: "ADTFBB4112800098".to_owned(),
            cs_product_uuid: "20240113-E0C2-646E-FDB1-E0C2646EFDB5".to_owned(),
            license_key: self.license_key.clone(),
        };
        // A value of its own for each login: they are faster than one a second.
        let value = self.last_login + 1;
        let payload = encode(&request)?;
        let answer = session.call_at(value, START_SESSION, &payload).await?;
        let response: StartSessionResponse = decode(&answer)?;
        session.token = Some(response.session_token.expose().to_owned());
        self.last_login = value;
        Ok(session)
    }
}

/// An open session.
#[derive(Debug)]
pub struct Session {
    socket: WebSocketStream<TcpStream>,
    sealer: Sealer,
    opener: Opener,
    /// The seq of the next request.
    seq: u64,
    token: Option<String>,
}

impl Session {
    async fn shake_hands(
        mut socket: WebSocketStream<TcpStream>,
        identity_key: &IdentityPublicKey,
    ) -> Result<Self, Failure> {
        let (handshake, hello) = ClientHandshake::start();
        socket.send(Message::Binary(hello.into())).await?;
        let answer = receive(&mut socket).await?;
        let pinned = std::slice::from_ref(identity_key);
        let key = handshake.finish(&answer, pinned, &KeyDerivation::default())?;
        let (sealer, opener) = key.cipher();
        Ok(Self {
            socket,
            sealer,
            opener,
            seq: 0,
            token: None,
        })
    }

    /// One call with nothing else in flight. Gives the MessagePack of the answer's payload, empty
    /// if there is none.
    ///
    /// # Errors
    /// When the server answers anything but OK, or not at all.
    pub async fn call(&mut self, method: &str, payload: &[u8]) -> Result<Vec<u8>, Failure> {
        self.call_at(0, method, payload).await
    }

    async fn call_at(
        &mut self,
        timestamp: i64,
        method: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let request = Request {
            seq: self.seq,
            timestamp,
            method,
            token: self.token.as_deref(),
            payload: Payload::Binary(payload),
        };
        self.seq += 1;
        let mut packet = BytesMut::new();
        self.sealer.seal_request(&request, &mut packet)?;
        self.socket.send(Message::Binary(packet.freeze())).await?;
        let mut answer = BytesMut::from(receive(&mut self.socket).await?);
        let response = Response::decode(self.opener.open(&mut answer)?)?;
        if response.status != Status::Ok {
            return Err(format!("{method}: {} {:?}", response.status, response.message).into());
        }
        Ok(response.payload.message_pack().unwrap_or_default().to_vec())
    }

    /// Ends it as WebSocket wants it.
    ///
    /// # Errors
    /// When the server does not answer the close frame.
    pub async fn close(mut self) -> Result<(), Failure> {
        self.socket.close(None).await?;
        while let Some(message) = self.socket.next().await {
            message?;
        }
        Ok(())
    }

    /// The connection alone, which takes no memory here and answers nothing any more.
    pub fn into_connection(self) -> TcpStream {
        self.socket.into_inner()
    }
}

async fn receive(socket: &mut WebSocketStream<TcpStream>) -> Result<Bytes, Failure> {
    loop {
        match socket.next().await.ok_or("the connection has ended")?? {
            Message::Binary(packet) => return Ok(packet),
            Message::Ping(_) | Message::Pong(_) => {}
            other => return Err(format!("{other:?} instead of an answer").into()),
        }
    }
}
