//! Backups of a SQLite file, and what is to be done about the histories after any restore.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sqlx::{AnyConnection, ConnectOptions, Connection, any::AnyConnectOptions};
use tempfile::TempDir;

use super::{Dialect, SqlStore, audit, open::StoreOptions};
use crate::{
    model::Stamp,
    store::{DatabaseAddress, NewAuditEntry, Store, StoreError},
};

/// What is said of `backup` and `restore FILE` where the database is no file.
const USE_POSTGRES_TOOLS: &str = "a PostgreSQL database is backed up and restored by PostgreSQL's \
    own tools (pg_dump, pg_restore); after a restore, run `skyline-server restore` without a file";

impl SqlStore {
    /// Writes a consistent copy of the database into a new file, readable by its owner only, while
    /// others go on reading and writing. The file appears under its name when it is whole.
    ///
    /// # Errors
    /// When the file exists already or cannot be written, and on PostgreSQL.
    pub async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        if self.dialect != Dialect::Sqlite {
            return Err(StoreError::OnlySqlite(USE_POSTGRES_TOOLS));
        }
        let failed = |error| StoreError::File(file.to_owned(), error);
        // Made first, as SQLite would make it readable by everybody; it takes an empty file.
        let copy = tempfile::NamedTempFile::new_in(folder_of(file)).map_err(failed)?;
        let name = copy.path().to_str().ok_or_else(|| {
            failed(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the name is not UTF-8",
            ))
        })?;
        sqlx::query("VACUUM INTO $1")
            .bind(name)
            .execute(&self.readers)
            .await?;
        copy.as_file().sync_all().map_err(failed)?;
        match copy.persist_noclobber(file) {
            Ok(_) => sync_folder(folder_of(file)).map_err(failed),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::Exists(file.to_owned()))
            }
            Err(error) => Err(failed(error.error)),
        }
    }

    /// What is wrong with a SQLite file; `None`: nothing.
    async fn find_damage(&self) -> Result<Option<String>, StoreError> {
        let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&self.writer)
            .await?;
        if found != "ok" {
            return Ok(Some(found));
        }
        let dangling = sqlx::query("PRAGMA foreign_key_check")
            .fetch_optional(&self.writer)
            .await?;
        Ok(dangling.map(|_| "rows refer to rows that are missing".to_owned()))
    }
}

/// Puts a backup into the place of the database, which no process may have open, and marks the
/// histories as restored ([`Store::mark_restored`]). Everything is done on a copy beside the
/// database, which takes its place in one step at the end. Returns the number of licenses.
///
/// # Errors
/// [`StoreError::DatabaseExists`] when there is one and `force` does not say to replace it;
/// [`StoreError::UnsoundBackup`] when the file is damaged or something else; when the secret is not
/// the one of the backup; on PostgreSQL.
pub async fn restore_sqlite(
    backup: &Path,
    options: &StoreOptions,
    force: bool,
    by: &Stamp,
) -> Result<u64, StoreError> {
    let Some(target) = options.address.file() else {
        return Err(StoreError::OnlySqlite(USE_POSTGRES_TOOLS));
    };
    if target.exists() && !force {
        return Err(StoreError::DatabaseExists(target.to_owned()));
    }
    let failed = |error| StoreError::File(target.to_owned(), error);
    // A folder, so that whatever SQLite puts beside the copy goes away with it.
    let workshop = TempDir::new_in(folder_of(target)).map_err(failed)?;
    let copy = workshop.path().join("database");
    fs::copy(backup, &copy).map_err(|error| StoreError::File(backup.to_owned(), error))?;
    private(&copy).map_err(failed)?;
    let licenses = prepare(backup, &copy, options, by).await?;
    release(target).await?;
    for extension in ["-wal", "-shm"] {
        // A log of the old database would be taken for the new one's.
        remove(&with_extension(target, extension)).map_err(failed)?;
    }
    fs::File::open(&copy)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&copy, target))
        .and_then(|()| sync_folder(folder_of(target)))
        .map_err(failed)?;
    Ok(licenses)
}

/// Brings the copy up to date, checks it and marks its histories.
async fn prepare(
    backup: &Path,
    copy: &Path,
    options: &StoreOptions,
    by: &Stamp,
) -> Result<u64, StoreError> {
    let unsound = |error: StoreError| match error {
        StoreError::Database(_) => StoreError::UnsoundBackup(backup.to_owned(), error.to_string()),
        other => other,
    };
    let store = StoreOptions {
        address: DatabaseAddress::Sqlite(copy.to_owned()),
        key_secret: Some(options.key_secret_file()?),
        create: false,
        max_connections: options.max_connections,
    };
    let store = store.open().await.map_err(unsound)?;
    let damage = store.find_damage().await.map_err(unsound)?;
    if let Some(damage) = damage {
        store.close().await;
        return Err(StoreError::UnsoundBackup(backup.to_owned(), damage));
    }
    let licenses = store.mark_restored(by).await?;
    store.close().await;
    Ok(licenses)
}

/// Makes sure that no process has the old database open: a SQLite file that others have open
/// cannot leave the WAL mode.
async fn release(target: &Path) -> Result<(), StoreError> {
    if !target.exists() {
        return Ok(());
    }
    let in_use = || {
        let error = io::Error::new(io::ErrorKind::ResourceBusy, "it is in use: stop the server");
        StoreError::File(target.to_owned(), error)
    };
    let url = DatabaseAddress::Sqlite(target.to_owned()).connection_url()?;
    let mut old = match AnyConnection::connect_with(&AnyConnectOptions::from_url(&url)?).await {
        Ok(old) => old,
        Err(error) if is_busy(&error) => return Err(in_use()),
        // Too damaged to be opened: that may be why the backup is wanted.
        Err(_) => return Ok(()),
    };
    let mode: Result<String, sqlx::Error> = async {
        sqlx::raw_sql("PRAGMA busy_timeout = 0")
            .execute(&mut old)
            .await?;
        sqlx::query_scalar("PRAGMA journal_mode = DELETE")
            .fetch_one(&mut old)
            .await
    }
    .await;
    old.close().await?;
    match mode {
        Ok(mode) if mode == "wal" => Err(in_use()),
        Err(error) if is_busy(&error) => Err(in_use()),
        _ => Ok(()),
    }
}

/// SQLITE_BUSY and SQLITE_LOCKED, the low byte of their extended codes
/// (<https://www.sqlite.org/rescode.html>).
fn is_busy(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok())
        .is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

pub(super) async fn mark_restored(store: &SqlStore, by: &Stamp) -> Result<u64, StoreError> {
    let mut transaction = store.begin().await?;
    let marked =
        sqlx::query("UPDATE licenses SET history_mark = 'restored' WHERE history_mark IS NULL")
            .execute(&mut *transaction)
            .await?
            .rows_affected();
    let detail = format!("{marked} licenses may report a newer last login");
    audit(
        &mut transaction,
        &NewAuditEntry::new(by, "restored", detail),
    )
    .await?;
    transaction.commit().await?;
    Ok(marked)
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn with_extension(file: &Path, extension: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(extension);
    PathBuf::from(name)
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn private(file: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let _ = file;
    Ok(())
}

/// Makes a new name in a folder survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
