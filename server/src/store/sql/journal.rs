//! What is only ever appended: events and the audit log.

use jiff::Timestamp;

use super::{SqlStore, rows};
use crate::{
    model::{Event, LicenseId},
    store::{AuditEntry, AuditFilter, EventFilter, PAGE, StoreError, StoredEvent},
};

/// The events, with a condition on the license ($2): apart from the others, so that an index serves
/// it.
macro_rules! select_events {
    ($license:literal) => {
        concat!(
            "SELECT events.id, license_id, product_id, event, data, event_id, sent_at, received_at
             FROM events JOIN licenses ON licenses.id = license_id
             WHERE events.id > $1 AND ",
            $license,
            "  AND ($3 IS NULL OR product_id = $3)
               AND ($4 IS NULL OR received_at >= $4)
             ORDER BY events.id LIMIT $5"
        )
    };
}

/// The audit log, likewise.
macro_rules! select_audit_log {
    ($license:literal) => {
        concat!(
            "SELECT id, at, who, action, license_id, product_id, detail, times FROM audit_log
             WHERE id > $1 AND ",
            $license,
            "  AND ($3 IS NULL OR at >= $3)
               AND ($4 IS NULL OR action = $4)
             ORDER BY id LIMIT $5"
        )
    };
}

pub(super) async fn record_event(
    store: &SqlStore,
    id: LicenseId,
    event: &Event,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO events (license_id, event, data, event_id, sent_at, received_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (license_id, event_id) WHERE event_id IS NOT NULL DO NOTHING",
    )
    .bind(id.0)
    .bind(&*event.name)
    .bind(event.data.as_ref())
    .bind(event.id.as_deref())
    .bind(event.sent_at)
    .bind(at.as_second())
    .execute(&store.writer)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn events(
    store: &SqlStore,
    filter: &EventFilter,
    after: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let query = match filter.license {
        Some(_) => select_events!("license_id = $2"),
        None => select_events!("$2 IS NULL"),
    };
    let rows = sqlx::query(query)
        .bind(after)
        .bind(filter.license.map(|id| id.0))
        .bind(filter.product.as_deref())
        .bind(filter.since.map(Timestamp::as_second))
        .bind(PAGE)
        .fetch_all(&store.readers)
        .await?;
    rows.iter().map(rows::event).collect()
}

pub(super) async fn audit_log(
    store: &SqlStore,
    filter: &AuditFilter,
    after: i64,
) -> Result<Vec<AuditEntry>, StoreError> {
    let query = match filter.license {
        Some(_) => select_audit_log!("license_id = $2"),
        None => select_audit_log!("$2 IS NULL"),
    };
    let rows = sqlx::query(query)
        .bind(after)
        .bind(filter.license.map(|id| id.0))
        .bind(filter.since.map(Timestamp::as_second))
        .bind(filter.action.as_deref())
        .bind(PAGE)
        .fetch_all(&store.readers)
        .await?;
    rows.iter().map(rows::audit_entry).collect()
}
