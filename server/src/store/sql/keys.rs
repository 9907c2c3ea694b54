//! The secret and its database: they are checked against each other, and keys that an older
//! version stored in the clear are hashed.

use std::path::Path;

use skyline_protocol::LicenseKey;
use sqlx::{AnyConnection, Connection};

use super::Dialect;
use crate::{
    key_secret::{self, KeySecret, KeySecretError},
    store::StoreError,
};

/// The setting that says that the file holds no plain key any more.
const ERASED: &str = "plain-keys-erased";

const READ_CHECK_VALUE: &str = "SELECT value FROM settings WHERE name = 'license-key-check'";

/// Reads the secret, or makes it for a database that has none yet, and hashes what is not hashed.
pub(super) async fn prepare(
    connection: &mut AnyConnection,
    dialect: Dialect,
    file: &Path,
) -> Result<KeySecret, StoreError> {
    let known: Option<String> = sqlx::query_scalar(READ_CHECK_VALUE)
        .fetch_optional(&mut *connection)
        .await?;
    let secret = match (KeySecret::read(file)?, &known) {
        (Some(secret), _) => secret,
        (None, Some(_)) => return Err(KeySecretError::Missing(file.to_owned()).into()),
        (None, None) => KeySecret::create(file)?,
    };
    let check_value = secret.check_value();
    let known = match known {
        Some(known) => known,
        None => claim(connection, dialect, &secret).await?,
    };
    if known != check_value {
        return Err(KeySecretError::Other(file.to_owned()).into());
    }
    if dialect == Dialect::Sqlite && !is_erased(connection).await? {
        // Not a reason to stand still: the keys are hashed, and the next opening tries it again.
        match erase(connection).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("the database is in use: it may still hold plain keys"),
            Err(error) => tracing::warn!(%error, "the database may still hold plain keys"),
        }
    }
    Ok(secret)
}

async fn is_erased(connection: &mut AnyConnection) -> Result<bool, StoreError> {
    let found: Option<String> = sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
        .bind(ERASED)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

async fn note_erased(connection: &mut AnyConnection) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES ($1, '1') ON CONFLICT (name) DO NOTHING",
    )
    .bind(ERASED)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the whole file anew, without what was removed from it, and empties the log of changes.
/// Tells whether that could be done; while another process reads, it cannot.
async fn erase(connection: &mut AnyConnection) -> Result<bool, StoreError> {
    sqlx::raw_sql("VACUUM").execute(&mut *connection).await?;
    let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(&mut *connection)
        .await?;
    if busy != 0 {
        return Ok(false);
    }
    note_erased(connection).await?;
    Ok(true)
}

/// Makes the secret the one of this database and hashes the keys that are stored in the clear, in
/// one transaction. Returns the check value of the secret that was first.
async fn claim(
    connection: &mut AnyConnection,
    dialect: Dialect,
    secret: &KeySecret,
) -> Result<String, StoreError> {
    if dialect == Dialect::Sqlite {
        // Even if the file cannot be written anew afterwards, little of the plain keys stays behind.
        sqlx::raw_sql("PRAGMA secure_delete = ON")
            .execute(&mut *connection)
            .await?;
    }
    let mut transaction = match dialect {
        Dialect::Sqlite => connection.begin_with("BEGIN IMMEDIATE").await?,
        Dialect::Postgres => connection.begin().await?,
    };
    let claimed = sqlx::query(
        "INSERT INTO settings (name, value) VALUES ('license-key-check', $1)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(secret.check_value())
    .execute(&mut *transaction)
    .await?;
    let first: String = sqlx::query_scalar(READ_CHECK_VALUE)
        .fetch_one(&mut *transaction)
        .await?;
    if first != secret.check_value() {
        return Ok(first);
    }
    let plain: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, key_hash FROM licenses WHERE key_hint = ''")
            .fetch_all(&mut *transaction)
            .await?;
    for (id, text) in &plain {
        let key: LicenseKey = text
            .parse()
            .map_err(|_| StoreError::Corrupt("license key"))?;
        sqlx::query("UPDATE licenses SET key_hash = $1, key_hint = $2 WHERE id = $3")
            .bind(secret.hash(&key))
            .bind(key_secret::hint(&key))
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    if !plain.is_empty() {
        tracing::info!(licenses = plain.len(), "license keys become hashes");
    } else if claimed.rows_affected() == 1 {
        // There was never a plain key: nobody else has hashed them just now.
        note_erased(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(first)
}
