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
    Ok(secret)
}

/// Makes the secret the one of this database and hashes the keys that are stored in the clear, in
/// one transaction. Returns the check value of the secret that was first.
async fn claim(
    connection: &mut AnyConnection,
    dialect: Dialect,
    secret: &KeySecret,
) -> Result<String, StoreError> {
    if dialect == Dialect::Sqlite {
        // Nothing of the plain keys is to stay behind in unused parts of the file.
        sqlx::raw_sql("PRAGMA secure_delete = ON")
            .execute(&mut *connection)
            .await?;
    }
    let mut transaction = match dialect {
        Dialect::Sqlite => connection.begin_with("BEGIN IMMEDIATE").await?,
        Dialect::Postgres => connection.begin().await?,
    };
    sqlx::query(
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
    transaction.commit().await?;
    if dialect == Dialect::Sqlite && !plain.is_empty() {
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut *connection)
            .await?;
        tracing::info!(licenses = plain.len(), "license keys are hashed now");
    }
    Ok(first)
}
