//! From rows of the database to the values of the model, and the queries that several share.

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use skyline_protocol::LicenseKey;
use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    model::{Activation, Device, Event, License, LicenseId, Plan, Product},
    store::{AuditEntry, StoreError},
};

pub(super) const PRODUCT: &str =
    "SELECT id, minimum_version, update_url FROM products WHERE id = ?";

/// The columns that [`license`] reads, with a condition.
macro_rules! select_license {
    ($rest:literal) => {
        concat!(
            "SELECT licenses.id, key, product_id, plan_id, months, issued_at, suspended,
                    activation_date, expiry_date, device_serial_number, cs_product_uuid
             FROM licenses JOIN plans ON plans.id = plan_id ",
            $rest
        )
    };
}

pub(super) const LICENSE_BY_ID: &str = select_license!("WHERE licenses.id = ?");
pub(super) const LICENSE_BY_KEY: &str = select_license!("WHERE key = ?");
pub(super) const LICENSES_OF_PRODUCT: &str =
    select_license!("WHERE ?1 IS NULL OR product_id = ?1 ORDER BY licenses.id");

pub(super) fn product(row: &SqliteRow) -> Result<Product, StoreError> {
    Ok(Product {
        id: row.try_get("id")?,
        minimum_version: row.try_get("minimum_version")?,
        update_url: row.try_get("update_url")?,
    })
}

pub(super) fn plan(row: &SqliteRow) -> Result<Plan, StoreError> {
    Ok(Plan {
        id: row.try_get("plan_id")?,
        months: row.try_get("months")?,
    })
}

pub(super) fn license(row: &SqliteRow) -> Result<License, StoreError> {
    Ok(License {
        id: LicenseId(row.try_get("id")?),
        key: row
            .try_get::<&str, _>("key")?
            .parse::<LicenseKey>()
            .map_err(|_| StoreError::Corrupt("license key"))?,
        product_id: row.try_get("product_id")?,
        plan: plan(row)?,
        issued_at: moment(row, "issued_at")?,
        suspended: row.try_get("suspended")?,
        activation: activation(row)?,
    })
}

fn activation(row: &SqliteRow) -> Result<Option<Activation>, StoreError> {
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

pub(super) fn event(row: &SqliteRow) -> Result<Event, StoreError> {
    Ok(Event {
        name: row.try_get("event")?,
        data: Bytes::from(row.try_get::<Vec<u8>, _>("data")?),
        id: row.try_get("event_id")?,
        sent_at: row.try_get("sent_at")?,
    })
}

pub(super) fn audit_entry(row: &SqliteRow) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        at: moment(row, "at")?,
        action: row.try_get("action")?,
        detail: row.try_get("detail")?,
    })
}

fn moment(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_second(row.try_get(column)?).map_err(|_| StoreError::Corrupt("moment"))
}
