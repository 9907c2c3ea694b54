//! Where the database is, and what belongs to it.

use std::{convert::Infallible, path::PathBuf};

use clap::{Args, ValueHint};

use super::at_least_one;
use crate::store::{
    DEFAULT_MAX_DATABASE_CONNECTIONS, DatabaseAddress, DatabaseAddressError, StoreOptions,
};

/// Where the database is.
#[derive(Clone, Debug, Args)]
pub struct DatabaseOptions {
    /// SQLite file that holds everything, or postgres://USER:PASSWORD@HOST/DATABASE
    ///
    /// Other users of the machine see the command line: a password is better in the environment.
    #[arg(
        long,
        env = "SKYLINE_DATABASE",
        hide_env_values = true,
        value_name = "FILE|URL"
    )]
    #[arg(default_value = "skyline.db", value_hint = ValueHint::FilePath, value_parser = address)]
    pub database: TypedAddress,
    /// Connections to PostgreSQL
    #[arg(long, env = "SKYLINE_DATABASE_CONNECTIONS", value_name = "N")]
    #[arg(default_value_t = DEFAULT_MAX_DATABASE_CONNECTIONS, value_parser = at_least_one::<u32>)]
    pub database_connections: u32,
    /// File of the secret under which license keys are hashed; made with a new database [default:
    /// the SQLite file's name with .key-secret appended; PostgreSQL has none]
    #[arg(long, env = "SKYLINE_LICENSE_KEY_SECRET_FILE", value_name = "FILE")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub license_key_secret: Option<PathBuf>,
}

/// An address as it was typed. There may be a password in it: what is wrong with it is told without
/// repeating it.
#[derive(Clone, Debug)]
pub struct TypedAddress(pub Result<DatabaseAddress, DatabaseAddressError>);

impl DatabaseOptions {
    /// How to open the database; a missing SQLite file is made if `create` says so.
    ///
    /// # Errors
    /// When the address is none.
    pub fn store(&self, create: bool) -> Result<StoreOptions, DatabaseAddressError> {
        Ok(StoreOptions {
            address: self.database.0.clone()?,
            key_secret: self.license_key_secret.clone(),
            create,
            max_connections: self.database_connections,
        })
    }
}

/// Never fails: an error of clap's would repeat the text.
fn address(text: &str) -> Result<TypedAddress, Infallible> {
    Ok(TypedAddress(text.parse()))
}
