//! The one error type: a variant for each thing that an application would do differently.

use std::fmt;

use skyline_protocol::status::Status;

use crate::update::UpdateFailure;

/// Why an operation of the client failed.
///
/// [`Error::code`] is a stable name of the kind, the same in every language's package. The
/// `Display` text is a sentence for a person: the server's own where it gave one, else what
/// happened and what to do. No text holds a license key, a token or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is missing or malformed; nothing was sent.
    #[error("invalid configuration: {field}: {expected}")]
    InvalidConfiguration {
        /// The name of the setting, as in [`ClientConfig`](crate::ClientConfig).
        field: &'static str,
        /// What was expected there.
        expected: String,
    },
    /// No connection could be made.
    #[error("{failure}: {detail}")]
    Connection {
        /// What stood in the way.
        failure: ConnectionFailure,
        /// The HTTP status, when the server or the proxy answered with one.
        http_status: Option<u16>,
        /// How long to wait, in seconds, if the answer said so (RFC 9110, section 10.2.3).
        retry_after_seconds: Option<u64>,
        /// The cause as the system or the library tells it.
        detail: String,
    },
    /// The peer was reached but did not complete the handshake (docs/protocol.md, section 2).
    #[error(
        "the handshake failed: {detail}; check that the URL is that of a Skyline server and try again"
    )]
    Handshake {
        /// What was wrong with the peer's answer.
        detail: String,
    },
    /// The integrity of the session was violated (docs/protocol.md, section 6). The client is
    /// finished: it neither reconnects nor sends again.
    #[error("{}", describe_breach(*reason, server_message.as_deref()))]
    IntegrityBreach {
        /// What was violated.
        reason: BreachReason,
        /// The server's sentence, if it was the server that reported the breach.
        server_message: Option<String>,
    },
    /// The product version is too old for the server: the application must update itself.
    #[error(
        "{}",
        sentence(
            server_message,
            "this version is no longer served: update the application"
        )
    )]
    OutdatedVersion {
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// The license key belongs to another device.
    #[error(
        "{}",
        sentence(
            server_message,
            "the license key is bound to another device: rebind it in the customer account"
        )
    )]
    KeyBoundToAnotherDevice {
        /// The server's sentence; it says since when.
        server_message: Option<String>,
    },
    /// The server does not know the license key.
    #[error(
        "{}",
        sentence(
            server_message,
            "the server does not know this license key: check it for typing errors"
        )
    )]
    LicenseNotFound {
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// The license has run out.
    #[error("{}", sentence(server_message, "the license has expired: renew it"))]
    LicenseExpired {
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// The license is suspended.
    #[error(
        "{}",
        sentence(server_message, "the license is suspended: contact the vendor")
    )]
    LicenseSuspended {
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// The server found the request malformed.
    #[error(
        "{}",
        sentence(
            server_message,
            "the server refused the request as malformed: check the payload against the method's description"
        )
    )]
    BadRequest {
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// The server has no such method.
    #[error(
        "{}",
        sentence(
            server_message,
            "the server has no such method: check its name and the server's version"
        )
    )]
    UnknownMethod {
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// The server does not accept the session any more.
    #[error(
        "{}",
        sentence(
            server_message,
            "the server no longer accepts this session: try again, over the next connection"
        )
    )]
    InvalidSession {
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// Too many requests: wait, then try again.
    #[error("{}", describe_rate_limit(server_message, *retry_after_seconds))]
    RateLimited {
        /// The server's sentence.
        server_message: Option<String>,
        /// How long to wait, in seconds, if the server said so.
        retry_after_seconds: Option<u64>,
    },
    /// The server failed; the request may have been executed.
    #[error(
        "{}",
        sentence(
            server_message,
            "the server failed to handle the request: try again later"
        )
    )]
    InternalError {
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// A status that this version does not know, kept as it came.
    #[error("{}", describe_unknown_status(status, server_message.as_deref()))]
    UnknownStatus {
        /// The status string of the server.
        status: String,
        /// The server's sentence.
        server_message: Option<String>,
    },
    /// The connection ended before the answer came. The client reconnects by itself.
    #[error("the connection was lost: {detail}; try again{}", maybe_executed_note(*maybe_executed))]
    ConnectionLost {
        /// How the connection ended.
        detail: String,
        /// Whether the request may have reached the server and been executed.
        maybe_executed: bool,
    },
    /// The deadline passed first.
    #[error("the deadline passed while {activity}; try again or allow more time{}", maybe_executed_note(*maybe_executed))]
    DeadlineExceeded {
        /// What the client was doing, for example "waiting for the answer".
        activity: &'static str,
        /// Whether the request may have reached the server and been executed.
        maybe_executed: bool,
    },
    /// The caller cancelled the operation.
    #[error("the operation was cancelled{}", maybe_executed_note(*maybe_executed))]
    Cancelled {
        /// Whether the request may have reached the server and been executed.
        maybe_executed: bool,
    },
    /// The client was shut down: make a new one.
    #[error("the client was shut down: connect a new one{}", maybe_executed_note(*maybe_executed))]
    ShutDown {
        /// Whether the request may have reached the server and been executed.
        maybe_executed: bool,
    },
    /// A payload could not be written or read as the type that was asked for.
    #[error("the payload could not be converted: {detail}")]
    Payload {
        /// What did not fit.
        detail: String,
    },
    /// The request is larger than the configured packet size; nothing was sent.
    #[error(
        "the request needs a packet of {size} bytes but the limit is {limit}: send less at once or raise the limit on both ends"
    )]
    PacketTooLarge {
        /// The size that the packet would have, in bytes.
        size: u64,
        /// The configured limit, in bytes.
        limit: u64,
    },
    /// The event queue has no room for another event, and is not to drop any
    /// ([`EventOverflow::Refuse`](crate::EventOverflow::Refuse)); the event was not queued.
    #[error(
        "the event queue is full: {events} events of {bytes} bytes wait for their delivery; try again when the server can be reached, or raise max_queued_events and max_queued_event_bytes"
    )]
    EventQueueFull {
        /// How many events are queued.
        events: u64,
        /// How many bytes they take.
        bytes: u64,
    },
    /// The state folder could not be used.
    #[error(
        "the state folder cannot be used: {detail}; choose a folder that this user may write to"
    )]
    State {
        /// What failed, with the path.
        detail: String,
    },
    /// An update was refused, or is not to be had (docs/protocol.md, section 8). Nothing is left
    /// under its final name.
    #[error("{failure} ({detail})")]
    Update {
        /// What is wrong with it.
        failure: UpdateFailure,
        /// The particulars.
        detail: String,
    },
    /// The process was forked after the client's runtime had started; threads do not survive a fork.
    #[error(
        "this process was forked after Skyline had started: start worker processes before the first connect, or with the spawn method"
    )]
    Forked,
}

/// What stood in the way of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionFailure {
    /// Nobody listens at the address.
    Refused,
    /// The host name could not be resolved.
    Dns,
    /// TLS failed: an untrusted or mismatched certificate, mostly.
    Tls,
    /// The proxy refused or could not be used.
    Proxy,
    /// The server answered, but not with a WebSocket: see the HTTP status.
    Http,
    /// Nothing answered in time.
    Timeout,
    /// No route to the host or the network.
    Unreachable,
    /// The connection broke while it was made, or something else.
    Other,
}

impl ConnectionFailure {
    /// The stable name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Http => "http",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ConnectionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => {
                "the server refused the connection (is it running, and is the port right?)"
            }
            Self::Dns => {
                "the server's name could not be resolved (check the URL and the network)"
            }
            Self::Tls => {
                "no trusted TLS connection could be made (check the clock, the server's certificate and the extra root certificates)"
            }
            Self::Proxy => "the proxy could not be used (check its address and credentials)",
            Self::Http => "the server answered, but not as a Skyline server (check the URL)",
            Self::Timeout => "the server did not answer in time (check the network)",
            Self::Unreachable => "the server cannot be reached (check the network)",
            Self::Other => "the connection could not be made (check the network and try again)",
        })
    }
}

/// What was violated in an integrity breach (docs/protocol.md, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreachReason {
    /// No pinned identity key made the server's signature: somebody stands in between, or the
    /// wrong key is pinned.
    ServerSignature,
    /// A packet did not decrypt.
    PacketForged,
    /// A response to no request in flight.
    Sequence,
    /// A message that the protocol does not allow.
    Protocol,
    /// The server answered with `INTEGRITY_BREACH`.
    ReportedByServer,
}

impl BreachReason {
    /// The stable name, for example `server-signature`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerSignature => "server-signature",
            Self::PacketForged => "packet-forged",
            Self::Sequence => "sequence",
            Self::Protocol => "protocol",
            Self::ReportedByServer => "reported-by-server",
        }
    }
}

impl fmt::Display for BreachReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// The stable code of the kind, the same in every language.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidConfiguration { .. } => "INVALID_CONFIGURATION",
            Self::Connection { .. } => "CONNECTION",
            Self::Handshake { .. } => "HANDSHAKE",
            Self::IntegrityBreach { .. } => "INTEGRITY_BREACH",
            Self::OutdatedVersion { .. } => "OUTDATED_VERSION",
            Self::KeyBoundToAnotherDevice { .. } => "KEY_BOUND_TO_ANOTHER_DEVICE",
            Self::LicenseNotFound { .. } => "LICENSE_NOT_FOUND",
            Self::LicenseExpired { .. } => "LICENSE_EXPIRED",
            Self::LicenseSuspended { .. } => "LICENSE_SUSPENDED",
            Self::BadRequest { .. } => "BAD_REQUEST",
            Self::UnknownMethod { .. } => "UNKNOWN_METHOD",
            Self::InvalidSession { .. } => "INVALID_SESSION",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::InternalError { .. } => "INTERNAL_ERROR",
            Self::UnknownStatus { .. } => "UNKNOWN_STATUS",
            Self::ConnectionLost { .. } => "CONNECTION_LOST",
            Self::DeadlineExceeded { .. } => "DEADLINE_EXCEEDED",
            Self::Cancelled { .. } => "CANCELLED",
            Self::ShutDown { .. } => "SHUT_DOWN",
            Self::Payload { .. } => "PAYLOAD",
            Self::PacketTooLarge { .. } => "PACKET_TOO_LARGE",
            Self::EventQueueFull { .. } => "EVENT_QUEUE_FULL",
            Self::State { .. } => "STATE",
            Self::Update { failure, .. } => failure.code(),
            Self::Forked => "FORKED",
        }
    }

    /// The status string of the server's answer, when the error is one.
    pub fn status(&self) -> Option<&str> {
        match self {
            Self::IntegrityBreach {
                reason: BreachReason::ReportedByServer,
                ..
            }
            | Self::OutdatedVersion { .. }
            | Self::KeyBoundToAnotherDevice { .. }
            | Self::LicenseNotFound { .. }
            | Self::LicenseExpired { .. }
            | Self::LicenseSuspended { .. }
            | Self::BadRequest { .. }
            | Self::UnknownMethod { .. }
            | Self::InvalidSession { .. }
            | Self::RateLimited { .. }
            | Self::InternalError { .. } => Some(self.code()),
            Self::UnknownStatus { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The server's own sentence for the user, when it gave one.
    pub fn server_message(&self) -> Option<&str> {
        match self {
            Self::IntegrityBreach { server_message, .. }
            | Self::OutdatedVersion { server_message }
            | Self::KeyBoundToAnotherDevice { server_message }
            | Self::LicenseNotFound { server_message }
            | Self::LicenseExpired { server_message }
            | Self::LicenseSuspended { server_message }
            | Self::BadRequest { server_message }
            | Self::UnknownMethod { server_message }
            | Self::InvalidSession { server_message }
            | Self::RateLimited { server_message, .. }
            | Self::InternalError { server_message }
            | Self::UnknownStatus { server_message, .. } => server_message.as_deref(),
            _ => None,
        }
    }

    /// Whether the request may have reached the server and been executed; `None` where the
    /// question does not arise.
    pub fn maybe_executed(&self) -> Option<bool> {
        match self {
            Self::ConnectionLost { maybe_executed, .. }
            | Self::DeadlineExceeded { maybe_executed, .. }
            | Self::Cancelled { maybe_executed }
            | Self::ShutDown { maybe_executed } => Some(*maybe_executed),
            _ => None,
        }
    }

    /// The error that a status other than `OK` stands for (docs/protocol.md, section 5).
    pub(crate) fn from_status(
        status: &Status,
        server_message: Option<String>,
        retry_after_seconds: Option<u64>,
    ) -> Self {
        match status {
            Status::OutdatedVersion => Self::OutdatedVersion { server_message },
            Status::KeyBoundToAnotherDevice => Self::KeyBoundToAnotherDevice { server_message },
            Status::IntegrityBreach => Self::IntegrityBreach {
                reason: BreachReason::ReportedByServer,
                server_message,
            },
            Status::BadRequest => Self::BadRequest { server_message },
            Status::UnknownMethod => Self::UnknownMethod { server_message },
            Status::InvalidSession => Self::InvalidSession { server_message },
            Status::LicenseNotFound => Self::LicenseNotFound { server_message },
            Status::LicenseExpired => Self::LicenseExpired { server_message },
            Status::LicenseSuspended => Self::LicenseSuspended { server_message },
            Status::RateLimited => Self::RateLimited {
                server_message,
                retry_after_seconds,
            },
            Status::InternalError => Self::InternalError { server_message },
            // `OK` never reaches this point; were it to, it would be an unknown failure.
            Status::Ok | Status::Other(_) => Self::UnknownStatus {
                status: status.as_str().to_owned(),
                server_message,
            },
        }
    }

    pub(crate) fn breach(reason: BreachReason) -> Self {
        Self::IntegrityBreach {
            reason,
            server_message: None,
        }
    }

    /// What was asked for belongs to a feature of the crate that this build does without.
    #[cfg(not(all(feature = "events", feature = "update")))]
    pub(crate) fn left_out(feature: &'static str) -> Self {
        Self::invalid(
            feature,
            format!(
                "take a build of Skyline with the feature `{feature}`; this one was made without it"
            ),
        )
    }

    pub(crate) fn invalid(field: &'static str, expected: impl Into<String>) -> Self {
        Self::InvalidConfiguration {
            field,
            expected: expected.into(),
        }
    }
}

fn sentence(server_message: &Option<String>, otherwise: &'static str) -> String {
    server_message
        .clone()
        .unwrap_or_else(|| otherwise.to_owned())
}

fn describe_rate_limit(server_message: &Option<String>, seconds: Option<u64>) -> String {
    let what = sentence(server_message, "too many requests");
    match seconds {
        Some(seconds) => format!("{what} (try again in {seconds} s)"),
        None => format!("{what} (try again later)"),
    }
}

fn describe_unknown_status(status: &str, server_message: Option<&str>) -> String {
    match server_message {
        Some(message) => format!("{message} ({status})"),
        None => {
            format!("the server answered with the status {status}, unknown to this version")
        }
    }
}

fn describe_breach(reason: BreachReason, server_message: Option<&str>) -> String {
    let what = match reason {
        BreachReason::ServerSignature => {
            "the server could not prove its identity: somebody may be intercepting the connection, or the pinned identity key is not this server's"
        }
        BreachReason::PacketForged => {
            "a packet was forged or damaged on its way: use another network, then connect a new client"
        }
        BreachReason::Sequence => {
            "an answer came that belongs to no request: use another network, then connect a new client"
        }
        BreachReason::Protocol => {
            "the server sent what the protocol does not allow: use another network, then connect a new client"
        }
        BreachReason::ReportedByServer => {
            "the server reported an integrity breach: contact support"
        }
    };
    match server_message {
        Some(message) => message.to_owned(),
        None => format!("{what} (integrity breach: {reason})"),
    }
}

fn maybe_executed_note(maybe_executed: bool) -> &'static str {
    if maybe_executed {
        " (the request may have been executed: check that first if executing it twice does harm)"
    } else {
        ""
    }
}

/// The result of the client's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<skyline_protocol::identity::IdentityKeyError> for Error {
    fn from(error: skyline_protocol::identity::IdentityKeyError) -> Self {
        Self::invalid(
            "identity_keys",
            format!("a key of the server in hex or base64 ({error})"),
        )
    }
}

impl From<skyline_protocol::license_key::LicenseKeyError> for Error {
    fn from(error: skyline_protocol::license_key::LicenseKeyError) -> Self {
        // The key itself is never shown.
        Self::invalid("license_key", error.to_string())
    }
}
