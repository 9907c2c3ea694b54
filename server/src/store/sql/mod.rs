//! The store in an SQL database: SQLite for one node, PostgreSQL for several.
//!
//! One set of statements serves both. They are written in what the two dialects share, over
//! sqlx's `Any` driver, which knows integers, text and bytes; the few differences are methods of
//! [`Dialect`].

mod backup;
mod catalogue;
mod group;
mod journal;
mod keys;
mod licenses;
mod login;
mod open;
mod releases;
mod rows;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use skyline_protocol::{LicenseKey, update::Manifest};
use sqlx::{Any, AnyPool, Transaction};

use self::group::{Group, Write};
use super::{
    AuditEntry, AuditFilter, Decide, EventFilter, LicenseChange, LoginOutcome, NewAuditEntry,
    NewLicense, PlanChange, PortableLicense, ProductChange, ReleaseFilter, Store, StoreError,
    StoredEvent,
};
use crate::{
    key_secret::KeySecret,
    licensing::LoginAttempt,
    model::{Event, License, LicenseId, LoginId, Plan, Product, Release, Stamp},
};

pub use backup::restore_sqlite;
pub use open::{DEFAULT_MAX_DATABASE_CONNECTIONS, StoreOptions};

type Writing = Transaction<'static, Any>;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

/// A [`Store`] in SQLite or PostgreSQL; made by [`StoreOptions::open`].
///
/// On SQLite one connection writes, as SQLite allows one writer at a time anyway: waiting in its
/// queue is fair, whereas many writers polling a locked file starve each other. On PostgreSQL both
/// pools are the same one.
pub struct SqlStore {
    writer: AnyPool,
    group: Group,
    readers: AnyPool,
    dialect: Dialect,
    secret: KeySecret,
}

impl SqlStore {
    async fn begin(&self) -> Result<Writing, StoreError> {
        self.dialect.begin(&self.writer).await
    }

    /// Makes a write in a transaction. SQLite, whose transactions that write are one after the
    /// other, makes one of all that wait; those of PostgreSQL go on side by side.
    async fn write<W: Write>(&self, write: W) -> Result<W::Answer, StoreError> {
        match self.dialect {
            Dialect::Sqlite => self.group.write(write).await,
            Dialect::Postgres => {
                let mut transaction = self.begin().await?;
                let answer = write.run(&mut transaction).await?;
                transaction.commit().await?;
                Ok(answer)
            }
        }
    }
}

impl Dialect {
    /// Begins a transaction that writes. On SQLite it holds the write lock from its start, so that
    /// what it reads is still true when it writes; on PostgreSQL the rows that matter are locked
    /// one by one ([`Dialect::license_by_key_locked`]).
    async fn begin(self, writer: &AnyPool) -> Result<Writing, StoreError> {
        Ok(match self {
            Self::Sqlite => writer.begin_with("BEGIN IMMEDIATE").await?,
            Self::Postgres => writer.begin().await?,
        })
    }
}

/// Appends to the audit log within a transaction.
async fn audit(transaction: &mut Writing, entry: &NewAuditEntry) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit_log (at, who, action, license_id, product_id, detail, times)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(entry.at.as_second())
    .bind(entry.who.to_string())
    .bind(&*entry.action)
    .bind(entry.license.map(|id| id.0))
    .bind(entry.product.as_deref())
    .bind(&*entry.detail)
    .bind(i64::try_from(entry.times).unwrap_or(i64::MAX))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[async_trait]
impl Store for SqlStore {
    async fn set_product(
        &self,
        id: &str,
        change: &ProductChange,
        by: &Stamp,
    ) -> Result<Product, StoreError> {
        catalogue::set_product(self, id, change, by).await
    }

    async fn product(&self, id: &str) -> Result<Option<Product>, StoreError> {
        catalogue::product(&self.readers, id).await
    }

    async fn products(&self) -> Result<Vec<Product>, StoreError> {
        catalogue::products(self).await
    }

    async fn set_plan(
        &self,
        id: &str,
        change: &PlanChange,
        by: &Stamp,
    ) -> Result<Plan, StoreError> {
        catalogue::set_plan(self, id, change, by).await
    }

    async fn plan(&self, id: &str) -> Result<Option<Plan>, StoreError> {
        Ok(catalogue::plans(self, Some(id)).await?.pop())
    }

    async fn plans(&self) -> Result<Vec<Plan>, StoreError> {
        catalogue::plans(self, None).await
    }

    async fn issue_license(&self, license: &NewLicense) -> Result<LicenseId, StoreError> {
        licenses::issue(self, license).await
    }

    async fn import_licenses(
        &self,
        licenses: &[PortableLicense],
        by: &Stamp,
    ) -> Result<(), StoreError> {
        licenses::import(self, licenses, by).await
    }

    async fn export_licenses(
        &self,
        product_id: Option<&str>,
    ) -> Result<Vec<PortableLicense>, StoreError> {
        licenses::export(self, product_id).await
    }

    fn key_check_value(&self) -> String {
        self.secret.check_value()
    }

    async fn licenses(&self, product_id: Option<&str>) -> Result<Vec<License>, StoreError> {
        licenses::all(self, product_id).await
    }

    async fn license_by_key(&self, key: &LicenseKey) -> Result<Option<License>, StoreError> {
        licenses::by_key(self, key).await
    }

    async fn license(&self, id: LicenseId) -> Result<Option<License>, StoreError> {
        licenses::by_id(self, id).await
    }

    async fn change_license(
        &self,
        id: LicenseId,
        change: &LicenseChange,
        by: &Stamp,
    ) -> Result<License, StoreError> {
        licenses::change(self, id, change, by).await
    }

    async fn mark_restored(&self, by: &Stamp) -> Result<u64, StoreError> {
        backup::mark_restored(self, by).await
    }

    async fn limits(&self, id: LicenseId) -> Result<BTreeMap<String, i64>, StoreError> {
        licenses::limits(self, id).await
    }

    async fn login(
        &self,
        attempt: Arc<LoginAttempt>,
        decide: Box<Decide>,
    ) -> Result<LoginOutcome, StoreError> {
        login::login(self, attempt, decide).await
    }

    async fn confirm_login(&self, login: LoginId, since: Timestamp) -> Result<u32, StoreError> {
        login::confirm(self, login, since).await
    }

    async fn forget_logins(&self, id: LicenseId) -> Result<(), StoreError> {
        login::forget(self, id).await
    }

    async fn record_event(
        &self,
        id: LicenseId,
        event: &Event,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        journal::record_event(self, id, event, at).await
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: i64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        journal::events(self, filter, after).await
    }

    async fn append_audit(&self, entries: &[NewAuditEntry]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for entry in entries {
            audit(&mut transaction, entry).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn audit_log(
        &self,
        filter: &AuditFilter,
        after: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        journal::audit_log(self, filter, after).await
    }

    async fn publish_release(&self, release: &Release, by: &Stamp) -> Result<(), StoreError> {
        releases::publish(self, release, by).await
    }

    async fn releases(&self, filter: &ReleaseFilter) -> Result<Vec<Release>, StoreError> {
        releases::all(self, filter).await
    }

    async fn withdraw_release(&self, manifest: &Manifest, by: &Stamp) -> Result<bool, StoreError> {
        releases::withdraw(self, manifest, by).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        // Last: the last connection to close folds SQLite's WAL into the main file.
        self.writer.close().await;
    }
}
