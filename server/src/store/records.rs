//! What goes into the store and comes out of it, beside the model.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use skyline_protocol::LicenseKey;

use crate::{
    licensing::{Acceptance, Refusal},
    model::{Activation, Actor, Event, LicenseId, LoginId, Stamp},
};

/// Changes to a product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductChange {
    /// What becomes of the minimum version.
    pub minimum_version: Setting,
    /// What becomes of the update address.
    pub update_url: Setting,
}

/// What becomes of a value that need not be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Setting {
    /// It stays as it is; what is new has none.
    #[default]
    Keep,
    /// There is none from now on.
    Clear,
    /// It becomes this.
    Set(String),
}

impl Setting {
    /// Whether it changes, and what it becomes if so.
    pub(super) fn parts(&self) -> (bool, Option<&str>) {
        match self {
            Self::Keep => (false, None),
            Self::Clear => (true, None),
            Self::Set(value) => (true, Some(value)),
        }
    }
}

/// Changes to a plan; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanChange {
    /// The new period in calendar months; a new plan needs one.
    pub months: Option<i32>,
    /// Limits to set.
    pub limits: BTreeMap<String, i64>,
    /// Limits to remove.
    pub removed_limits: Vec<String>,
}

/// A license to be issued.
#[derive(Clone, Debug)]
pub struct NewLicense {
    /// Its key; only its hash and hint are kept.
    pub key: LicenseKey,
    /// The product, which must exist.
    pub product_id: String,
    /// The plan, which must exist.
    pub plan_id: String,
    /// Limits of its own, which go before the plan's.
    pub limits: BTreeMap<String, i64>,
    /// Who issues it, and when.
    pub by: Stamp,
}

/// The key of a license that comes from elsewhere or goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortableKey {
    /// The key itself, as a vendor has it from an earlier system. Never exported.
    Plain(LicenseKey),
    /// Its hash under the secret of the database that exported it.
    Hash {
        /// HMAC-SHA256 in hex.
        hash: String,
        /// The last characters.
        hint: String,
    },
}

/// A license with all that another database needs to go on with it, except its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortableLicense {
    /// Its key.
    pub key: PortableKey,
    /// The product, which must exist where it is imported.
    pub product_id: String,
    /// The plan, likewise.
    pub plan_id: String,
    /// Limits of its own.
    pub limits: BTreeMap<String, i64>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Whether it is suspended.
    pub suspended: bool,
    /// What its first login fixed.
    pub activation: Option<Activation>,
}

/// What an administrator does to a license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenseChange {
    /// Stops it for the time being.
    Suspend,
    /// Lets it go on.
    Resume,
    /// Moves its expiry date, which must become later.
    Extend(Date),
    /// Lets the next device that logs in take it over.
    Rebind,
    /// Lets its next login report any last login, and gives it its whole resync budget back.
    ResetLogin,
}

/// What became of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// Let in, and written down.
    Accepted {
        /// The license.
        license: LicenseId,
        /// The entry in its history, to be confirmed by a later request.
        login: LoginId,
        /// What was decided.
        acceptance: Acceptance,
    },
    /// Sent away. Nothing is written down: the caller sees to the audit log.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The license, if there is one of that key and product.
        license: Option<LicenseId>,
    },
}

/// An entry for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub who: Actor,
    /// What happened, one word such as `activated` or `refused-expired`.
    pub action: String,
    /// The license that it happened to.
    pub license: Option<LicenseId>,
    /// The product that it happened to.
    pub product: Option<String>,
    /// The particulars; never a secret.
    pub detail: String,
    /// How often it happened; at least 1.
    pub times: u64,
}

impl NewAuditEntry {
    /// Something that happened once to nothing in particular.
    pub fn new(by: &Stamp, action: &str, detail: impl Into<String>) -> Self {
        Self {
            at: by.at,
            who: by.who.clone(),
            action: action.to_owned(),
            license: None,
            product: None,
            detail: detail.into(),
            times: 1,
        }
    }

    /// The same, to a license.
    #[must_use]
    pub fn of_license(mut self, license: LicenseId) -> Self {
        self.license = Some(license);
        self
    }

    /// The same, to a product.
    #[must_use]
    pub fn of_product(mut self, product: &str) -> Self {
        self.product = Some(product.to_owned());
        self
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number; a later entry has a greater one.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: `admin:<user>`, `client:<address>`, or `unknown` in entries of older versions.
    pub who: String,
    /// What happened.
    pub action: String,
    /// The license that it happened to.
    pub license: Option<LicenseId>,
    /// The product that it happened to.
    pub product: Option<String>,
    /// The particulars.
    pub detail: String,
    /// How often it happened.
    pub times: u64,
}

/// Which entries of the audit log are wanted; the default wants all.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only those of this license.
    pub license: Option<LicenseId>,
    /// Only those from this moment on.
    pub since: Option<Timestamp>,
    /// Only those of this action.
    pub action: Option<String>,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number in the store; a later event has a greater one.
    pub number: i64,
    /// The license that reported it.
    pub license: LicenseId,
    /// The product of the license.
    pub product_id: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What the client said.
    pub event: Event,
}

/// Which releases are wanted; the default wants all.
#[derive(Clone, Debug, Default)]
pub struct ReleaseFilter {
    /// Only those of this product.
    pub product: Option<String>,
    /// Only those for this platform.
    pub platform: Option<String>,
}

/// Which events are wanted; the default wants all.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those of this license.
    pub license: Option<LicenseId>,
    /// Only those of licenses of this product.
    pub product: Option<String>,
    /// Only those that arrived from this moment on.
    pub since: Option<Timestamp>,
}

/// Most entries or events that are read at a time, so that an export of any length takes little
/// memory.
pub const PAGE: i64 = 1000;
