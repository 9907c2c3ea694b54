//! What the server keeps: products, plans, licenses, logins and events.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use skyline_protocol::update::{Manifest, SignedManifest};

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
    /// What it allows; empty where only the period matters ([`License::plan`]).
    pub limits: BTreeMap<String, i64>,
}

/// The store's number of a license. It names a license in logs, where its key must not appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "serial number {}, product UUID {}",
            self.serial_number, self.cs_product_uuid
        )
    }
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
    /// The last characters of its key; the key itself is not kept.
    pub key_hint: String,
    /// The product it was issued for.
    pub product_id: String,
    /// Its plan.
    pub plan: Plan,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Whether an administrator has stopped it for the time being.
    pub suspended: bool,
    /// Whether the next device that logs in takes it over.
    pub rebinding: bool,
    /// What the next login may report although the history lacks it.
    pub history_mark: Option<HistoryMark>,
    /// What its first login fixed; `None` before that.
    pub activation: Option<Activation>,
}

/// Why a login may report a value that the history of its license lacks, once (docs/protocol.md,
/// section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryMark {
    /// The history was restored from a backup: a newer value is taken, out of the resync budget.
    Restored,
    /// An administrator has reset it: any value is taken, and costs nothing.
    Reset,
}

/// Who did something, as the audit log names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(String);

impl Actor {
    /// The user of the operating system who gives a command.
    pub fn administrator() -> Self {
        let user = whoami::username().unwrap_or_else(|_| "unknown".to_owned());
        Self(format!("admin:{}", user.replace(char::is_control, "?")))
    }

    /// A client at that address.
    pub fn client(address: IpAddr) -> Self {
        Self(format!("client:{}", address.to_canonical()))
    }

    /// Clients of many addresses.
    pub fn clients() -> Self {
        Self("clients".to_owned())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who changes something, and when.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Who.
    pub who: Actor,
    /// When.
    pub at: Timestamp,
}

/// A version of a product that clients may update to (docs/protocol.md, section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// What is said of its file.
    pub manifest: Manifest,
    /// The same, signed, as it is sent.
    pub signed: SignedManifest,
    /// When it was published.
    pub published_at: Timestamp,
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
