//! The commands on licenses.

use std::{convert::Infallible, path::PathBuf};

use clap::{Args, Subcommand, ValueHint};
use jiff::civil::Date;
use skyline_protocol::{LicenseKey, LicenseKeyError};

use super::{AdminOptions, TypedLicense, admin::typed_license, limit};

/// Commands on licenses.
#[derive(Debug, Subcommand)]
pub enum LicenseCommand {
    /// Issue a license and print its key, which is not kept and cannot be shown again
    Issue(LicenseIssueOptions),
    /// Print all licenses, one a line
    List {
        /// Only those of this product
        #[arg(long, value_name = "ID")]
        product: Option<String>,
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
    /// Print all that is known of a license
    Show(OneLicense),
    /// Stop a license for the time being; open sessions notice with their next call
    Suspend(OneLicense),
    /// Let a suspended license go on
    Resume(OneLicense),
    /// Move the expiry date of a license that was activated
    Extend {
        /// The license.
        #[command(flatten)]
        license: OneLicense,
        /// How far.
        #[command(flatten)]
        extent: Extent,
    },
    /// Let the next other device that logs in take a license over, with what is left of its period
    Rebind(OneLicense),
    /// Let the next login of a license report any last login, and give it its whole resync budget
    ///
    /// For a user who is refused with the code LL and has done no wrong.
    ResetLogin(OneLicense),
    /// Print licenses for `license import`, one JSON object a line, with hashes instead of keys
    Export {
        /// Only those of this product
        #[arg(long, value_name = "ID")]
        product: Option<String>,
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
    /// Take over licenses that `license export` has printed, or a vendor's existing keys: all or none
    Import {
        /// File of JSON objects, one a line; `-`: the standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
}

/// One license.
#[derive(Debug, Args)]
pub struct OneLicense {
    /// Its key or its number
    #[arg(value_name = "KEY|ID", value_parser = typed_license)]
    pub license: TypedLicense,
    /// Where the database is.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// How far a license is extended.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Extent {
    /// The first day on which it is no longer good
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// This many calendar months from its expiry date, or from today if that has passed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1200))]
    pub months: Option<i32>,
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
    pub admin: AdminOptions,
}

/// A license key as it was typed. A mistyped one may be close to a secret: what is wrong with it is
/// told without repeating it.
#[derive(Clone, Debug)]
pub struct TypedKey(pub Result<LicenseKey, LicenseKeyError>);

/// Never fails: an error of clap's would repeat the text.
fn typed_key(text: &str) -> Result<TypedKey, Infallible> {
    Ok(TypedKey(text.parse()))
}
