//! The kinds of failure, as numbers that never change.

use crate::ffi::FailureKind;

/// Why something failed: one kind for each thing that a program would do differently. The numbers
/// are stable; a newer library may have more.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkylineKind {
    /// Nothing failed.
    None = 0,
    /// A setting, or an argument of a function, is missing or malformed.
    InvalidConfiguration = 1,
    /// No connection could be made.
    Connection = 2,
    /// The peer did not complete the handshake.
    Handshake = 3,
    /// The integrity of the session was violated; the client is finished.
    IntegrityBreach = 4,
    /// The application must update itself.
    OutdatedVersion = 5,
    /// The license key belongs to another device.
    KeyBoundToAnotherDevice = 6,
    /// The server does not know the license key.
    LicenseNotFound = 7,
    /// The license has run out.
    LicenseExpired = 8,
    /// The license is suspended.
    LicenseSuspended = 9,
    /// The server found the request malformed.
    BadRequest = 10,
    /// The server has no such method.
    UnknownMethod = 11,
    /// The server does not accept the session any more.
    InvalidSession = 12,
    /// Too many requests.
    RateLimited = 13,
    /// The server failed.
    InternalError = 14,
    /// A status that this version does not know.
    UnknownStatus = 15,
    /// The connection ended before the answer came.
    ConnectionLost = 16,
    /// The deadline passed first.
    DeadlineExceeded = 17,
    /// The caller cancelled the call.
    Cancelled = 18,
    /// The client was shut down.
    ShutDown = 19,
    /// A payload could not be converted.
    Payload = 20,
    /// The request exceeds the packet size.
    PacketTooLarge = 21,
    /// The event queue has no room for another event.
    EventQueueFull = 22,
    /// The state folder could not be used, or the system refused something.
    State = 23,
    /// An update was refused, or is not to be had.
    Update = 24,
    /// The process was forked after the library had started.
    Forked = 25,
}

impl From<FailureKind> for SkylineKind {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::InvalidConfiguration => Self::InvalidConfiguration,
            FailureKind::Connection => Self::Connection,
            FailureKind::Handshake => Self::Handshake,
            FailureKind::IntegrityBreach => Self::IntegrityBreach,
            FailureKind::OutdatedVersion => Self::OutdatedVersion,
            FailureKind::KeyBoundToAnotherDevice => Self::KeyBoundToAnotherDevice,
            FailureKind::LicenseNotFound => Self::LicenseNotFound,
            FailureKind::LicenseExpired => Self::LicenseExpired,
            FailureKind::LicenseSuspended => Self::LicenseSuspended,
            FailureKind::BadRequest => Self::BadRequest,
            FailureKind::UnknownMethod => Self::UnknownMethod,
            FailureKind::InvalidSession => Self::InvalidSession,
            FailureKind::RateLimited => Self::RateLimited,
            FailureKind::InternalError => Self::InternalError,
            FailureKind::UnknownStatus => Self::UnknownStatus,
            FailureKind::ConnectionLost => Self::ConnectionLost,
            FailureKind::DeadlineExceeded => Self::DeadlineExceeded,
            FailureKind::Cancelled => Self::Cancelled,
            FailureKind::ShutDown => Self::ShutDown,
            FailureKind::Payload => Self::Payload,
            FailureKind::PacketTooLarge => Self::PacketTooLarge,
            FailureKind::EventQueueFull => Self::EventQueueFull,
            FailureKind::State => Self::State,
            FailureKind::Update => Self::Update,
            FailureKind::Forked => Self::Forked,
        }
    }
}
