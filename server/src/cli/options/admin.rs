//! What the admin commands share, and those on the whole database.

use std::{convert::Infallible, path::PathBuf};

use clap::{Args, Subcommand, ValueHint};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use skyline_protocol::{LicenseKey, LicenseKeyError};

use super::DatabaseOptions;
use crate::model::LicenseId;

/// What every admin command takes.
#[derive(Clone, Debug, Args)]
pub struct AdminOptions {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// Print JSON instead of text (docs/operations.md describes it)
    #[arg(long)]
    pub json: bool,
}

/// A license as it was named: by its key or by its number. What is wrong with a mistyped key, which
/// may be close to a secret, is told without repeating it.
#[derive(Clone, Debug)]
pub struct TypedLicense(pub Result<LicenseName, LicenseKeyError>);

/// How a license is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenseName {
    /// By its key.
    Key(LicenseKey),
    /// By its number.
    Id(LicenseId),
}

/// Commands on events.
#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// Print the events that clients sent, oldest first, one JSON object a line
    Export {
        /// Only those of this license, named by its key or number
        #[arg(long, value_name = "KEY|ID", value_parser = typed_license)]
        license: Option<TypedLicense>,
        /// Only those of licenses of this product
        #[arg(long, value_name = "ID")]
        product: Option<String>,
        /// Only those that arrived from then on: 2026-11-22 or 2026-11-22T18:00:00Z
        #[arg(long, value_name = "TIME", value_parser = moment)]
        since: Option<Timestamp>,
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
}

/// Which entries of the audit log to print.
#[derive(Debug, Args)]
pub struct AuditOptions {
    /// Only those of this license, named by its key or number
    #[arg(long, value_name = "KEY|ID", value_parser = typed_license)]
    pub license: Option<TypedLicense>,
    /// Only those from then on: 2026-11-22 or 2026-11-22T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Only those of this action, such as `issued` or `refused-expired`
    #[arg(long)]
    pub action: Option<String>,
    /// Where the database is.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// What to write a backup into.
#[derive(Debug, Args)]
pub struct BackupOptions {
    /// File to make; an existing one is never overwritten
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Where the database is.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// What to restore.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// Backup of a SQLite database, which takes the database's place [default: the database has
    /// been restored by other means; only the last logins are seen to]
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Replace the database that is there; the server must be stopped
    #[arg(long, requires = "file")]
    pub force: bool,
    /// Where the database is.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// Never fails: an error of clap's would repeat the text.
pub(super) fn typed_license(text: &str) -> Result<TypedLicense, Infallible> {
    // No key is a number: five groups are joined by hyphens.
    Ok(TypedLicense(match text.trim().parse() {
        Ok(number) => Ok(LicenseName::Id(LicenseId(number))),
        Err(_) => text.parse().map(LicenseName::Key),
    }))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let day = || {
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    text.parse()
        .ok()
        .or_else(day)
        .ok_or_else(|| "a day or a moment is expected, such as 2026-11-22T18:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_license_is_named_by_its_key_or_its_number() {
        let name = |text: &str| typed_license(text).unwrap().0;
        assert_eq!(name("17"), Ok(LicenseName::Id(LicenseId(17))));
        let key = LicenseKey::generate();
        let typed = key.expose().to_lowercase();
        assert_eq!(name(&typed), Ok(LicenseName::Key(key)));
        for wrong in ["", "x", "1x", "99999999999999999999"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_a_day_or_a_time() {
        assert_eq!(moment("1970-01-02").unwrap().as_second(), 86_400);
        assert_eq!(moment("1970-01-01T01:00:00Z").unwrap().as_second(), 3_600);
        for wrong in ["", "yesterday", "1970-13-01", "12:00"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
