//! `event` and `audit`.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rmpv::Value;
use serde::Serialize;

use super::{find, json_line, open_existing};
use crate::{
    cli::{AuditOptions, CliError, EventCommand, TypedLicense, print},
    model::LicenseId,
    store::{AuditEntry, AuditFilter, EventFilter, SqlStore, Store, StoredEvent},
};

/// An entry of the audit log in JSON.
#[derive(Serialize)]
pub(super) struct AuditJson<'a> {
    id: i64,
    at: Timestamp,
    who: &'a str,
    action: &'a str,
    license: Option<i64>,
    product: Option<&'a str>,
    detail: &'a str,
    times: u64,
}

/// An event in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    number: i64,
    license: i64,
    product: &'a str,
    event: &'a str,
    /// What JSON can say of the data: byte strings and extensions are Base64.
    data: serde_json::Value,
    /// The data as it came, in Base64.
    message_pack: String,
    id: Option<&'a str>,
    /// Unix seconds, by the client's clock.
    sent_at: i64,
    received_at: Timestamp,
}

pub(crate) async fn event(command: EventCommand) -> Result<(), CliError> {
    let EventCommand::Export {
        license,
        product,
        since,
        admin,
    } = command;
    let store = open_existing(&admin).await?;
    let filter = EventFilter {
        license: license_id(&store, license.as_ref()).await?,
        product,
        since,
    };
    let mut after = 0;
    loop {
        let page = store.events(&filter, after).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.number;
        let mut text = String::new();
        for event in &page {
            text.push_str(&json_line(&event_json(event))?);
        }
        print(&text)?;
    }
    store.close().await;
    Ok(())
}

pub(crate) async fn audit(options: AuditOptions) -> Result<(), CliError> {
    let store = open_existing(&options.admin).await?;
    let filter = AuditFilter {
        license: license_id(&store, options.license.as_ref()).await?,
        since: options.since,
        action: options.action,
    };
    let mut after = 0;
    loop {
        let page = store.audit_log(&filter, after).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.id;
        let mut text = String::new();
        for entry in &page {
            if options.admin.json {
                text.push_str(&json_line(&audit_json(entry))?);
            } else {
                // Writing into memory cannot fail.
                let _ = writeln!(text, "{}", audit_line(entry));
            }
        }
        print(&text)?;
    }
    store.close().await;
    Ok(())
}

async fn license_id(
    store: &SqlStore,
    license: Option<&TypedLicense>,
) -> Result<Option<LicenseId>, CliError> {
    match license {
        Some(license) => Ok(Some(find(store, license).await?.id)),
        None => Ok(None),
    }
}

pub(super) fn audit_json(entry: &AuditEntry) -> AuditJson<'_> {
    AuditJson {
        id: entry.id,
        at: entry.at,
        who: &entry.who,
        action: &entry.action,
        license: entry.license.map(|id| id.0),
        product: entry.product.as_deref(),
        detail: &entry.detail,
        times: entry.times,
    }
}

fn audit_line(entry: &AuditEntry) -> String {
    let license = entry.license.map_or("-".to_owned(), |id| id.0.to_string());
    format!(
        "{}\t{}\t{}\t{license}\t{}\t{}\t{}",
        entry.at,
        entry.who,
        entry.action,
        entry.product.as_deref().unwrap_or("-"),
        entry.times,
        entry.detail
    )
}

fn event_json(stored: &StoredEvent) -> EventJson<'_> {
    let event = &stored.event;
    let data = rmpv::decode::read_value(&mut event.data.as_ref());
    EventJson {
        number: stored.number,
        license: stored.license.0,
        product: &stored.product_id,
        event: &event.name,
        data: data.map_or(serde_json::Value::Null, |data| json(&data)),
        message_pack: STANDARD.encode(&event.data),
        id: event.id.as_deref(),
        sent_at: event.sent_at,
        received_at: stored.received_at,
    }
}

/// What JSON can say of a value: keys of maps become texts, bytes become Base64, and numbers that
/// JSON lacks (infinity, not a number) become nil.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Integer(value) => match (value.as_u64(), value.as_i64()) {
            (Some(value), _) => value.into(),
            (None, Some(value)) => value.into(),
            (None, None) => serde_json::Value::Null,
        },
        Value::F32(value) => f64::from(*value).into(),
        Value::F64(value) => (*value).into(),
        Value::String(text) => String::from_utf8_lossy(text.as_bytes()).into(),
        Value::Binary(bytes) | Value::Ext(_, bytes) => STANDARD.encode(bytes).into(),
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| {
                let key = match json(key) {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                (key, json(value))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_told_as_far_as_json_can_tell_it() {
        let data = Value::Map(vec![
            (Value::from("текст"), Value::from(u64::MAX)),
            (Value::from(-1), Value::from(&b"\xff"[..])),
            (
                Value::from("list"),
                Value::Array(vec![Value::Nil, Value::F64(f64::NAN), Value::F64(0.5)]),
            ),
        ]);
        let expected = serde_json::json!({
            "текст": u64::MAX, "-1": "/w==", "list": [null, null, 0.5]
        });
        assert_eq!(json(&data), expected);
    }
}
