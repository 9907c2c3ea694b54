//! From rows of the database to the values of the model, and the queries that several share.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use sqlx::{Row, any::AnyRow};

use super::Dialect;
use crate::{
    model::{Activation, Device, Event, HistoryMark, License, LicenseId, Plan, Product},
    store::{AuditEntry, StoreError, StoredEvent},
};

pub(super) const PRODUCT: &str =
    "SELECT id, minimum_version, update_url FROM products WHERE id = $1";

/// The columns that [`license`] reads, with a condition.
macro_rules! select_license {
    ($rest:literal) => {
        concat!(
            "SELECT licenses.id, key_hash, key_hint, product_id, plan_id, months, issued_at,
                    suspended, rebinding, history_mark,
                    activation_date, expiry_date, device_serial_number, cs_product_uuid
             FROM licenses JOIN plans ON plans.id = plan_id ",
            $rest
        )
    };
}

pub(super) const LICENSE_BY_ID: &str = select_license!("WHERE licenses.id = $1");
pub(super) const LICENSE_BY_KEY: &str = select_license!("WHERE key_hash = $1");
pub(super) const LICENSES_OF_PRODUCT: &str =
    select_license!("WHERE $1 IS NULL OR product_id = $1 ORDER BY licenses.id");

/// Locks the row of a license for the transaction, so that nobody else decides by it meanwhile.
/// SQLite's transactions that write are alone anyway. `NO KEY`: events, which refer to the
/// license, need not wait.
impl Dialect {
    pub(super) fn license_by_key_locked(self) -> &'static str {
        match self {
            Self::Sqlite => LICENSE_BY_KEY,
            Self::Postgres => {
                select_license!("WHERE key_hash = $1 FOR NO KEY UPDATE OF licenses")
            }
        }
    }

    pub(super) fn license_by_id_locked(self) -> &'static str {
        match self {
            Self::Sqlite => LICENSE_BY_ID,
            Self::Postgres => {
                select_license!("WHERE licenses.id = $1 FOR NO KEY UPDATE OF licenses")
            }
        }
    }

    /// Locks the license of a login.
    pub(super) fn license_of_login_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT license_id FROM logins WHERE id = $1",
            Self::Postgres => {
                "SELECT licenses.id FROM licenses JOIN logins ON license_id = licenses.id
                 WHERE logins.id = $1 FOR NO KEY UPDATE OF licenses"
            }
        }
    }
}

pub(super) fn product(row: &AnyRow) -> Result<Product, StoreError> {
    Ok(Product {
        id: row.try_get("id")?,
        minimum_version: row.try_get("minimum_version")?,
        update_url: row.try_get("update_url")?,
    })
}

/// A plan without its limits.
pub(super) fn plan(row: &AnyRow) -> Result<Plan, StoreError> {
    Ok(Plan {
        id: row.try_get("plan_id")?,
        months: row.try_get("months")?,
        limits: BTreeMap::new(),
    })
}

pub(super) fn license(row: &AnyRow) -> Result<License, StoreError> {
    Ok(License {
        id: LicenseId(row.try_get("id")?),
        key_hint: row.try_get("key_hint")?,
        product_id: row.try_get("product_id")?,
        plan: plan(row)?,
        issued_at: moment(row, "issued_at")?,
        suspended: flag(row, "suspended")?,
        rebinding: flag(row, "rebinding")?,
        history_mark: history_mark(row)?,
        activation: activation(row)?,
    })
}

fn history_mark(row: &AnyRow) -> Result<Option<HistoryMark>, StoreError> {
    match row.try_get::<Option<&str>, _>("history_mark")? {
        None => Ok(None),
        Some("restored") => Ok(Some(HistoryMark::Restored)),
        Some("reset") => Ok(Some(HistoryMark::Reset)),
        Some(_) => Err(StoreError::Corrupt("history mark")),
    }
}

fn activation(row: &AnyRow) -> Result<Option<Activation>, StoreError> {
    let Some(date) = row.try_get::<Option<&str>, _>("activation_date")? else {
        return Ok(None);
    };
    let parse = |text: &str| {
        text.parse::<Date>()
            .map_err(|_| StoreError::Corrupt("date"))
    };
    Ok(Some(Activation {
        date: parse(date)?,
        expiry: parse(row.try_get("expiry_date")?)?,
        device: Device {
            serial_number: row.try_get("device_serial_number")?,
            cs_product_uuid: row.try_get("cs_product_uuid")?,
        },
    }))
}

pub(super) fn event(row: &AnyRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        number: row.try_get("id")?,
        license: LicenseId(row.try_get("license_id")?),
        product_id: row.try_get("product_id")?,
        received_at: moment(row, "received_at")?,
        event: Event {
            name: row.try_get("event")?,
            data: Bytes::from(row.try_get::<Vec<u8>, _>("data")?),
            id: row.try_get("event_id")?,
            sent_at: row.try_get("sent_at")?,
        },
    })
}

pub(super) fn audit_entry(row: &AnyRow) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: row.try_get("id")?,
        at: moment(row, "at")?,
        who: row.try_get("who")?,
        action: row.try_get("action")?,
        license: row.try_get::<Option<i64>, _>("license_id")?.map(LicenseId),
        product: row.try_get("product_id")?,
        detail: row.try_get("detail")?,
        times: u64::try_from(row.try_get::<i64, _>("times")?)
            .map_err(|_| StoreError::Corrupt("count"))?,
    })
}

fn moment(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_second(row.try_get(column)?).map_err(|_| StoreError::Corrupt("moment"))
}

pub(super) fn flag(row: &AnyRow, column: &str) -> Result<bool, StoreError> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}
