//! Where the database is.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What of a file's path may stand in a URL as it is.
const PATH_CHARACTERS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_');

/// Where the database is: a SQLite file, or a PostgreSQL server.
///
/// `Display` and `Debug` leave out the password and everything after the `?`, which may hold one
/// too.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseAddress {
    /// A file, for one node.
    Sqlite(PathBuf),
    /// `postgres://user:password@host/database`, for any number of nodes.
    Postgres(Url),
}

/// The text names no database. It is not repeated here: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a database is named by a file, by sqlite:FILE or by postgres://USER:PASSWORD@HOST/DATABASE"
)]
pub struct DatabaseAddressError;

impl DatabaseAddress {
    /// The SQLite file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(file) => Some(file),
            Self::Postgres(_) => None,
        }
    }

    /// The URL by which the SQL library connects; with the password in it.
    pub(super) fn connection_url(&self) -> Result<Url, DatabaseAddressError> {
        match self {
            Self::Postgres(url) => Ok(url.clone()),
            Self::Sqlite(file) => {
                let path = file.to_str().ok_or(DatabaseAddressError)?;
                let path = utf8_percent_encode(path, PATH_CHARACTERS);
                Url::parse(&format!("sqlite:{path}?mode=rw")).map_err(|_| DatabaseAddressError)
            }
        }
    }
}

impl FromStr for DatabaseAddress {
    type Err = DatabaseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        if ["postgres:", "postgresql:"]
            .iter()
            .any(|scheme| lower.starts_with(scheme))
        {
            return postgres(text);
        }
        if names_a_password(&lower) {
            return Err(DatabaseAddressError);
        }
        let file = match text.strip_prefix("sqlite:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None if text.contains("://") => return Err(DatabaseAddressError),
            None => text,
        };
        // `sqlite::memory:` would be empty again for the next command.
        if file.is_empty() || file.starts_with(':') {
            return Err(DatabaseAddressError);
        }
        Ok(Self::Sqlite(PathBuf::from(file)))
    }
}

/// An address of PostgreSQL. One whose parts are not where they belong is none: what is shown of it
/// might be its password.
fn postgres(text: &str) -> Result<DatabaseAddress, DatabaseAddressError> {
    let url = Url::parse(text).map_err(|_| DatabaseAddressError)?;
    if !url.has_authority() || url.path().contains('@') {
        return Err(DatabaseAddressError);
    }
    Ok(DatabaseAddress::Postgres(url))
}

/// Whether the text is like `host=db password=secret`, which other programs take. As the name of a
/// file it would be shown.
fn names_a_password(lower: &str) -> bool {
    lower
        .split("password")
        .skip(1)
        .any(|rest| rest.trim_start().starts_with('='))
}

impl fmt::Display for DatabaseAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(formatter, "{}", file.display()),
            Self::Postgres(url) => {
                write!(formatter, "{}://", url.scheme())?;
                if !url.username().is_empty() {
                    write!(formatter, "{}@", url.username())?;
                }
                write!(formatter, "{}", url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(formatter, ":{port}")?;
                }
                formatter.write_str(url.path())
            }
        }
    }
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_sqlite_url_mean_a_file() {
        for text in ["a b#c?.db", "sqlite:a b#c?.db", "sqlite://a b#c?.db"] {
            let address: DatabaseAddress = text.parse().unwrap();
            assert_eq!(address.file(), Some(Path::new("a b#c?.db")));
            assert_eq!(
                address.connection_url().unwrap().as_str(),
                "sqlite:a%20b%23c%3F.db?mode=rw"
            );
        }
        for text in [
            "",
            "sqlite:",
            "sqlite::memory:",
            "mysql://host/db",
            "postgres://[",
        ] {
            assert_eq!(text.parse::<DatabaseAddress>(), Err(DatabaseAddressError));
        }
    }

    #[test]
    fn an_address_in_another_form_is_refused_instead_of_shown_as_a_file() {
        for text in [
            "postgres:/user:secret@host/skyline",
            "postgresql:user:secret@host/skyline",
            "POSTGRES:///user:secret@host/skyline",
            "host=db user=skyline password=secret",
            "host=db Password = 'secret'",
        ] {
            assert_eq!(text.parse::<DatabaseAddress>(), Err(DatabaseAddressError));
        }
        let file: DatabaseAddress = "passwords of 2026.db".parse().unwrap();
        assert!(file.file().is_some());
    }

    #[test]
    fn no_password_is_shown() {
        for text in [
            "PostgreSQL://user:secret@host:5433/skyline",
            "postgres://user:secret@host:5433/skyline",
            "postgresql://user@host:5433/skyline?password=secret",
        ] {
            let address: DatabaseAddress = text.parse().unwrap();
            let shown = format!("{address} {address:?}");
            assert!(!shown.contains("secret"), "{shown}");
            assert!(shown.contains("user@host:5433/skyline"), "{shown}");
        }
    }
}
