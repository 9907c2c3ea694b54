//! The options of the commands, their defaults, and how their values are read.

mod admin;
mod catalogue;
mod database;
mod license;
mod release;
mod serve;

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand, ValueHint};

use crate::identity::KeyFiles;

pub use admin::{
    AdminOptions, AuditOptions, BackupOptions, EventCommand, LicenseName, RestoreOptions,
    TypedLicense,
};
pub use catalogue::{PlanCommand, PlanSetOptions, ProductCommand, ProductSetOptions};
pub use database::{DatabaseOptions, TypedAddress};
pub use license::{Extent, LicenseCommand, LicenseIssueOptions, OneLicense, TypedKey};
pub use release::{ReleaseCommand, ReleaseFilesOptions, ReleaseName, ReleasePublishOptions};
pub use serve::ServeOptions;

/// Where the identity keys are.
#[derive(Clone, Debug, Args)]
pub struct IdentityOptions {
    /// File of the identity key, made by `skyline-server keygen`
    #[arg(long, env = "SKYLINE_IDENTITY_KEY", value_name = "FILE")]
    #[arg(default_value = "identity.key", value_hint = ValueHint::FilePath)]
    pub identity_key: PathBuf,
    /// File of the identity key that is to follow it; it need not be there yet
    #[arg(long, env = "SKYLINE_NEXT_IDENTITY_KEY", value_name = "FILE")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub next_identity_key: Option<PathBuf>,
}

impl IdentityOptions {
    /// The files to read.
    pub fn files(&self) -> KeyFiles {
        KeyFiles {
            current: self.identity_key.clone(),
            next: self.next_identity_key.clone(),
        }
    }
}

/// Commands on the identity keys.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Print the public keys, which products are to pin
    Show {
        /// Where they are.
        #[command(flatten)]
        identity: IdentityOptions,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Make the next key the current one, and keep the old one in a file beside it
    Promote {
        /// Where they are.
        #[command(flatten)]
        identity: IdentityOptions,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

fn limit(text: &str) -> Result<(String, i64), String> {
    let expected = "NAME=N with a whole number N is expected";
    let (name, value) = text.split_once('=').ok_or(expected)?;
    if name.is_empty() {
        return Err(expected.to_owned());
    }
    let value = value.parse().map_err(|_| expected)?;
    Ok((name.to_owned(), value))
}

/// A whole number of at least 1.
fn at_least_one<N: FromStr + From<u8> + PartialOrd>(text: &str) -> Result<N, String> {
    match text.parse() {
        Ok(number) if number >= N::from(1) => Ok(number),
        _ => Err("a whole number of at least 1 is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_name_and_number() {
        assert_eq!(limit("a.b=-5"), Ok(("a.b".to_owned(), -5)));
        for text in ["", "a", "=5", "a=", "a=five", "a=9223372036854775808"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }
}
