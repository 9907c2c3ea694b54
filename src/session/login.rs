//! Opening a session: connect, handshake, `start-session`, and the last-login file around it
//! (docs/protocol.md, sections 2, 5 and 7).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, SinkExt, StreamExt};
use jiff::civil::Date;
use skyline_protocol::cipher::SessionKey;
use skyline_protocol::handshake::{ClientHandshake, HandshakeError};
use skyline_protocol::methods::{self, START_SESSION, StartSessionRequest, StartSessionResponse};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use url::Url;
use zeroize::Zeroizing;

use super::Lifeline;
use crate::config::ClientConfig;
use crate::connection::{Answer, Connection, End, Options, Outgoing, unix_seconds};
use crate::device::DeviceIdentity;
use crate::error::{BreachReason, Error, Result};
use crate::login_record::LoginRecord;
use crate::transport::Socket;
use crate::wake::Wall;
use crate::{runtime, state, transport};

/// What the server said when the session began (docs/protocol.md, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Whether this login activated the license.
    pub is_activated_now: bool,
    /// The day of activation.
    pub activation_date: Date,
    /// The plan, for example `telepower.licensePlan.release.monthly`.
    pub license_plan: String,
    /// The day on which the license runs out.
    pub expiry_date: Date,
}

/// A checked configuration with what was found out about this machine.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: ClientConfig,
    /// Where WebSockets come from: the network, but for the simulation of the reconnecting.
    pub(super) dialer: Box<dyn Dial>,
    pub(super) wall: Wall,
    pub(crate) url: Url,
    device: DeviceIdentity,
    pub(crate) state_folder: PathBuf,
}

/// Makes the WebSockets of a client.
pub(crate) trait Dial: fmt::Debug + Send + Sync {
    /// Opens a WebSocket to the configured server, within the configured connect deadline.
    fn dial<'a>(&'a self, url: &'a Url, config: &'a ClientConfig) -> BoxFuture<'a, Result<Socket>>;
}

/// The network.
#[derive(Debug)]
struct Network;

impl Dial for Network {
    fn dial<'a>(&'a self, url: &'a Url, config: &'a ClientConfig) -> BoxFuture<'a, Result<Socket>> {
        transport::connect(url, config).boxed()
    }
}

/// A connection whose login succeeded, and what the server said to it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) info: SessionInfo,
}

impl Settings {
    /// Checks the configuration and finds the device's identity and the state folder.
    pub(crate) async fn new(config: ClientConfig) -> Result<Self> {
        Self::in_world(config, Box::new(Network), Wall::system()).await
    }

    /// The same with another source of WebSockets and another wall clock.
    pub(super) async fn in_world(
        config: ClientConfig,
        dialer: Box<dyn Dial>,
        wall: Wall,
    ) -> Result<Self> {
        let url = config.validate()?;
        let state_folder = match &config.state_folder {
            Some(folder) => folder.clone(),
            None => state::default_folder()?,
        };
        let device = match &config.device {
            Some(device) => device.clone(),
            None => {
                let folder = state_folder.clone();
                runtime::blocking(move || DeviceIdentity::detect(Some(&folder))).await?
            }
        };
        Ok(Self {
            config,
            dialer,
            wall,
            url,
            device,
            state_folder,
        })
    }
}

/// Opens a connection and logs in, unless the client is finished before. The login is stored when
/// this returns.
pub(super) async fn open(settings: &Settings, lifeline: &Arc<Lifeline>) -> Result<Opened> {
    let result = tokio::select! {
        biased;
        end = lifeline.clone().over() => Err(end.error(false)),
        result = try_open(settings, lifeline) => result,
    };
    match &result {
        Ok(_) => tracing::info!(url = %settings.url, "session open"),
        Err(error @ Error::IntegrityBreach { .. }) => lifeline.breach(error),
        Err(error) => tracing::warn!(url = %settings.url, code = error.code(), "no session"),
    }
    result
}

async fn try_open(settings: &Settings, lifeline: &Arc<Lifeline>) -> Result<Opened> {
    let config = &settings.config;
    tracing::debug!(url = %settings.url, product = %config.product_id, "connecting");
    let mut socket = settings.dialer.dial(&settings.url, config).await?;
    let deadline = runtime::instant_after(config.deadlines.handshake);
    let key = tokio::time::timeout_at(deadline, shake_hands(&mut socket, config))
        .await
        .unwrap_or_else(|_| {
            Err(Error::Handshake {
                detail: format!("no answer within {:?}", config.deadlines.handshake),
            })
        })?;
    tracing::debug!("handshake done");
    let connection = start(socket, &key, settings, lifeline);
    drop(key);
    let login = tokio::time::timeout_at(deadline, log_in(&connection, settings));
    let info = login.await.unwrap_or(Err(Error::DeadlineExceeded {
        activity: "logging in",
        maybe_executed: true,
    }))?;
    Ok(Opened { connection, info })
}

/// Exchanges the two handshake messages and gives the session key.
async fn shake_hands(socket: &mut Socket, config: &ClientConfig) -> Result<SessionKey> {
    let (handshake, hello) = ClientHandshake::start();
    let failed = |detail: String| Error::Handshake { detail };
    socket
        .send(Message::Binary(hello.into()))
        .await
        .map_err(|error| failed(format!("the greeting could not be sent: {error}")))?;
    let answer = loop {
        match socket.next().await {
            Some(Ok(Message::Binary(answer))) => break answer,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                return Err(failed("the server answered with a text message".to_owned()));
            }
            Some(Ok(Message::Close(_))) | None => {
                return Err(failed("the server closed the connection".to_owned()));
            }
            Some(Err(error)) => return Err(failed(error.to_string())),
        }
    };
    handshake
        .finish(&answer, &config.identity_keys, &config.key_derivation)
        .map_err(|error| match error {
            HandshakeError::BadSignature => Error::breach(BreachReason::ServerSignature),
            HandshakeError::Refused { status, message } => failed(match message {
                Some(message) => format!("the server refused it: {message} ({status})"),
                None => format!("the server refused it with {status}"),
            }),
            other => failed(other.to_string()),
        })
}

fn start(
    socket: Socket,
    key: &SessionKey,
    settings: &Settings,
    lifeline: &Arc<Lifeline>,
) -> Connection {
    let open = lifeline.count_connection();
    let lifeline_of_task = lifeline.clone();
    let options = Options {
        limits: settings.config.limits,
        inline_payloads: settings.config.inline_payloads,
        wall: settings.wall.clone(),
    };
    let stop = lifeline.clone().over();
    Connection::start(socket, key, options, stop, move |end| {
        if let End::Breach(error) = end {
            lifeline_of_task.breach(error);
        }
        open
    })
}

/// Logs in under the lock of the last-login file and stores the login.
async fn log_in(connection: &Connection, settings: &Settings) -> Result<SessionInfo> {
    let config = &settings.config;
    let record = LoginRecord::lock(
        &settings.state_folder,
        settings.url.as_str(),
        &config.product_id,
        &config.license_key,
        &settings.device,
    )
    .await?;
    let (record, last_login) = runtime::blocking(move || {
        let last_login = record.read()?;
        Ok((record, last_login))
    })
    .await?;
    // The value that both ends will remember, whatever their clocks say.
    let timestamp = unix_seconds();
    let request = StartSessionRequest {
        product_id: config.product_id.clone(),
        product_version: config.product_version.clone(),
        language: config.language.clone(),
        last_login_reported_by_client: last_login,
        device_serial_number: settings.device.serial_number.clone(),
        cs_product_uuid: settings.device.cs_product_uuid.clone(),
        license_key: config.license_key.clone(),
    };
    let response = start_session(connection, &request, timestamp).await?;
    runtime::blocking(move || record.store(timestamp)).await?;
    connection
        .set_token(response.session_token)
        .map_err(|end| end.error(true))?;
    Ok(SessionInfo {
        is_activated_now: response.is_activated_now,
        activation_date: response.activation_date,
        license_plan: response.license_plan,
        expiry_date: response.expiry_date,
    })
}

async fn start_session(
    connection: &Connection,
    request: &StartSessionRequest,
    timestamp: i64,
) -> Result<StartSessionResponse> {
    let payload = methods::encode(request).map_err(|error| Error::Payload {
        detail: error.to_string(),
    })?;
    let (answer, waiting) = oneshot::channel();
    let outgoing = Outgoing {
        method: START_SESSION.into(),
        // Wiped when it is written: the license key is in it.
        payload: Some(Bytes::from_owner(Zeroizing::new(payload))),
        timestamp: Some(timestamp),
        answer,
        room: None,
    };
    let answer = match connection.send(outgoing).await {
        true => waiting.await.ok(),
        false => None,
    };
    let payload: Option<Bytes> = match answer {
        Some(Answer::Ok(payload)) => payload,
        Some(Answer::Failed(error)) => return Err(error),
        // The connection ended before the request was written.
        Some(Answer::Unsent) | None => return Err(connection.end().error(false)),
    };
    methods::decode(payload.as_deref().unwrap_or_default()).map_err(|error| {
        tracing::warn!(%error, "the answer to the login is malformed");
        Error::breach(BreachReason::Protocol)
    })
}
