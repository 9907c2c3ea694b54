//! The public client, a thin handle over the session and the event queue.

mod events;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use skyline_protocol::methods::{self, GET_LIMITS, Limits, PayloadError, SEND_EVENT, SendEvent};

use crate::config::ClientConfig;
use crate::error::{Error, Result};
use crate::event_queue::EventQueue;
use crate::runtime;
use crate::session::{CallOptions, Session, SessionInfo, Settings, StateStream};

/// The MessagePack of nil: what an absent payload reads as.
const NIL: &[u8] = &[0xc0];

/// A session with the licensing server.
///
/// Cloning is cheap and gives another handle of the same session; calls may be made from many
/// tasks at once, under any executor. Dropping a call's future cancels the call and leaves the
/// client usable. Dropping the last handle closes the connection, once the calls in flight are over.
///
/// ```no_run
/// # async fn example() -> skyline::Result<()> {
/// use skyline::{Client, ClientConfig};
///
/// let config = ClientConfig::new(
///     "telepower",
///     "7.0.3",
///     "WDGQX-WC2Y3-4R966-TK3H3-HXRB8".parse()?,
///     ["35a5906d5222589d0c91f286c94d18030b005ba210002356c68a384a9b72c8cb".parse()?],
/// );
/// let client = Client::connect(config).await?;
/// println!("licensed until {}", client.session().expiry_date);
/// for (name, value) in client.get_limits().await? {
///     println!("{name}: {value}");
/// }
/// client.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    session: Arc<Session>,
    events: Arc<EventQueue>,
    options: CallOptions,
}

impl Client {
    /// Connects, checks that the server holds a pinned identity key, and logs in.
    ///
    /// When this has succeeded once, the client keeps the session by itself: it reconnects after
    /// every loss, with the waits of [`Reconnect`](crate::Reconnect), until it is shut down, the
    /// server refuses the login for good, or the integrity of the session is violated.
    ///
    /// # Errors
    ///
    /// Every kind of [`Error`] that has to do with the configuration, the connection, the
    /// handshake, the state folder, or the server's answer to the login; nothing is tried again.
    pub async fn connect(config: ClientConfig) -> Result<Self> {
        let runtime = runtime::choose(config.runtime.as_ref())?;
        let (session, events) = runtime::run(&runtime, async move {
            let settings = Settings::new(config).await?;
            let session = Arc::new(Session::open(settings, rand::make_rng()).await?);
            let events = EventQueue::open(session.clone()).await?;
            Ok((session, events))
        })
        .await?;
        let options = CallOptions {
            deadline: session.default_deadline(),
            idempotent: false,
        };
        Ok(Self {
            session,
            events: Arc::new(events),
            options,
        })
    }

    /// What the server said at the last login.
    pub fn session(&self) -> SessionInfo {
        self.session.info()
    }

    /// A handle of the same session whose calls may each take `deadline`, reconnecting and waiting
    /// for their turn included, instead of [`Deadlines::call`](crate::Deadlines::call).
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let mut client = self.clone();
        client.options.deadline = deadline;
        client
    }

    /// A handle of the same session whose calls do no harm when they are executed twice: one that
    /// was written but not answered before the connection was lost is sent again over the next
    /// connection, and one that is answered `RATE_LIMITED` waits as the server asks, both within
    /// its deadline.
    #[must_use]
    pub fn idempotent(&self) -> Self {
        let mut client = self.clone();
        client.options.idempotent = true;
        client
    }

    /// How long a call of this handle may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.options.deadline
    }

    /// The limits of the license: name → value, for example
    /// `engine.limits.sendMessage.dailyLimit` → 150. Idempotent.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn get_limits(&self) -> Result<Limits> {
        self.idempotent().call(GET_LIMITS, &None::<()>).await
    }

    /// Reports an event of the product: its name, for example `app.navigation`, and data that
    /// serialize to a map.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn send_event<T: Serialize + ?Sized>(&self, name: &str, data: &T) -> Result<()> {
        self.send_event_raw(name, &methods::encode(data).map_err(payload_error)?)
            .await
    }

    /// As [`Client::send_event`], with the data as the MessagePack of a map.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn send_event_raw(&self, name: &str, data: &[u8]) -> Result<()> {
        let event = SendEvent {
            event: name,
            data,
            id: None,
        };
        let payload = event.encode().map_err(payload_error)?;
        self.call_raw(SEND_EVENT, Some(payload.into()))
            .await
            .map(drop)
    }

    /// Calls any method of the server. A payload that serializes to nil (`&None::<()>`, `&()`) is
    /// sent as no payload; an answer without payload reads as nil (into `()` or an `Option`).
    ///
    /// # Errors
    ///
    /// - the server's status, as the variant of [`Error`] that stands for it;
    /// - [`Error::Payload`] when payload or answer do not convert;
    /// - [`Error::PacketTooLarge`] when the request exceeds the packet size;
    /// - [`Error::DeadlineExceeded`] when the handle's deadline passes first, also while the client
    ///   reconnects: a request that has not left yet waits for the next connection;
    /// - [`Error::ConnectionLost`] when the connection ends after the request was written and
    ///   before it was answered, unless the handle is [idempotent](Client::idempotent);
    /// - [`Error::IntegrityBreach`], [`Error::ShutDown`] or the refusal of a later login when the
    ///   client is finished.
    pub async fn call<P, R>(&self, method: &str, payload: &P) -> Result<R>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let payload = methods::encode(payload).map_err(payload_error)?;
        let payload = (payload != NIL).then(|| payload.into());
        let answer = self.call_raw(method, payload).await?;
        methods::decode(answer.as_deref().unwrap_or(NIL)).map_err(payload_error)
    }

    /// As [`Client::call`], with payload and answer each as the MessagePack of one value, or
    /// absent.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; [`Error::Payload`] when `payload` is not exactly one MessagePack value
    /// of at most 128 levels.
    pub async fn call_raw(&self, method: &str, payload: Option<Bytes>) -> Result<Option<Bytes>> {
        if let Some(payload) = &payload {
            skyline_protocol::packet::validate(payload)
                .map_err(|error| payload_error(PayloadError::Packet(error)))?;
        }
        self.session.call(method, payload, self.options).await
    }

    /// Makes many calls at once, each a method and its payload, and gives their outcomes in the order
    /// of the calls, each with the answer or the error of its own. All of them leave by as few writes
    /// as they fit in; how many are in flight at once stays within
    /// [`Limits::calls_in_flight`](crate::Limits::calls_in_flight), and each may take the handle's
    /// deadline. Dropping the future cancels those that are not over.
    ///
    /// # Errors
    ///
    /// Each outcome as that of [`Client::call`].
    pub async fn call_many<M, P, R>(
        &self,
        calls: impl IntoIterator<Item = (M, P)>,
    ) -> Vec<Result<R>>
    where
        M: AsRef<str>,
        P: Serialize,
        R: DeserializeOwned,
    {
        let call = async |(method, payload): (M, P)| self.call(method.as_ref(), &payload).await;
        join_all(calls.into_iter().map(call)).await
    }

    /// As [`Client::call_many`], with payloads and answers as those of [`Client::call_raw`].
    ///
    /// # Errors
    ///
    /// Each outcome as that of [`Client::call_raw`].
    pub async fn call_many_raw<M: AsRef<str>>(
        &self,
        calls: impl IntoIterator<Item = (M, Option<Bytes>)>,
    ) -> Vec<Result<Option<Bytes>>> {
        let call = async |(method, payload): (M, _)| self.call_raw(method.as_ref(), payload).await;
        join_all(calls.into_iter().map(call)).await
    }

    /// The states of the connection, from the present one on. Each stream is read on its own.
    pub fn states(&self) -> StateStream {
        self.session.states()
    }

    /// Tells the client that a connection is worth trying now, as when a phone has got its network
    /// back. A wait between two attempts ends at once; a connection that seems open is asked for
    /// a sign of life and given up when none comes within seconds.
    pub fn reconnect_now(&self) {
        self.session.reconnect_now();
    }

    /// Closes the connection in order and waits until that is done, for a second at the most.
    /// Calls in flight fail with [`Error::ShutDown`], and so does everything asked later, by
    /// whatever handle. Events that are not delivered are on disk then, for the next client: that
    /// is waited for, too, for five seconds at the most, after which a warning in the log says that
    /// the disk does not answer. A second call changes nothing.
    pub async fn shutdown(&self) {
        tokio::join!(self.events.close(), self.session.shutdown());
    }
}

fn payload_error(error: PayloadError) -> Error {
    Error::Payload {
        detail: error.to_string(),
    }
}
