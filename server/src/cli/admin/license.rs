//! `license`.

use std::{collections::BTreeMap, fmt::Write};

use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use skyline_protocol::LicenseKey;

use super::{
    catalogue::unknown_plan,
    find,
    journal::{AuditJson, audit_json},
    now, open_existing, output, stamp, transfer,
};
use crate::{
    cli::{AdminOptions, CliError, Extent, LicenseCommand, LicenseIssueOptions, OneLicense, print},
    licensing::{self, Refusal, expiry_date, utc_date},
    model::{HistoryMark, License},
    store::{AuditEntry, AuditFilter, LicenseChange, NewLicense, SqlStore, Store, StoreError},
};

/// A license in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LicenseJson<'a> {
    id: i64,
    /// Only of `license issue`, which shows it once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    key_hint: &'a str,
    product: &'a str,
    plan: &'a str,
    status: &'static str,
    issued_at: Timestamp,
    activation_date: Option<Date>,
    expiry_date: Option<Date>,
    device: Option<DeviceJson<'a>>,
    rebinding: bool,
    history_mark: Option<&'static str>,
    /// Only of `license show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<&'a BTreeMap<String, i64>>,
    /// Only of `license show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_log: Option<Vec<AuditJson<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceJson<'a> {
    serial_number: &'a str,
    cs_product_uuid: &'a str,
}

pub(crate) async fn run(command: LicenseCommand) -> Result<(), CliError> {
    match command {
        LicenseCommand::Issue(options) => issue(options).await,
        LicenseCommand::List { product, admin } => list(product.as_deref(), &admin).await,
        LicenseCommand::Show(one) => show(one).await,
        LicenseCommand::Suspend(one) => change(one, |_| Ok(LicenseChange::Suspend)).await,
        LicenseCommand::Resume(one) => change(one, |_| Ok(LicenseChange::Resume)).await,
        LicenseCommand::Extend { license, extent } => {
            change(license, |license| extension(license, &extent)).await
        }
        LicenseCommand::Rebind(one) => change(one, |_| Ok(LicenseChange::Rebind)).await,
        LicenseCommand::ResetLogin(one) => change(one, |_| Ok(LicenseChange::ResetLogin)).await,
        LicenseCommand::Export { product, admin } => {
            transfer::export(product.as_deref(), &admin).await
        }
        LicenseCommand::Import { file, admin } => transfer::import(&file, &admin).await,
    }
}

async fn issue(options: LicenseIssueOptions) -> Result<(), CliError> {
    let key = match options.key {
        Some(key) => key.0?,
        None => LicenseKey::generate(),
    };
    let store = open_existing(&options.admin).await?;
    if store.product(&options.product).await?.is_none() {
        return Err(CliError::UnknownProduct(options.product));
    }
    if store.plan(&options.plan).await?.is_none() {
        return Err(unknown_plan(&store, options.plan).await?);
    }
    let license = NewLicense {
        key,
        product_id: options.product,
        plan_id: options.plan,
        limits: options.limits.into_iter().collect(),
        by: stamp(),
    };
    let id = store.issue_license(&license).await?;
    let issued = store.license(id).await?.ok_or(StoreError::NoLicense)?;
    store.close().await;
    let mut json = license_json(&issued);
    json.key = Some(license.key.expose());
    output(&options.admin, &json, || {
        format!("{}\n", license.key.expose())
    })
}

async fn list(product: Option<&str>, admin: &AdminOptions) -> Result<(), CliError> {
    let store = open_existing(admin).await?;
    let licenses = store.licenses(product).await?;
    store.close().await;
    let json: Vec<_> = licenses.iter().map(license_json).collect();
    output(admin, &json, || {
        let mut text = String::from("ID\tKEY\tPRODUCT\tPLAN\tSTATUS\tACTIVATED\tEXPIRES\n");
        for license in &licenses {
            let (activated, expires) = match &license.activation {
                Some(activation) => (activation.date.to_string(), activation.expiry.to_string()),
                None => ("-".to_owned(), "-".to_owned()),
            };
            // Writing into memory cannot fail.
            let _ = writeln!(
                text,
                "{}\t...{}\t{}\t{}\t{}\t{activated}\t{expires}",
                license.id.0,
                license.key_hint,
                license.product_id,
                license.plan.id,
                status(license),
            );
        }
        text
    })
}

async fn show(one: OneLicense) -> Result<(), CliError> {
    let store = open_existing(&one.admin).await?;
    let license = find(&store, &one.license).await?;
    let limits = store.limits(license.id).await?;
    let log = log_of(&store, &license).await?;
    store.close().await;
    if one.admin.json {
        let mut json = license_json(&license);
        json.limits = Some(&limits);
        json.audit_log = Some(log.iter().map(audit_json).collect());
        return print(&super::json_line(&json)?);
    }
    let text = describe(&license).and_then(|mut text| {
        for (name, value) in &limits {
            writeln!(text, "limit: {name}={value}")?;
        }
        for entry in &log {
            let AuditEntry {
                at,
                who,
                action,
                detail,
                times,
                ..
            } = entry;
            let times = match times {
                1 => String::new(),
                times => format!(" ({times} times)"),
            };
            writeln!(text, "log: {at} {who} {action} {detail}{times}")?;
        }
        Ok(text)
    });
    // Writing into memory cannot fail.
    print(&text.unwrap_or_default())
}

async fn log_of(store: &SqlStore, license: &License) -> Result<Vec<AuditEntry>, StoreError> {
    let filter = AuditFilter {
        license: Some(license.id),
        ..AuditFilter::default()
    };
    let mut log: Vec<AuditEntry> = Vec::new();
    loop {
        let page = store
            .audit_log(&filter, log.last().map_or(0, |entry| entry.id))
            .await?;
        if page.is_empty() {
            return Ok(log);
        }
        log.extend(page);
    }
}

fn describe(license: &License) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "key: ...{}", license.key_hint)?;
    writeln!(text, "number: {}", license.id.0)?;
    writeln!(text, "product: {}", license.product_id)?;
    writeln!(text, "plan: {}", license.plan.id)?;
    writeln!(text, "status: {}", status(license))?;
    writeln!(text, "issued: {}", license.issued_at)?;
    if let Some(activation) = &license.activation {
        let device = &activation.device;
        writeln!(text, "activated: {}", activation.date)?;
        writeln!(text, "expires: {}", activation.expiry)?;
        writeln!(text, "device serial number: {}", device.serial_number)?;
        writeln!(text, "device product UUID: {}", device.cs_product_uuid)?;
    }
    if license.rebinding {
        writeln!(text, "rebinding: the next other device takes it over")?;
    }
    match license.history_mark {
        Some(HistoryMark::Restored) => {
            writeln!(text, "history: restored, one newer last login is taken")?;
        }
        Some(HistoryMark::Reset) => writeln!(text, "history: reset, any last login is taken")?,
        None => {}
    }
    Ok(text)
}

async fn change(
    one: OneLicense,
    change: impl FnOnce(&License) -> Result<LicenseChange, StoreError>,
) -> Result<(), CliError> {
    let store = open_existing(&one.admin).await?;
    let license = find(&store, &one.license).await?;
    let change = change(&license)?;
    let license = store.change_license(license.id, &change, &stamp()).await?;
    store.close().await;
    output(&one.admin, &license_json(&license), || {
        let mut text = format!("status: {}\n", status(&license));
        match (&change, &license.activation) {
            (LicenseChange::Extend(_), Some(activation)) => {
                let _ = writeln!(text, "expires: {}", activation.expiry);
            }
            (LicenseChange::Rebind, _) => {
                text.push_str("rebinding: the next other device takes it over\n");
            }
            (LicenseChange::ResetLogin, _) => {
                text.push_str("history: reset, any last login is taken\n");
            }
            _ => {}
        }
        text
    })
}

fn extension(license: &License, extent: &Extent) -> Result<LicenseChange, StoreError> {
    let activation = license.activation.as_ref();
    let expiry = activation.ok_or(StoreError::NotActivated)?.expiry;
    Ok(LicenseChange::Extend(match (extent.until, extent.months) {
        (Some(until), _) => until,
        (None, months) => expiry_date(expiry.max(utc_date(now())), months.unwrap_or_default()),
    }))
}

fn license_json(license: &License) -> LicenseJson<'_> {
    let activation = license.activation.as_ref();
    LicenseJson {
        id: license.id.0,
        key: None,
        key_hint: &license.key_hint,
        product: &license.product_id,
        plan: &license.plan.id,
        status: status(license),
        issued_at: license.issued_at,
        activation_date: activation.map(|activation| activation.date),
        expiry_date: activation.map(|activation| activation.expiry),
        device: activation.map(|activation| DeviceJson {
            serial_number: &activation.device.serial_number,
            cs_product_uuid: &activation.device.cs_product_uuid,
        }),
        rebinding: license.rebinding,
        history_mark: license.history_mark.map(|mark| match mark {
            HistoryMark::Restored => "restored",
            HistoryMark::Reset => "reset",
        }),
        limits: None,
        audit_log: None,
    }
}

fn status(license: &License) -> &'static str {
    match licensing::check_standing(license, now()) {
        Err(Refusal::Suspended) => "suspended",
        Err(_) => "expired",
        Ok(()) if license.activation.is_some() => "active",
        Ok(()) => "issued",
    }
}
