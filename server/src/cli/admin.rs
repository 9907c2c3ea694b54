//! The admin commands. They work on the database beside a running server, or without one.

use std::fmt::Write;

use jiff::Timestamp;
use skyline_protocol::LicenseKey;

use super::{
    CliError, DatabaseOptions, LicenseCommand, LicenseIssueOptions, ProductCommand, print,
};
use crate::{
    clock::{Clock, SystemClock},
    licensing::{self, Refusal},
    model::{Actor, License, Stamp},
    store::{AuditFilter, LicenseChange, NewLicense, ProductChange, SqlStore, Store},
};

pub(super) async fn open(options: &DatabaseOptions, create: bool) -> Result<SqlStore, CliError> {
    let options = options.store(create)?;
    if let (Some(file), false) = (options.address.file(), create)
        && !file.exists()
    {
        return Err(CliError::NoDatabase(options.address.to_string()));
    }
    options
        .open()
        .await
        .map_err(|error| CliError::OpenDatabase(options.address.to_string(), error))
}

fn stamp() -> Stamp {
    Stamp {
        who: Actor::administrator(),
        at: SystemClock.now(),
    }
}

pub(super) async fn product(command: ProductCommand) -> Result<(), CliError> {
    let ProductCommand::Set(options) = command;
    let store = open(&options.database, true).await?;
    let change = ProductChange {
        minimum_version: options.minimum_version,
        update_url: options.update_url,
    };
    let product = store.set_product(&options.id, &change, &stamp()).await?;
    store.close().await;
    print(&format!(
        "product: {}\nminimum version: {}\nupdate URL: {}\n",
        product.id,
        product.minimum_version.as_deref().unwrap_or("-"),
        product.update_url.as_deref().unwrap_or("-"),
    ))
}

pub(super) async fn license(command: LicenseCommand) -> Result<(), CliError> {
    match command {
        LicenseCommand::Issue(options) => issue(options).await,
        LicenseCommand::List { product, database } => list(product.as_deref(), &database).await,
        LicenseCommand::Show { key, database } => show(&key.0?, &database).await,
        LicenseCommand::Suspend { key, database } => suspend(&key.0?, true, &database).await,
        LicenseCommand::Resume { key, database } => suspend(&key.0?, false, &database).await,
    }
}

async fn issue(options: LicenseIssueOptions) -> Result<(), CliError> {
    let key = match options.key {
        Some(key) => key.0?,
        None => LicenseKey::generate(),
    };
    let store = open(&options.database, false).await?;
    if store.product(&options.product).await?.is_none() {
        return Err(CliError::UnknownProduct(options.product));
    }
    let plans = store.plans().await?;
    if !plans.iter().any(|plan| plan.id == options.plan) {
        let known: Vec<_> = plans.into_iter().map(|plan| plan.id).collect();
        return Err(CliError::UnknownPlan(options.plan, known.join(", ")));
    }
    let license = NewLicense {
        key,
        product_id: options.product,
        plan_id: options.plan,
        limits: options.limits.into_iter().collect(),
        by: stamp(),
    };
    store.issue_license(&license).await?;
    store.close().await;
    print(&format!("{}\n", license.key.expose()))
}

async fn list(product: Option<&str>, database: &DatabaseOptions) -> Result<(), CliError> {
    let store = open(database, false).await?;
    let licenses = store.licenses(product).await?;
    store.close().await;
    let now = SystemClock.now();
    let mut text = String::from("KEY\tPRODUCT\tPLAN\tSTATUS\tACTIVATED\tEXPIRES\n");
    for license in licenses {
        let (activated, expires) = match &license.activation {
            Some(activation) => (activation.date.to_string(), activation.expiry.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        // Writing into memory cannot fail.
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{activated}\t{expires}",
            license.key_hint,
            license.product_id,
            license.plan.id,
            status(&license, now),
        );
    }
    print(&text)
}

async fn show(key: &LicenseKey, database: &DatabaseOptions) -> Result<(), CliError> {
    let store = open(database, false).await?;
    let license = find(&store, key).await?;
    let limits = store.limits(license.id).await?;
    let audit_log = store
        .audit_log(
            &AuditFilter {
                license: Some(license.id),
                ..AuditFilter::default()
            },
            0,
        )
        .await?;
    store.close().await;
    let text = describe(&license, SystemClock.now()).and_then(|mut text| {
        for (name, value) in limits {
            writeln!(text, "limit: {name}={value}")?;
        }
        for entry in audit_log {
            writeln!(text, "log: {} {} {}", entry.at, entry.action, entry.detail)?;
        }
        Ok(text)
    });
    // Writing into memory cannot fail.
    print(&text.unwrap_or_default())
}

fn describe(license: &License, now: Timestamp) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "key: ...{}", license.key_hint)?;
    writeln!(text, "number: {}", license.id.0)?;
    writeln!(text, "product: {}", license.product_id)?;
    writeln!(text, "plan: {}", license.plan.id)?;
    writeln!(text, "status: {}", status(license, now))?;
    writeln!(text, "issued: {}", license.issued_at)?;
    if let Some(activation) = &license.activation {
        writeln!(text, "activated: {}", activation.date)?;
        writeln!(text, "expires: {}", activation.expiry)?;
        writeln!(
            text,
            "device serial number: {}",
            activation.device.serial_number
        )?;
        writeln!(
            text,
            "device product UUID: {}",
            activation.device.cs_product_uuid
        )?;
    }
    Ok(text)
}

fn status(license: &License, now: Timestamp) -> &'static str {
    match licensing::check_standing(license, now) {
        Err(Refusal::Suspended) => "suspended",
        Err(_) => "expired",
        Ok(()) if license.activation.is_some() => "active",
        Ok(()) => "issued",
    }
}

async fn suspend(
    key: &LicenseKey,
    suspended: bool,
    database: &DatabaseOptions,
) -> Result<(), CliError> {
    let store = open(database, false).await?;
    let license = find(&store, key).await?;
    let change = if suspended {
        LicenseChange::Suspend
    } else {
        LicenseChange::Resume
    };
    let license = store.change_license(license.id, &change, &stamp()).await?;
    store.close().await;
    print(&format!(
        "status: {}\n",
        status(&license, SystemClock.now())
    ))
}

async fn find(store: &SqlStore, key: &LicenseKey) -> Result<License, CliError> {
    let license = store.license_by_key(key).await?;
    license.ok_or(CliError::UnknownLicense)
}
