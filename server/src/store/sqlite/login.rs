//! The transactions of a login: facts, decision, effects.

use jiff::Timestamp;
use sqlx::{Row, Sqlite, Transaction};

use super::{SqliteStore, audit, rows};
use crate::{
    licensing::{Acceptance, Decision, LoginAttempt, LoginFacts, LoginHistory, Refusal},
    model::{License, LicenseId, LoginId, Product},
    store::{Decide, LoginOutcome, StoreError},
};

type Writing = Transaction<'static, Sqlite>;

pub(super) async fn login(
    store: &SqliteStore,
    attempt: &LoginAttempt,
    decide: &Decide<'_>,
) -> Result<LoginOutcome, StoreError> {
    let mut transaction = store.begin().await?;
    let facts = gather(&mut transaction, attempt).await?;
    let known = facts
        .license
        .as_ref()
        .map(|(license, history)| (license.id, *history));
    let outcome = match (decide(&facts), known) {
        (Decision::Accept(acceptance), Some((license, history))) => {
            let login = accept(&mut transaction, attempt, license, &history, &acceptance).await?;
            LoginOutcome::Accepted {
                license,
                login,
                acceptance,
            }
        }
        // No decision may let in somebody without a license; there is nothing to write it to.
        (Decision::Accept(_), None) => LoginOutcome::Refused(Refusal::NotFound),
        (Decision::Refuse(refusal), known) => {
            if let Some((license, _)) = known {
                refuse(&mut transaction, attempt, license, refusal).await?;
            }
            LoginOutcome::Refused(refusal)
        }
    };
    transaction.commit().await?;
    Ok(outcome)
}

async fn gather(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
) -> Result<LoginFacts, StoreError> {
    let product = find_product(transaction, &attempt.product_id).await?;
    let license = match find_license(transaction, attempt).await? {
        Some(license) => {
            let history = find_history(transaction, attempt, license.id).await?;
            Some((license, history))
        }
        None => None,
    };
    Ok(LoginFacts { product, license })
}

async fn find_product(transaction: &mut Writing, id: &str) -> Result<Option<Product>, StoreError> {
    sqlx::query(rows::PRODUCT)
        .bind(id)
        .fetch_optional(&mut **transaction)
        .await?
        .map(|row| rows::product(&row))
        .transpose()
}

/// The license of the attempt's key, if it was issued for the attempt's product.
async fn find_license(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
) -> Result<Option<License>, StoreError> {
    let license = sqlx::query(rows::LICENSE_BY_KEY)
        .bind(attempt.license_key.expose())
        .fetch_optional(&mut **transaction)
        .await?
        .map(|row| rows::license(&row))
        .transpose()?;
    Ok(license.filter(|license| license.product_id == attempt.product_id))
}

async fn find_history(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
    license: LicenseId,
) -> Result<LoginHistory, StoreError> {
    let row = sqlx::query(
        "SELECT
             (SELECT MAX(id) FROM logins WHERE license_id = ?1 AND confirmed = 1) AS newest_confirmed,
             (SELECT MAX(id) FROM logins WHERE license_id = ?1 AND value = ?2) AS reported,
             (SELECT resync = 1 AND confirmed = 0 FROM logins WHERE license_id = ?1 AND value = ?2
                  ORDER BY id DESC LIMIT 1) AS confirms_resync,
             (SELECT COUNT(*) FROM logins WHERE license_id = ?1 AND resync = 1 AND confirmed = 1
                  AND accepted_at > ?3) AS resyncs",
    )
    .bind(license.0)
    .bind(attempt.reported)
    .bind(attempt.resyncs_since.as_second())
    .fetch_one(&mut **transaction)
    .await?;
    Ok(LoginHistory {
        newest_confirmed: row
            .try_get::<Option<i64>, _>("newest_confirmed")?
            .map(LoginId),
        reported: row.try_get::<Option<i64>, _>("reported")?.map(LoginId),
        confirms_resync: row
            .try_get::<Option<bool>, _>("confirms_resync")?
            .unwrap_or(false),
        resyncs: row.try_get("resyncs")?,
    })
}

async fn accept(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
    license: LicenseId,
    history: &LoginHistory,
    acceptance: &Acceptance,
) -> Result<LoginId, StoreError> {
    if acceptance.activated_now {
        let activation = &acceptance.activation;
        sqlx::query(
            "UPDATE licenses SET activation_date = ?, expiry_date = ?,
                 device_serial_number = ?, cs_product_uuid = ? WHERE id = ?",
        )
        .bind(activation.date.to_string())
        .bind(activation.expiry.to_string())
        .bind(&activation.device.serial_number)
        .bind(&activation.device.cs_product_uuid)
        .bind(license.0)
        .execute(&mut **transaction)
        .await?;
        let detail = device_detail(attempt);
        audit(transaction, license, attempt.now, "activated", &detail).await?;
    }
    if acceptance.resync {
        let detail = format!("reported {}", attempt.reported);
        audit(transaction, license, attempt.now, "resync", &detail).await?;
    }
    if let Some(received) = history.reported {
        mark_confirmed(transaction, received).await?;
    }
    let login = sqlx::query_scalar::<_, i64>(
        "INSERT INTO logins (license_id, value, accepted_at, resync) VALUES (?, ?, ?, ?)
         RETURNING id",
    )
    .bind(license.0)
    .bind(attempt.value)
    .bind(attempt.now.as_second())
    .bind(acceptance.resync)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(LoginId(login))
}

async fn refuse(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
    license: LicenseId,
    refusal: Refusal,
) -> Result<(), StoreError> {
    let (action, detail) = match refusal {
        // Nothing is known against the license: not worth a line at each start of an old program.
        Refusal::Outdated | Refusal::NotFound => return Ok(()),
        Refusal::Suspended => ("refused-suspended", String::new()),
        Refusal::Expired(_) => ("refused-expired", String::new()),
        Refusal::BoundToAnotherDevice(_) => ("refused-other-device", device_detail(attempt)),
        Refusal::UnknownLastLogin => (
            "refused-unknown-last-login",
            format!("reported {}", attempt.reported),
        ),
        Refusal::TooManyResyncs => (
            "refused-too-many-resyncs",
            format!("reported {}", attempt.reported),
        ),
    };
    audit(transaction, license, attempt.now, action, &detail).await
}

fn device_detail(attempt: &LoginAttempt) -> String {
    format!(
        "serial number {}, product UUID {}",
        attempt.device.serial_number, attempt.device.cs_product_uuid
    )
}

async fn mark_confirmed(transaction: &mut Writing, login: LoginId) -> Result<(), StoreError> {
    sqlx::query("UPDATE logins SET confirmed = 1 WHERE id = ? AND confirmed = 0")
        .bind(login.0)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

pub(super) async fn confirm(
    store: &SqliteStore,
    login: LoginId,
    since: Timestamp,
) -> Result<u32, StoreError> {
    let mut transaction = store.begin().await?;
    mark_confirmed(&mut transaction, login).await?;
    let resyncs = sqlx::query_scalar::<_, u32>(
        "SELECT COUNT(*) FROM logins AS counted JOIN logins AS this ON this.id = ?1
         WHERE this.resync = 1 AND counted.license_id = this.license_id
           AND counted.resync = 1 AND counted.confirmed = 1 AND counted.accepted_at > ?2",
    )
    .bind(login.0)
    .bind(since.as_second())
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(resyncs)
}
