//! The error that crosses the language border: one flat record behind one variant.
//!
//! Each language's facade turns it into its own exception types by `kind`; a flat record keeps
//! that a table (docs/adr/0004).

use crate::error::Error;

/// What an exported operation fails with.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum Failure {
    /// The operation failed.
    #[error("{}", details.text)]
    Failed {
        /// Everything about the failure.
        details: FailureDetails,
    },
}

/// Everything that a program or a person may want to know about a failure.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record, serde::Serialize)]
pub struct FailureDetails {
    /// The kind, to branch on.
    // The C interface writes its own number of the kind.
    #[serde(skip)]
    pub kind: FailureKind,
    /// The stable code of the kind, for example `INVALID_CONFIGURATION`.
    pub code: String,
    /// A sentence for a person: the server's where it gave one, else what happened and what to do.
    pub text: String,
    /// The status string of the server's answer, when the failure is one.
    pub status: Option<String>,
    /// The server's own sentence, when it gave one.
    pub server_message: Option<String>,
    /// The setting that is invalid.
    pub field: Option<String>,
    /// What was expected in that setting.
    pub expected: Option<String>,
    /// `server-signature`, `packet-forged`, `sequence`, `protocol` or `reported-by-server`.
    pub breach_reason: Option<String>,
    /// `refused`, `dns`, `tls`, `proxy`, `http`, `timeout`, `unreachable` or `other`.
    pub connection_failure: Option<String>,
    /// The HTTP status with which the server or the proxy declined.
    pub http_status: Option<u16>,
    /// How long the server asks to wait, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// Whether the request may have been executed, where the question arises.
    pub maybe_executed: Option<bool>,
    /// What is wrong with the update, for example `signature-wrong`.
    pub update_failure: Option<String>,
}

macro_rules! failure_kinds {
    ($($kind:ident { $($pattern:tt)* } $doc:literal,)*) => {
        /// The kinds of failure; one for each thing that an application would do differently.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
        pub enum FailureKind {
            $(#[doc = $doc] $kind,)*
        }

        impl From<&Error> for FailureKind {
            fn from(error: &Error) -> Self {
                match error {
                    $(Error::$kind $($pattern)* => Self::$kind,)*
                }
            }
        }
    };
}

failure_kinds! {
    InvalidConfiguration { { .. } } "A setting is missing or malformed.",
    Connection { { .. } } "No connection could be made.",
    Handshake { { .. } } "The peer did not complete the handshake.",
    IntegrityBreach { { .. } } "The integrity of the session was violated; the client is finished.",
    OutdatedVersion { { .. } } "The application must update itself.",
    KeyBoundToAnotherDevice { { .. } } "The license key belongs to another device.",
    LicenseNotFound { { .. } } "The server does not know the license key.",
    LicenseExpired { { .. } } "The license has run out.",
    LicenseSuspended { { .. } } "The license is suspended.",
    BadRequest { { .. } } "The server found the request malformed.",
    UnknownMethod { { .. } } "The server has no such method.",
    InvalidSession { { .. } } "The server does not accept the session any more.",
    RateLimited { { .. } } "Too many requests.",
    InternalError { { .. } } "The server failed.",
    UnknownStatus { { .. } } "A status that this version does not know.",
    ConnectionLost { { .. } } "The connection ended before the answer came.",
    DeadlineExceeded { { .. } } "The deadline passed first.",
    Cancelled { { .. } } "The caller cancelled the operation.",
    ShutDown { { .. } } "The client was shut down.",
    Payload { { .. } } "A payload could not be converted.",
    PacketTooLarge { { .. } } "The request exceeds the packet size.",
    EventQueueFull { { .. } } "The event queue has no room for another event.",
    State { { .. } } "The state folder could not be used.",
    Update { { .. } } "An update was refused, or is not to be had.",
    Forked { } "The process was forked after Skyline had started.",
}

impl From<&Error> for FailureDetails {
    fn from(error: &Error) -> Self {
        let mut details = Self {
            kind: error.into(),
            code: error.code().to_owned(),
            text: error.to_string(),
            status: error.status().map(str::to_owned),
            server_message: error.server_message().map(str::to_owned),
            field: None,
            expected: None,
            breach_reason: None,
            connection_failure: None,
            http_status: None,
            retry_after_seconds: None,
            maybe_executed: error.maybe_executed(),
            update_failure: None,
        };
        match error {
            Error::InvalidConfiguration { field, expected } => {
                details.field = Some((*field).to_owned());
                details.expected = Some(expected.clone());
            }
            Error::Connection {
                failure,
                http_status,
                retry_after_seconds,
                ..
            } => {
                details.connection_failure = Some(failure.as_str().to_owned());
                details.http_status = *http_status;
                details.retry_after_seconds = *retry_after_seconds;
            }
            Error::IntegrityBreach { reason, .. } => {
                details.breach_reason = Some(reason.as_str().to_owned());
            }
            Error::RateLimited {
                retry_after_seconds,
                ..
            } => {
                details.retry_after_seconds = *retry_after_seconds;
            }
            Error::Update { failure, .. } => {
                details.update_failure = Some(failure.as_str().to_owned());
            }
            _ => {}
        }
        details
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed {
            details: (&error).into(),
        }
    }
}
