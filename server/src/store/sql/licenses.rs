//! Licenses, except their logins.

use std::collections::BTreeMap;

use skyline_protocol::LicenseKey;
use sqlx::Row;

use super::{SqlStore, Writing, audit, rows};
use crate::{
    key_secret,
    model::{Activation, License, LicenseId, Stamp},
    store::{LicenseChange, NewAuditEntry, NewLicense, PortableKey, PortableLicense, StoreError},
};

pub(super) async fn issue(store: &SqlStore, license: &NewLicense) -> Result<LicenseId, StoreError> {
    let mut transaction = store.begin().await?;
    let portable = PortableLicense {
        key: PortableKey::Plain(license.key.clone()),
        product_id: license.product_id.clone(),
        plan_id: license.plan_id.clone(),
        limits: license.limits.clone(),
        issued_at: license.by.at,
        suspended: false,
        activation: None,
    };
    let id = insert(store, &mut transaction, &portable).await?;
    let entry = NewAuditEntry::new(&license.by, "issued", &license.plan_id)
        .of_license(id)
        .of_product(&license.product_id);
    audit(&mut transaction, &entry).await?;
    transaction.commit().await?;
    Ok(id)
}

pub(super) async fn import(
    store: &SqlStore,
    licenses: &[PortableLicense],
    by: &Stamp,
) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    for license in licenses {
        let id = insert(store, &mut transaction, license).await?;
        let entry = NewAuditEntry::new(by, "imported", &license.plan_id)
            .of_license(id)
            .of_product(&license.product_id);
        audit(&mut transaction, &entry).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn insert(
    store: &SqlStore,
    transaction: &mut Writing,
    license: &PortableLicense,
) -> Result<LicenseId, StoreError> {
    let (hash, hint) = match &license.key {
        PortableKey::Plain(key) => (store.secret.hash(key), key_secret::hint(key).to_owned()),
        PortableKey::Hash { hash, hint } => (hash.clone(), hint.clone()),
    };
    // Its device has a last login of elsewhere.
    let history_mark = license.activation.as_ref().map(|_| "restored");
    let activation = license.activation.as_ref();
    let id = sqlx::query_scalar::<_, i64>(
        "INSERT INTO licenses (key_hash, key_hint, product_id, plan_id, issued_at, suspended,
             history_mark, activation_date, expiry_date, device_serial_number, cs_product_uuid)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
    )
    .bind(hash)
    .bind(hint)
    .bind(&*license.product_id)
    .bind(&*license.plan_id)
    .bind(license.issued_at.as_second())
    .bind(i64::from(license.suspended))
    .bind(history_mark)
    .bind(activation.map(|activation| activation.date.to_string()))
    .bind(activation.map(|activation| activation.expiry.to_string()))
    .bind(activation.map(|activation| &*activation.device.serial_number))
    .bind(activation.map(|activation| &*activation.device.cs_product_uuid))
    .fetch_one(&mut **transaction)
    .await
    .map_err(|error| match error.as_database_error() {
        Some(database) if database.is_unique_violation() => StoreError::KeyTaken,
        Some(database) if database.is_foreign_key_violation() => StoreError::MissingReference {
            product: license.product_id.clone(),
            plan: license.plan_id.clone(),
        },
        _ => StoreError::from(error),
    })?;
    for (name, value) in &license.limits {
        sqlx::query("INSERT INTO license_limits (license_id, name, value) VALUES ($1, $2, $3)")
            .bind(id)
            .bind(&**name)
            .bind(*value)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(LicenseId(id))
}

pub(super) async fn export(
    store: &SqlStore,
    product_id: Option<&str>,
) -> Result<Vec<PortableLicense>, StoreError> {
    let limits = sqlx::query("SELECT license_id, name, value FROM license_limits")
        .fetch_all(&store.readers)
        .await?;
    let mut limits_of: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
    for row in &limits {
        let limits = limits_of.entry(row.try_get("license_id")?).or_default();
        limits.insert(row.try_get("name")?, row.try_get("value")?);
    }
    let rows = sqlx::query(rows::LICENSES_OF_PRODUCT)
        .bind(product_id)
        .fetch_all(&store.readers)
        .await?;
    rows.iter()
        .map(|row| {
            let license = rows::license(row)?;
            Ok(PortableLicense {
                key: PortableKey::Hash {
                    hash: row.try_get("key_hash")?,
                    hint: license.key_hint,
                },
                product_id: license.product_id,
                plan_id: license.plan.id,
                limits: limits_of.remove(&license.id.0).unwrap_or_default(),
                issued_at: license.issued_at,
                suspended: license.suspended,
                activation: license.activation,
            })
        })
        .collect()
}

pub(super) async fn all(
    store: &SqlStore,
    product_id: Option<&str>,
) -> Result<Vec<License>, StoreError> {
    let rows = sqlx::query(rows::LICENSES_OF_PRODUCT)
        .bind(product_id)
        .fetch_all(&store.readers)
        .await?;
    rows.iter().map(rows::license).collect()
}

pub(super) async fn by_key(
    store: &SqlStore,
    key: &LicenseKey,
) -> Result<Option<License>, StoreError> {
    sqlx::query(rows::LICENSE_BY_KEY)
        .bind(store.secret.hash(key))
        .fetch_optional(&store.readers)
        .await?
        .map(|row| rows::license(&row))
        .transpose()
}

pub(super) async fn by_id(store: &SqlStore, id: LicenseId) -> Result<Option<License>, StoreError> {
    sqlx::query(rows::LICENSE_BY_ID)
        .bind(id.0)
        .fetch_optional(&store.readers)
        .await?
        .map(|row| rows::license(&row))
        .transpose()
}

pub(super) async fn limits(
    store: &SqlStore,
    id: LicenseId,
) -> Result<BTreeMap<String, i64>, StoreError> {
    // In order of precedence: a later row replaces an earlier one of the same name.
    let rows = sqlx::query(
        "SELECT name, value, 0 AS precedence
             FROM plan_limits JOIN licenses USING (plan_id) WHERE licenses.id = $1
         UNION ALL
         SELECT name, value, 1 AS precedence FROM license_limits WHERE license_id = $1
         ORDER BY precedence",
    )
    .bind(id.0)
    .fetch_all(&store.readers)
    .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("name")?, row.try_get("value")?)))
        .collect()
}

pub(super) async fn change(
    store: &SqlStore,
    id: LicenseId,
    change: &LicenseChange,
    by: &Stamp,
) -> Result<License, StoreError> {
    let mut transaction = store.begin().await?;
    let license = locked(store, &mut transaction, id).await?;
    let (action, detail) = match change {
        LicenseChange::Suspend | LicenseChange::Resume => {
            let suspended = *change == LicenseChange::Suspend;
            sqlx::query("UPDATE licenses SET suspended = $2 WHERE id = $1")
                .bind(id.0)
                .bind(i64::from(suspended))
                .execute(&mut *transaction)
                .await?;
            let action = if suspended { "suspended" } else { "resumed" };
            (action, String::new())
        }
        LicenseChange::Extend(until) => {
            let activation = activated(&license)?;
            if *until <= activation.expiry {
                return Err(StoreError::NotLater(activation.expiry));
            }
            sqlx::query("UPDATE licenses SET expiry_date = $2 WHERE id = $1")
                .bind(id.0)
                .bind(until.to_string())
                .execute(&mut *transaction)
                .await?;
            ("extended", format!("from {} to {until}", activation.expiry))
        }
        LicenseChange::Rebind => {
            let device = &activated(&license)?.device;
            sqlx::query("UPDATE licenses SET rebinding = 1 WHERE id = $1")
                .bind(id.0)
                .execute(&mut *transaction)
                .await?;
            ("rebinding", format!("from {device}"))
        }
        LicenseChange::ResetLogin => {
            sqlx::query("UPDATE licenses SET history_mark = 'reset' WHERE id = $1")
                .bind(id.0)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("UPDATE logins SET resync = 0 WHERE license_id = $1 AND resync = 1")
                .bind(id.0)
                .execute(&mut *transaction)
                .await?;
            ("login-reset", String::new())
        }
    };
    let entry = NewAuditEntry::new(by, action, detail)
        .of_license(id)
        .of_product(&license.product_id);
    audit(&mut transaction, &entry).await?;
    let license = locked(store, &mut transaction, id).await?;
    transaction.commit().await?;
    Ok(license)
}

async fn locked(
    store: &SqlStore,
    transaction: &mut Writing,
    id: LicenseId,
) -> Result<License, StoreError> {
    let row = sqlx::query(store.dialect.license_by_id_locked())
        .bind(id.0)
        .fetch_optional(&mut **transaction)
        .await?;
    rows::license(&row.ok_or(StoreError::NoLicense)?)
}

fn activated(license: &License) -> Result<&Activation, StoreError> {
    license.activation.as_ref().ok_or(StoreError::NotActivated)
}
