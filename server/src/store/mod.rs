//! Everything the server remembers, behind one trait.
//!
//! A node of the server keeps nothing but its connections in memory, so several nodes may share
//! one store. What must not be torn apart by another node (binding, activation and the history of
//! logins) is one method here, and one transaction behind it.

mod sqlite;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use skyline_protocol::LicenseKey;

use crate::{
    licensing::{Acceptance, Decision, LoginAttempt, LoginFacts, Refusal},
    model::{Event, License, LicenseId, LoginId, Plan, Product},
};

pub use sqlite::SqliteStore;

/// Why the store could not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A license of that key exists already.
    #[error("a license with this key exists already")]
    KeyTaken,
    /// What the database holds is not what this server writes into it.
    #[error("the database holds an invalid {0}")]
    Corrupt(&'static str),
    /// The database is of another version of this server.
    #[error("the database could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database itself failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Changes to a product; `None` leaves a value as it is (or unset, when the product is new).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductChange {
    /// The new minimum version.
    pub minimum_version: Option<String>,
    /// The new update address.
    pub update_url: Option<String>,
}

/// A license to be issued.
#[derive(Clone, Debug)]
pub struct NewLicense {
    /// Its key.
    pub key: LicenseKey,
    /// The product, which must exist.
    pub product_id: String,
    /// The plan, which must exist.
    pub plan_id: String,
    /// Limits of its own, which go before the plan's.
    pub limits: BTreeMap<String, i64>,
    /// When it is issued.
    pub at: Timestamp,
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
    /// Sent away.
    Refused(Refusal),
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it happened.
    pub at: Timestamp,
    /// What happened, one word such as `activated` or `resync`.
    pub action: String,
    /// The particulars; never a secret.
    pub detail: String,
}

/// The decision to be taken within [`Store::login`]'s transaction.
pub type Decide<'a> = dyn Fn(&LoginFacts) -> Decision + Send + Sync + 'a;

/// Everything the server remembers.
///
/// Each method is atomic and durable: what it has answered is there after a crash, and all nodes
/// that share the store see it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Creates a product or changes it, and returns it as it is now.
    async fn set_product(&self, id: &str, change: &ProductChange) -> Result<Product, StoreError>;

    /// The product of that name.
    async fn product(&self, id: &str) -> Result<Option<Product>, StoreError>;

    /// All plans, by name.
    async fn plans(&self) -> Result<Vec<Plan>, StoreError>;

    /// Issues a license.
    ///
    /// # Errors
    /// [`StoreError::KeyTaken`] when there is a license of that key.
    async fn issue_license(&self, license: &NewLicense) -> Result<LicenseId, StoreError>;

    /// All licenses, oldest first; of one product if it is named.
    async fn licenses(&self, product_id: Option<&str>) -> Result<Vec<License>, StoreError>;

    /// The license of that key.
    async fn license_by_key(&self, key: &LicenseKey) -> Result<Option<License>, StoreError>;

    /// The license of that number.
    async fn license(&self, id: LicenseId) -> Result<Option<License>, StoreError>;

    /// Stops a license for the time being, or lets it go on, and notes it in the audit log.
    async fn set_suspended(
        &self,
        id: LicenseId,
        suspended: bool,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// The limits of a license: its plan's, with its own before them.
    async fn limits(&self, id: LicenseId) -> Result<BTreeMap<String, i64>, StoreError>;

    /// Gathers the facts about an attempt, has it decided, and writes down the outcome
    /// (activation, binding, login history, audit log), all in one transaction with which no
    /// other login of the same license can interleave.
    ///
    /// That the client reports a value shows that it received the answer of that login: the
    /// reported login of an accepted attempt is confirmed too.
    async fn login(
        &self,
        attempt: &LoginAttempt,
        decide: &Decide<'_>,
    ) -> Result<LoginOutcome, StoreError>;

    /// Notes that the client received the answer of a login. Returns how many confirmed resyncs
    /// its license has had since the given moment if that login is one of them, else 0.
    async fn confirm_login(&self, login: LoginId, since: Timestamp) -> Result<u32, StoreError>;

    /// Removes the login history of a license; for tests (`serve --test-hooks`).
    async fn forget_logins(&self, id: LicenseId) -> Result<(), StoreError>;

    /// Keeps an event. `false`: it is a repeat, of an id that this license has used before.
    async fn record_event(
        &self,
        id: LicenseId,
        event: &Event,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The events of a license, oldest first.
    async fn events(&self, id: LicenseId) -> Result<Vec<Event>, StoreError>;

    /// The audit log of a license, oldest first.
    async fn audit_log(&self, id: LicenseId) -> Result<Vec<AuditEntry>, StoreError>;

    /// Whether the store answers at all.
    async fn check(&self) -> Result<(), StoreError>;

    /// Closes the store in good order; later calls fail.
    async fn close(&self);
}
