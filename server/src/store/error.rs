//! Why the store could not do as it was told.

use std::{io, path::PathBuf, sync::Arc};

use jiff::civil::Date;

use super::DatabaseAddressError;
use crate::key_secret::KeySecretError;

/// Why the store could not do as it was told. No text of it holds a password or a license key.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A license of that key exists already.
    #[error("a license with this key exists already")]
    KeyTaken,
    /// There is no such license.
    #[error("there is no such license")]
    NoLicense,
    /// The license has no device and no expiry date before its first login.
    #[error("the license was never activated: its period begins with its first login")]
    NotActivated,
    /// A license is extended to a later date only.
    #[error("the license is good until {0} already")]
    NotLater(Date),
    /// A new plan needs a period.
    #[error("the plan is new: name its period in months")]
    PlanWithoutMonths,
    /// A license refers to a product or a plan that is not there.
    #[error("the product `{product}` or the plan `{plan}` is missing")]
    MissingReference {
        /// The product.
        product: String,
        /// The plan.
        plan: String,
    },
    /// A release is published once; another file is another version.
    #[error("this version is published already: withdraw it first, or publish a newer one")]
    ReleaseExists,
    /// There is no such release.
    #[error("there is no such release: `skyline-server release list` tells what there is")]
    NoRelease,
    /// What the database holds is not what this server writes into it.
    #[error("the database holds an invalid {0}")]
    Corrupt(&'static str),
    /// The address is none that the SQL library can connect to.
    #[error(transparent)]
    Address(#[from] DatabaseAddressError),
    /// The secret under which license keys are hashed cannot be used.
    #[error(transparent)]
    KeySecret(#[from] KeySecretError),
    /// What is asked for only a SQLite file can do.
    #[error("{0}")]
    OnlySqlite(&'static str),
    /// The file is no sound database of this server.
    #[error("{0} is no sound backup: {1}")]
    UnsoundBackup(PathBuf, String),
    /// A backup never overwrites a file.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// A restore replaces a database only when it is told to.
    #[error("{0} exists already: --force replaces it")]
    DatabaseExists(PathBuf),
    /// A file cannot be used.
    #[error("{0} cannot be used: {1}")]
    File(PathBuf, io::Error),
    /// The database is of another version of this server.
    #[error("the database could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database itself failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The transaction failed that this write shared with others.
    #[error(transparent)]
    Together(Arc<StoreError>),
}
