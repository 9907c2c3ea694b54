//! Everything the server remembers, behind one trait.
//!
//! A node of the server keeps nothing but its connections in memory, so several nodes may share
//! one store. What must not be torn apart by another node (binding, activation and the history of
//! logins) is one method here, and one transaction behind it.

mod address;
mod error;
mod records;
mod sql;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use skyline_protocol::{LicenseKey, update::Manifest};

use crate::{
    licensing::{Decision, LoginAttempt, LoginFacts},
    model::{Event, License, LicenseId, LoginId, Plan, Product, Release, Stamp},
};

pub use address::{DatabaseAddress, DatabaseAddressError};
pub use error::StoreError;
pub use records::{
    AuditEntry, AuditFilter, EventFilter, LicenseChange, LoginOutcome, NewAuditEntry, NewLicense,
    PAGE, PlanChange, PortableKey, PortableLicense, ProductChange, ReleaseFilter, Setting,
    StoredEvent,
};
pub use sql::{DEFAULT_MAX_DATABASE_CONNECTIONS, SqlStore, StoreOptions, restore_sqlite};

/// The decision to be taken within [`Store::login`]'s transaction, of the attempt and what is known
/// about it. It may be taken again, when the transaction has to begin again.
pub type Decide = dyn Fn(&LoginAttempt, &LoginFacts) -> Decision + Send + Sync;

/// Everything the server remembers.
///
/// Each method is atomic and durable: what it has answered is there after a crash, and all nodes
/// that share the store see it. A change and its entry in the audit log are one transaction.
#[async_trait]
pub trait Store: Send + Sync {
    /// Creates a product or changes it, and returns it as it is now.
    async fn set_product(
        &self,
        id: &str,
        change: &ProductChange,
        by: &Stamp,
    ) -> Result<Product, StoreError>;

    /// The product of that name.
    async fn product(&self, id: &str) -> Result<Option<Product>, StoreError>;

    /// All products, by name.
    async fn products(&self) -> Result<Vec<Product>, StoreError>;

    /// Creates a plan or changes it, and returns it as it is now. Licenses that are activated keep
    /// their expiry date.
    ///
    /// # Errors
    /// [`StoreError::PlanWithoutMonths`] when the plan is new and no period is named.
    async fn set_plan(&self, id: &str, change: &PlanChange, by: &Stamp)
    -> Result<Plan, StoreError>;

    /// The plan of that name.
    async fn plan(&self, id: &str) -> Result<Option<Plan>, StoreError>;

    /// All plans, by name.
    async fn plans(&self) -> Result<Vec<Plan>, StoreError>;

    /// Issues a license.
    ///
    /// # Errors
    /// [`StoreError::KeyTaken`] when there is a license of that key.
    async fn issue_license(&self, license: &NewLicense) -> Result<LicenseId, StoreError>;

    /// Takes over licenses from elsewhere: all of them or, on an error, none. The history of their
    /// logins stays behind, so that the next login of each may report a value that is not in it
    /// ([`crate::model::HistoryMark::Restored`]).
    ///
    /// # Errors
    /// [`StoreError::KeyTaken`] when there is a license of one of the keys.
    async fn import_licenses(
        &self,
        licenses: &[PortableLicense],
        by: &Stamp,
    ) -> Result<(), StoreError>;

    /// All licenses for another database, oldest first; of one product if it is named.
    async fn export_licenses(
        &self,
        product_id: Option<&str>,
    ) -> Result<Vec<PortableLicense>, StoreError>;

    /// The check value of the secret under which the keys of this database are hashed: equal in
    /// databases whose hashes mean the same.
    fn key_check_value(&self) -> String;

    /// All licenses, oldest first; of one product if it is named.
    async fn licenses(&self, product_id: Option<&str>) -> Result<Vec<License>, StoreError>;

    /// The license of that key.
    async fn license_by_key(&self, key: &LicenseKey) -> Result<Option<License>, StoreError>;

    /// The license of that number.
    async fn license(&self, id: LicenseId) -> Result<Option<License>, StoreError>;

    /// Changes a license, and returns it as it is now.
    ///
    /// # Errors
    /// [`StoreError::NoLicense`]; [`StoreError::NotActivated`] and [`StoreError::NotLater`] of
    /// [`LicenseChange::Extend`]; [`StoreError::NotActivated`] of [`LicenseChange::Rebind`].
    async fn change_license(
        &self,
        id: LicenseId,
        change: &LicenseChange,
        by: &Stamp,
    ) -> Result<License, StoreError>;

    /// Notes that the database was restored from a backup: the next login of each license may
    /// report a value newer than the backup (docs/protocol.md, section 7). Returns the number of
    /// licenses.
    async fn mark_restored(&self, by: &Stamp) -> Result<u64, StoreError>;

    /// The limits of a license: its plan's, with its own before them.
    async fn limits(&self, id: LicenseId) -> Result<BTreeMap<String, i64>, StoreError>;

    /// Gathers the facts about an attempt, has it decided, and writes down the outcome
    /// (activation, binding, login history, audit log), all in one transaction with which no
    /// other login of the same license can interleave, on whichever node it is.
    ///
    /// That the client reports a value shows that it received the answer of that login: the
    /// reported login of an accepted attempt is confirmed too.
    async fn login(
        &self,
        attempt: Arc<LoginAttempt>,
        decide: Box<Decide>,
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

    /// The next events after the one of that number, oldest first, at most [`PAGE`] of them; 0:
    /// from the first on.
    async fn events(
        &self,
        filter: &EventFilter,
        after: i64,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// Appends to the audit log, all of it or nothing.
    async fn append_audit(&self, entries: &[NewAuditEntry]) -> Result<(), StoreError>;

    /// The next entries of the audit log after the one of that number, oldest first, at most
    /// [`PAGE`] of them; 0: from the first on.
    async fn audit_log(
        &self,
        filter: &AuditFilter,
        after: i64,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// Offers a release.
    ///
    /// # Errors
    /// [`StoreError::ReleaseExists`] when there is one of that product, platform and version.
    async fn publish_release(&self, release: &Release, by: &Stamp) -> Result<(), StoreError>;

    /// The releases that are offered.
    async fn releases(&self, filter: &ReleaseFilter) -> Result<Vec<Release>, StoreError>;

    /// Offers a release no longer. Returns whether no other release has its file.
    ///
    /// # Errors
    /// [`StoreError::NoRelease`] when there is none of that product, platform and version.
    async fn withdraw_release(&self, manifest: &Manifest, by: &Stamp) -> Result<bool, StoreError>;

    /// Whether the store answers at all.
    async fn check(&self) -> Result<(), StoreError>;

    /// Closes the store in good order; later calls fail.
    async fn close(&self);
}
