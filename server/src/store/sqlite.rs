//! The store on one SQLite file, in WAL mode, for one node.

mod login;
mod rows;

use std::{collections::BTreeMap, fs::OpenOptions, io, path::Path, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use skyline_protocol::LicenseKey;
use sqlx::{
    Row, Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{AuditEntry, Decide, LoginOutcome, NewLicense, ProductChange, Store, StoreError};
use crate::{
    licensing::LoginAttempt,
    model::{Event, License, LicenseId, LoginId, Plan, Product},
};

/// The migrations, embedded: the binary brings any older database up to date by itself.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Connections that only read. WAL lets them go on beside the writer; more than a few only take
/// turns on the same cores.
const READERS: u32 = 4;

/// How long one writer waits for another process's (an admin command beside the server).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for a connection of the pool before it fails: longer than a busy
/// wait, so that the reason that is reported is the first one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// A [`Store`] in one SQLite file.
///
/// One connection writes, as SQLite allows one writer at a time anyway: waiting in its queue is
/// fair, whereas many writers polling a locked file starve each other.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the database and brings it up to date. A missing file is made if `create` says so.
    ///
    /// # Errors
    /// When the file cannot be opened or made, or is no database of this server.
    pub async fn open(path: &Path, create: bool) -> Result<Self, StoreError> {
        if create {
            make_private(path)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An accepted login must survive a power cut: had the server forgotten it, the next
            // login would report a value that "was never accepted" and lock an honest user out.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                // A local file does not go away like a server on a network.
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        if let Err(error) = MIGRATIONS.run(&writer).await {
            // Two processes that open a new file at the same time race for the first migration.
            // The loser finds it done at the second try.
            tracing::debug!(%error, "migrating once more");
            MIGRATIONS.run(&writer).await?;
        }
        let readers = pool(READERS).connect_lazy_with(options);
        Ok(Self { writer, readers })
    }

    /// Begins a transaction that holds the write lock from its start, so that what it reads is
    /// still true when it writes.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Makes a missing file, readable by its owner only: it will hold license keys. SQLite gives the
/// files beside it the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(sqlx::Error::Io(error).into())
        }
        _ => Ok(()),
    }
}

/// Appends to the audit log within a transaction.
async fn audit(
    transaction: &mut Transaction<'static, Sqlite>,
    license: LicenseId,
    at: Timestamp,
    action: &str,
    detail: &str,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO audit_log (at, license_id, action, detail) VALUES (?, ?, ?, ?)")
        .bind(at.as_second())
        .bind(license.0)
        .bind(action)
        .bind(detail)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

#[async_trait]
impl Store for SqliteStore {
    async fn set_product(&self, id: &str, change: &ProductChange) -> Result<Product, StoreError> {
        let row = sqlx::query(
            "INSERT INTO products (id, minimum_version, update_url) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET
                 minimum_version = COALESCE(?2, minimum_version),
                 update_url = COALESCE(?3, update_url)
             RETURNING id, minimum_version, update_url",
        )
        .bind(id)
        .bind(&change.minimum_version)
        .bind(&change.update_url)
        .fetch_one(&self.writer)
        .await?;
        rows::product(&row)
    }

    async fn product(&self, id: &str) -> Result<Option<Product>, StoreError> {
        sqlx::query(rows::PRODUCT)
            .bind(id)
            .fetch_optional(&self.readers)
            .await?
            .map(|row| rows::product(&row))
            .transpose()
    }

    async fn plans(&self) -> Result<Vec<Plan>, StoreError> {
        let rows = sqlx::query("SELECT id AS plan_id, months FROM plans ORDER BY id")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(rows::plan).collect()
    }

    async fn issue_license(&self, license: &NewLicense) -> Result<LicenseId, StoreError> {
        let mut transaction = self.begin().await?;
        let id = sqlx::query_scalar::<_, i64>(
            "INSERT INTO licenses (key, product_id, plan_id, issued_at) VALUES (?, ?, ?, ?)
             RETURNING id",
        )
        .bind(license.key.expose())
        .bind(&license.product_id)
        .bind(&license.plan_id)
        .bind(license.at.as_second())
        .fetch_one(&mut *transaction)
        .await
        .map_err(|error| match error.as_database_error() {
            Some(database) if database.is_unique_violation() => StoreError::KeyTaken,
            _ => StoreError::from(error),
        })?;
        for (name, value) in &license.limits {
            sqlx::query("INSERT INTO license_limits (license_id, name, value) VALUES (?, ?, ?)")
                .bind(id)
                .bind(name)
                .bind(value)
                .execute(&mut *transaction)
                .await?;
        }
        let id = LicenseId(id);
        audit(&mut transaction, id, license.at, "issued", &license.plan_id).await?;
        transaction.commit().await?;
        Ok(id)
    }

    async fn licenses(&self, product_id: Option<&str>) -> Result<Vec<License>, StoreError> {
        let rows = sqlx::query(rows::LICENSES_OF_PRODUCT)
            .bind(product_id)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(rows::license).collect()
    }

    async fn license_by_key(&self, key: &LicenseKey) -> Result<Option<License>, StoreError> {
        sqlx::query(rows::LICENSE_BY_KEY)
            .bind(key.expose())
            .fetch_optional(&self.readers)
            .await?
            .map(|row| rows::license(&row))
            .transpose()
    }

    async fn license(&self, id: LicenseId) -> Result<Option<License>, StoreError> {
        sqlx::query(rows::LICENSE_BY_ID)
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?
            .map(|row| rows::license(&row))
            .transpose()
    }

    async fn set_suspended(
        &self,
        id: LicenseId,
        suspended: bool,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE licenses SET suspended = ? WHERE id = ?")
            .bind(suspended)
            .bind(id.0)
            .execute(&mut *transaction)
            .await?;
        let action = if suspended { "suspended" } else { "resumed" };
        audit(&mut transaction, id, at, action, "").await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn limits(&self, id: LicenseId) -> Result<BTreeMap<String, i64>, StoreError> {
        // In order of precedence: a later row replaces an earlier one of the same name.
        let rows = sqlx::query(
            "SELECT name, value, 0 AS precedence
                 FROM plan_limits JOIN licenses USING (plan_id) WHERE licenses.id = ?1
             UNION ALL
             SELECT name, value, 1 AS precedence FROM license_limits WHERE license_id = ?1
             ORDER BY precedence",
        )
        .bind(id.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("name")?, row.try_get("value")?)))
            .collect()
    }

    async fn login(
        &self,
        attempt: &LoginAttempt,
        decide: &Decide<'_>,
    ) -> Result<LoginOutcome, StoreError> {
        login::login(self, attempt, decide).await
    }

    async fn confirm_login(&self, login: LoginId, since: Timestamp) -> Result<u32, StoreError> {
        login::confirm(self, login, since).await
    }

    async fn forget_logins(&self, id: LicenseId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM logins WHERE license_id = ?")
            .bind(id.0)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn record_event(
        &self,
        id: LicenseId,
        event: &Event,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO events (license_id, event, data, event_id, sent_at, received_at)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (license_id, event_id) WHERE event_id IS NOT NULL DO NOTHING",
        )
        .bind(id.0)
        .bind(&event.name)
        .bind(event.data.as_ref())
        .bind(&event.id)
        .bind(event.sent_at)
        .bind(at.as_second())
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn events(&self, id: LicenseId) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(
            "SELECT event, data, event_id, sent_at FROM events WHERE license_id = ? ORDER BY id",
        )
        .bind(id.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(rows::event).collect()
    }

    async fn audit_log(&self, id: LicenseId) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, action, detail FROM audit_log WHERE license_id = ? ORDER BY id",
        )
        .bind(id.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(rows::audit_entry).collect()
    }

    async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        // Last: the last connection to close folds the WAL into the main file.
        self.writer.close().await;
    }
}
