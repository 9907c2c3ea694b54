//! What the server keeps: products, plans, licenses, logins and events.

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use skyline_protocol::LicenseKey;

/// A product that licenses are issued for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its name on the wire, `productId`.
    pub id: String,
    /// Versions below it must update first; `None`: every version may log in.
    pub minimum_version: Option<String>,
    /// Where a newer version is to be had; `None`: the default place (docs/protocol.md, section 8).
    pub update_url: Option<String>,
}

/// How long a license lasts and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name on the wire, `licensePlan`.
    pub id: String,
    /// Its period in calendar months from the activation; at least 1.
    pub months: i32,
}

/// The store's number of a license. It names a license in logs, where its key must not appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LicenseId(pub i64);

/// The store's number of an accepted login; a later login has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoginId(pub i64);

/// A machine, as the client describes it. Two descriptions mean one machine only when they are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `deviceSerialNumber` of the wire.
    pub serial_number: String,
    /// `csProductUUID` of the wire.
    pub cs_product_uuid: String,
}

/// What the first login of a license fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// The day of the first login, in UTC.
    pub date: Date,
    /// The first day, in UTC, on which the license is no longer good.
    pub expiry: Date,
    /// The only machine that may use the license.
    pub device: Device,
}

/// A license as it stands.
#[derive(Clone, Debug)]
pub struct License {
    /// Its number in the store.
    pub id: LicenseId,
    /// The key that the user types in.
    pub key: LicenseKey,
    /// The product it was issued for.
    pub product_id: String,
    /// Its plan.
    pub plan: Plan,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Whether an administrator has stopped it for the time being.
    pub suspended: bool,
    /// What its first login fixed; `None` before that.
    pub activation: Option<Activation>,
}

/// An event that a client reported by `send-event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name, such as `app.navigation`.
    pub name: String,
    /// The MessagePack of its data, as it came.
    pub data: Bytes,
    /// The client's name for this one event: a repeat of it is dropped.
    pub id: Option<String>,
    /// The timestamp of the request, unix seconds by the client's clock.
    pub sent_at: i64,
}
