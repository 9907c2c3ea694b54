//! The options of the admin commands, their defaults, and how their values are read.

mod database;
mod serve;

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use clap::{Args, Subcommand, ValueHint};
use skyline_protocol::{LicenseKey, LicenseKeyError};

use crate::licensing;

pub use database::{DatabaseOptions, TypedAddress};
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

/// Commands on products.
#[derive(Debug, Subcommand)]
pub enum ProductCommand {
    /// Make a product, or change one: what is not named stays as it is
    Set(ProductSetOptions),
}

/// What is to be known of a product.
#[derive(Debug, Args)]
pub struct ProductSetOptions {
    /// Its name on the wire, such as `telepower`
    pub id: String,
    /// Versions below it are told to update first
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub minimum_version: Option<String>,
    /// Where a newer version is to be had
    #[arg(long, value_name = "URL")]
    pub update_url: Option<String>,
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseOptions,
}

/// Commands on licenses.
#[derive(Debug, Subcommand)]
pub enum LicenseCommand {
    /// Issue a license and print its key
    Issue(LicenseIssueOptions),
    /// Print all licenses, one a line
    List {
        /// Only those of this product
        #[arg(long, value_name = "ID")]
        product: Option<String>,
        /// Where the database is.
        #[command(flatten)]
        database: DatabaseOptions,
    },
    /// Print all that is known of a license
    Show {
        /// Its key
        #[arg(value_parser = typed_key)]
        key: TypedKey,
        /// Where the database is.
        #[command(flatten)]
        database: DatabaseOptions,
    },
    /// Stop a license for the time being
    Suspend {
        /// Its key
        #[arg(value_parser = typed_key)]
        key: TypedKey,
        /// Where the database is.
        #[command(flatten)]
        database: DatabaseOptions,
    },
    /// Let a suspended license go on
    Resume {
        /// Its key
        #[arg(value_parser = typed_key)]
        key: TypedKey,
        /// Where the database is.
        #[command(flatten)]
        database: DatabaseOptions,
    },
}

/// A license to be issued.
#[derive(Debug, Args)]
pub struct LicenseIssueOptions {
    /// The product it is for
    #[arg(long, value_name = "ID")]
    pub product: String,
    /// Its plan, such as `telepower.licensePlan.release.monthly`
    #[arg(long)]
    pub plan: String,
    /// Its key [default: a random one]
    #[arg(long, value_parser = typed_key)]
    pub key: Option<TypedKey>,
    /// A limit of its own, which goes before the plan's; may be repeated
    #[arg(long = "limit", value_name = "NAME=N", value_parser = limit)]
    pub limits: Vec<(String, i64)>,
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseOptions,
}

/// A license key as it was typed. A mistyped one may be close to a secret: what is wrong with it is
/// told without repeating it.
#[derive(Clone, Debug)]
pub struct TypedKey(pub Result<LicenseKey, LicenseKeyError>);

fn version(text: &str) -> Result<String, String> {
    match licensing::parse_version(text) {
        Some(_) => Ok(text.trim().to_owned()),
        None => Err("a version such as 7.0.3 or 7.0 is expected".to_owned()),
    }
}

/// Never fails: an error of clap's would repeat the text.
fn typed_key(text: &str) -> Result<TypedKey, Infallible> {
    Ok(TypedKey(text.parse()))
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
