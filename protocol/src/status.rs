//! The outcome that a response carries.

use std::fmt;

/// The status of a response (docs/protocol.md, section 5).
///
/// A status that this version does not know is kept as it came, in [`Status::Other`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// `OK`: the request was carried out.
    Ok,
    /// `OUTDATED_VERSION`: the product is older than the server accepts; it must update itself.
    OutdatedVersion,
    /// `KEY_BOUND_TO_ANOTHER_DEVICE`: the license key belongs to another device.
    KeyBoundToAnotherDevice,
    /// `INTEGRITY_BREACH`: the server found that the client or its state was tampered with.
    IntegrityBreach,
    /// `BAD_REQUEST`: the request's payload is not what its method takes.
    BadRequest,
    /// `UNKNOWN_METHOD`: the server has no such method.
    UnknownMethod,
    /// `INVALID_SESSION`: the session token is missing or is not this connection's.
    InvalidSession,
    /// `LICENSE_NOT_FOUND`: the server knows no such license key.
    LicenseNotFound,
    /// `LICENSE_EXPIRED`: the license's period is over.
    LicenseExpired,
    /// `LICENSE_SUSPENDED`: the license was suspended by its issuer.
    LicenseSuspended,
    /// `RATE_LIMITED`: too many requests; the payload may say when to try again.
    RateLimited,
    /// `INTERNAL_ERROR`: the server failed.
    InternalError,
    /// Any other text, as it came.
    Other(String),
}

impl Status {
    /// The text that stands in a packet.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "OK",
            Self::OutdatedVersion => "OUTDATED_VERSION",
            Self::KeyBoundToAnotherDevice => "KEY_BOUND_TO_ANOTHER_DEVICE",
            Self::IntegrityBreach => "INTEGRITY_BREACH",
            Self::BadRequest => "BAD_REQUEST",
            Self::UnknownMethod => "UNKNOWN_METHOD",
            Self::InvalidSession => "INVALID_SESSION",
            Self::LicenseNotFound => "LICENSE_NOT_FOUND",
            Self::LicenseExpired => "LICENSE_EXPIRED",
            Self::LicenseSuspended => "LICENSE_SUSPENDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::InternalError => "INTERNAL_ERROR",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for Status {
    /// Reads the text of a packet; it is compared exactly, in upper case.
    fn from(text: &str) -> Self {
        match text {
            "OK" => Self::Ok,
            "OUTDATED_VERSION" => Self::OutdatedVersion,
            "KEY_BOUND_TO_ANOTHER_DEVICE" => Self::KeyBoundToAnotherDevice,
            "INTEGRITY_BREACH" => Self::IntegrityBreach,
            "BAD_REQUEST" => Self::BadRequest,
            "UNKNOWN_METHOD" => Self::UnknownMethod,
            "INVALID_SESSION" => Self::InvalidSession,
            "LICENSE_NOT_FOUND" => Self::LicenseNotFound,
            "LICENSE_EXPIRED" => Self::LicenseExpired,
            "LICENSE_SUSPENDED" => Self::LicenseSuspended,
            "RATE_LIMITED" => Self::RateLimited,
            "INTERNAL_ERROR" => Self::InternalError,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 12] = [
        "OK",
        "OUTDATED_VERSION",
        "KEY_BOUND_TO_ANOTHER_DEVICE",
        "INTEGRITY_BREACH",
        "BAD_REQUEST",
        "UNKNOWN_METHOD",
        "INVALID_SESSION",
        "LICENSE_NOT_FOUND",
        "LICENSE_EXPIRED",
        "LICENSE_SUSPENDED",
        "RATE_LIMITED",
        "INTERNAL_ERROR",
    ];

    #[test]
    fn every_known_status_has_its_own_variant_and_keeps_its_text() {
        for text in KNOWN {
            let status = Status::from(text);
            assert!(!matches!(status, Status::Other(_)), "{text}");
            assert_eq!(status.as_str(), text);
            assert_eq!(status.to_string(), text);
        }
    }

    #[test]
    fn an_unknown_status_is_kept_as_it_came() {
        for text in ["", "ok", "НОВЫЙ_СТАТУС", "PAYMENT_REQUIRED"] {
            assert_eq!(Status::from(text), Status::Other(text.to_owned()));
            assert_eq!(Status::from(text).as_str(), text);
        }
    }
}
