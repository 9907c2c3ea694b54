//! The admin commands. They work on the database beside a running server, or without one.

pub(super) mod catalogue;
pub(super) mod database;
pub(super) mod journal;
pub(super) mod license;
pub(super) mod release;
mod transfer;

use jiff::Timestamp;
use serde::Serialize;

use super::{AdminOptions, CliError, DatabaseOptions, LicenseName, TypedLicense, print};
use crate::{
    clock::{Clock, SystemClock},
    model::{Actor, License, Stamp},
    store::{SqlStore, Store},
};

/// Opens the database of the options; a missing SQLite file is made if `create` says so.
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

async fn open_existing(options: &AdminOptions) -> Result<SqlStore, CliError> {
    open(&options.database, false).await
}

/// The administrator, now.
fn stamp() -> Stamp {
    Stamp {
        who: Actor::administrator(),
        at: now(),
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// The license of that name.
async fn find(store: &SqlStore, license: &TypedLicense) -> Result<License, CliError> {
    let (found, named) = match license.0.as_ref().map_err(|error| *error)? {
        LicenseName::Key(key) => (store.license_by_key(key).await?, "key"),
        LicenseName::Id(id) => (store.license(*id).await?, "number"),
    };
    found.ok_or(CliError::UnknownLicense(named))
}

/// Prints a result: as one line of JSON, or as a text.
fn output<T: Serialize>(
    options: &AdminOptions,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    output_as(options.json, value, text)
}

/// The same for a command without a database.
pub(super) fn output_as<T: Serialize>(
    json: bool,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    if json {
        print(&json_line(value)?)
    } else {
        print(&text())
    }
}

fn json_line<T: Serialize>(value: &T) -> Result<String, CliError> {
    let mut line = serde_json::to_string(value)
        .map_err(|error| CliError::System("the result cannot be written as JSON", error.into()))?;
    line.push('\n');
    Ok(line)
}
