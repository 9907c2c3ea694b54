//! The transactions of a login: facts, decision, effects.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{Dialect, SqlStore, Writing, audit, group::Write, rows};
use crate::{
    licensing::{Acceptance, Decision, LoginAttempt, LoginFacts, LoginHistory, Refusal},
    model::{License, LicenseId, LoginId, Stamp},
    store::{Decide, LoginOutcome, NewAuditEntry, StoreError},
};

pub(super) async fn login(
    store: &SqlStore,
    attempt: Arc<LoginAttempt>,
    decide: Box<Decide>,
) -> Result<LoginOutcome, StoreError> {
    let login = Login {
        dialect: store.dialect,
        key_hash: store.secret.hash(&attempt.license_key),
        attempt,
        decide,
    };
    store.write(login).await
}

/// An attempt to log in.
struct Login {
    dialect: Dialect,
    key_hash: String,
    attempt: Arc<LoginAttempt>,
    decide: Box<Decide>,
}

#[async_trait]
impl Write for Login {
    type Answer = LoginOutcome;

    async fn run(&self, transaction: &mut Writing) -> Result<LoginOutcome, StoreError> {
        let attempt = &self.attempt;
        let facts = self.gather(transaction).await?;
        Ok(match ((self.decide)(attempt, &facts), &facts.license) {
            (Decision::Accept(acceptance), Some((license, history))) => {
                let login = accept(transaction, attempt, license, history, &acceptance).await?;
                LoginOutcome::Accepted {
                    license: license.id,
                    login,
                    acceptance,
                }
            }
            // No decision may let in somebody without a license; there is nothing to write it to.
            (Decision::Accept(_), None) => LoginOutcome::Refused {
                refusal: Refusal::NotFound,
                license: None,
            },
            (Decision::Refuse(refusal), known) => LoginOutcome::Refused {
                refusal,
                license: known.as_ref().map(|(license, _)| license.id),
            },
        })
    }
}

impl Login {
    async fn gather(&self, transaction: &mut Writing) -> Result<LoginFacts, StoreError> {
        let product = sqlx::query(rows::PRODUCT)
            .bind(&*self.attempt.product_id)
            .fetch_optional(&mut **transaction)
            .await?
            .map(|row| rows::product(&row))
            .transpose()?;
        let license = match self.find_license(transaction).await? {
            Some(license) => {
                let history = find_history(transaction, &self.attempt, license.id).await?;
                Some((license, history))
            }
            None => None,
        };
        Ok(LoginFacts { product, license })
    }

    /// The license of the attempt's key, if it was issued for the attempt's product; locked until
    /// the transaction ends.
    async fn find_license(&self, transaction: &mut Writing) -> Result<Option<License>, StoreError> {
        let license = sqlx::query(self.dialect.license_by_key_locked())
            .bind(self.key_hash.clone())
            .fetch_optional(&mut **transaction)
            .await?
            .map(|row| rows::license(&row))
            .transpose()?;
        Ok(license.filter(|license| license.product_id == self.attempt.product_id))
    }
}

async fn find_history(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
    license: LicenseId,
) -> Result<LoginHistory, StoreError> {
    let row = sqlx::query(
        "SELECT
             (SELECT MAX(id) FROM logins WHERE license_id = $1 AND confirmed = 1) AS newest_confirmed,
             (SELECT MAX(id) FROM logins WHERE license_id = $1 AND value = $2) AS reported,
             (SELECT CASE WHEN resync = 1 AND confirmed = 0 THEN 1 ELSE 0 END FROM logins
                  WHERE license_id = $1 AND value = $2 ORDER BY id DESC LIMIT 1) AS confirms_resync,
             (SELECT COUNT(*) FROM logins WHERE license_id = $1 AND resync = 1 AND confirmed = 1
                  AND accepted_at > $3) AS resyncs,
             (SELECT MAX(value) FROM logins WHERE license_id = $1) AS greatest_value",
    )
    .bind(license.0)
    .bind(attempt.reported)
    .bind(attempt.resyncs_since.as_second())
    .fetch_one(&mut **transaction)
    .await?;
    let login = |column| -> Result<_, StoreError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(LoginId))
    };
    Ok(LoginHistory {
        newest_confirmed: login("newest_confirmed")?,
        reported: login("reported")?,
        confirms_resync: row.try_get::<Option<i64>, _>("confirms_resync")? == Some(1),
        resyncs: count(row.try_get("resyncs")?)?,
        greatest_value: row.try_get("greatest_value")?,
    })
}

async fn accept(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
    license: &License,
    history: &LoginHistory,
    acceptance: &Acceptance,
) -> Result<LoginId, StoreError> {
    if acceptance.activated_now || acceptance.rebound {
        bind(transaction, license.id, acceptance).await?;
    }
    if license.history_mark.is_some() {
        sqlx::query("UPDATE licenses SET history_mark = NULL WHERE id = $1")
            .bind(license.id.0)
            .execute(&mut **transaction)
            .await?;
    }
    note_acceptance(transaction, attempt, license, acceptance).await?;
    if let Some(received) = history.reported {
        mark_confirmed(transaction, received).await?;
    }
    if acceptance.adopted {
        // The client has it, so it belongs into the history: should the answer be lost, the client
        // reports it again.
        let id = insert(transaction, attempt, license.id, attempt.reported, false).await?;
        mark_confirmed(transaction, id).await?;
    }
    insert(
        transaction,
        attempt,
        license.id,
        attempt.value,
        acceptance.resync,
    )
    .await
}

async fn bind(
    transaction: &mut Writing,
    license: LicenseId,
    acceptance: &Acceptance,
) -> Result<(), StoreError> {
    let activation = &acceptance.activation;
    sqlx::query(
        "UPDATE licenses SET activation_date = $2, expiry_date = $3,
             device_serial_number = $4, cs_product_uuid = $5, rebinding = 0 WHERE id = $1",
    )
    .bind(license.0)
    .bind(activation.date.to_string())
    .bind(activation.expiry.to_string())
    .bind(&*activation.device.serial_number)
    .bind(&*activation.device.cs_product_uuid)
    .execute(&mut **transaction)
    .await?;
    if acceptance.rebound {
        // What the other device received binds this one to nothing: should the answer to its first
        // login be lost, it reports 0 again.
        sqlx::query(
            "UPDATE logins SET confirmed = 0, resync = 0
             WHERE license_id = $1 AND (confirmed = 1 OR resync = 1)",
        )
        .bind(license.0)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Tells the audit log what is worth it: a login like any other is not.
async fn note_acceptance(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
    license: &License,
    acceptance: &Acceptance,
) -> Result<(), StoreError> {
    let by = Stamp {
        who: attempt.who.clone(),
        at: attempt.now,
    };
    let reported = format!("reported {}", attempt.reported);
    for (noted, action, detail) in [
        (
            acceptance.activated_now,
            "activated",
            attempt.device.to_string(),
        ),
        (acceptance.rebound, "rebound", attempt.device.to_string()),
        (acceptance.resync, "resync", reported.clone()),
        (acceptance.adopted, "adopted", reported),
    ] {
        if noted {
            let entry = NewAuditEntry::new(&by, action, detail)
                .of_license(license.id)
                .of_product(&license.product_id);
            audit(transaction, &entry).await?;
        }
    }
    Ok(())
}

async fn insert(
    transaction: &mut Writing,
    attempt: &LoginAttempt,
    license: LicenseId,
    value: i64,
    resync: bool,
) -> Result<LoginId, StoreError> {
    let login = sqlx::query_scalar::<_, i64>(
        "INSERT INTO logins (license_id, value, accepted_at, resync) VALUES ($1, $2, $3, $4)
         RETURNING id",
    )
    .bind(license.0)
    .bind(value)
    .bind(attempt.now.as_second())
    .bind(i64::from(resync))
    .fetch_one(&mut **transaction)
    .await?;
    Ok(LoginId(login))
}

async fn mark_confirmed(transaction: &mut Writing, login: LoginId) -> Result<(), StoreError> {
    sqlx::query("UPDATE logins SET confirmed = 1 WHERE id = $1 AND confirmed = 0")
        .bind(login.0)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

pub(super) async fn confirm(
    store: &SqlStore,
    login: LoginId,
    since: Timestamp,
) -> Result<u32, StoreError> {
    let confirmation = Confirmation {
        dialect: store.dialect,
        login,
        since,
    };
    store.write(confirmation).await
}

/// A login of which the client shows that it received the answer.
struct Confirmation {
    dialect: Dialect,
    login: LoginId,
    since: Timestamp,
}

#[async_trait]
impl Write for Confirmation {
    type Answer = u32;

    async fn run(&self, transaction: &mut Writing) -> Result<u32, StoreError> {
        // Of two confirmations at the same time, one must count the other.
        sqlx::query(self.dialect.license_of_login_locked())
            .bind(self.login.0)
            .execute(&mut **transaction)
            .await?;
        mark_confirmed(transaction, self.login).await?;
        let resyncs = sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM logins AS counted JOIN logins AS this ON this.id = $1
             WHERE this.resync = 1 AND counted.license_id = this.license_id
               AND counted.resync = 1 AND counted.confirmed = 1 AND counted.accepted_at > $2",
        )
        .bind(self.login.0)
        .bind(self.since.as_second())
        .fetch_one(&mut **transaction)
        .await?;
        count(resyncs)
    }
}

pub(super) async fn forget(store: &SqlStore, id: LicenseId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM logins WHERE license_id = $1")
        .bind(id.0)
        .execute(&store.writer)
        .await?;
    Ok(())
}

fn count(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::Corrupt("count"))
}
