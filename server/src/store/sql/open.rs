//! Opening the database: connections, migrations, the secret.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    AnyConnection, AnyPool, ConnectOptions, Connection,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
    migrate::Migrator,
};

use super::{Dialect, SqlStore, group::Group, keys};
use crate::{
    key_secret::KeySecretError,
    store::{DatabaseAddress, StoreError},
};

/// The migrations, embedded: the binary brings any older database up to date by itself.
static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections to a SQLite file that only read. WAL lets them go on beside the writer; more than a
/// few only take turns on the same cores.
const SQLITE_READERS: u32 = 4;

/// Connections of one node to PostgreSQL, by default: six nodes stay below the 100 connections
/// that a PostgreSQL server allows by default, and each is busy for a millisecond per call.
pub const DEFAULT_MAX_DATABASE_CONNECTIONS: u32 = 16;

/// How long a request waits for a connection of the pool before it fails: longer than for a lock,
/// so that the reason that is reported is the first one. A database that is being restarted may
/// come back meanwhile.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// How a SQLite connection is set up.
///
/// `busy_timeout`, in milliseconds: how long a statement waits for another process, an admin
/// command beside the server.
///
/// `synchronous = FULL`: an accepted login must survive a power cut. Had the server forgotten it,
/// the next login would report a value that "was never accepted" and lock an honest user out.
const SQLITE_SETUP: &str =
    "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
     PRAGMA foreign_keys = ON";

/// How a PostgreSQL connection is set up.
///
/// `lock_timeout`, in milliseconds: the same time for a lock that another node holds, such as that
/// of a login of the same license.
///
/// `idle_in_transaction_session_timeout`, in milliseconds: a node that loses its power or its
/// network within a transaction cannot say so. Its locks are gone before the others stop waiting.
/// Between the statements of a transaction a living node takes a millisecond.
///
/// `tcp_keepalives_*`, in seconds and probes: its other connections, of which the database server
/// has only so many, are found dead after a minute instead of two hours.
const POSTGRES_SETUP: &str =
    "SET lock_timeout = 10000; SET idle_in_transaction_session_timeout = 5000;
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

/// Extension that is appended to the name of a SQLite file for the default place of its secret.
const KEY_SECRET_EXTENSION: &str = ".key-secret";

/// Where the store is, and how it is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The database.
    pub address: DatabaseAddress,
    /// The file of the secret under which license keys are hashed. `None`: the SQLite file's name
    /// with `.key-secret` appended; PostgreSQL has no default place.
    pub key_secret: Option<PathBuf>,
    /// Whether a missing SQLite file is made.
    pub create: bool,
    /// Connections of this process to PostgreSQL; at least 1.
    pub max_connections: u32,
}

impl StoreOptions {
    /// A database with its secret in the default place; made if it is a missing SQLite file.
    pub fn new(address: DatabaseAddress) -> Self {
        Self {
            address,
            key_secret: None,
            create: true,
            max_connections: DEFAULT_MAX_DATABASE_CONNECTIONS,
        }
    }

    /// Where the secret is.
    ///
    /// # Errors
    /// When none is named and the database is no SQLite file.
    pub fn key_secret_file(&self) -> Result<PathBuf, KeySecretError> {
        match (&self.key_secret, &self.address) {
            (Some(file), _) => Ok(file.clone()),
            (None, DatabaseAddress::Sqlite(database)) => {
                let mut name = database.clone().into_os_string();
                name.push(KEY_SECRET_EXTENSION);
                Ok(PathBuf::from(name))
            }
            (None, DatabaseAddress::Postgres(_)) => Err(KeySecretError::Unnamed),
        }
    }

    /// Opens the database and brings it up to date; processes that do so at the same time wait for
    /// each other. A new database gets a new secret if there is none in its place.
    ///
    /// # Errors
    /// When the database cannot be reached or made, is no database of this server, or when the
    /// secret is missing or another one.
    pub async fn open(&self) -> Result<SqlStore, StoreError> {
        let secret_file = self.key_secret_file()?;
        if let (Some(file), true) = (self.address.file(), self.create) {
            make_private(file)?;
        }
        let dialect = match self.address {
            DatabaseAddress::Sqlite(_) => Dialect::Sqlite,
            DatabaseAddress::Postgres(_) => Dialect::Postgres,
        };
        install_default_drivers();
        let url = self.address.connection_url()?;
        let options = AnyConnectOptions::from_url(&url)?;
        let mut connection = AnyConnection::connect_with(&options).await?;
        if dialect == Dialect::Sqlite {
            sqlx::raw_sql(SQLITE_SETUP).execute(&mut connection).await?;
        }
        // Without the time limit on locks: another node's migration may take longer.
        dialect.migrate(&mut connection).await?;
        let secret = keys::prepare(&mut connection, dialect, &secret_file).await?;
        connection.close().await?;

        let (writers, setup) = match dialect {
            Dialect::Sqlite => (1, SQLITE_SETUP),
            Dialect::Postgres => (self.max_connections, POSTGRES_SETUP),
        };
        let pool = |connections| pool(dialect, connections, setup, options.clone());
        let writer = pool(writers);
        let readers = match dialect {
            Dialect::Sqlite => pool(SQLITE_READERS),
            Dialect::Postgres => writer.clone(),
        };
        Ok(SqlStore {
            group: Group::new(writer.clone()),
            writer,
            readers,
            dialect,
            secret,
        })
    }
}

fn pool(
    dialect: Dialect,
    connections: u32,
    setup: &'static str,
    options: AnyConnectOptions,
) -> AnyPool {
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(setup).execute(connection).await?;
                Ok(())
            })
        });
    match dialect {
        // A local file does not go away like a server on a network.
        Dialect::Sqlite => pool
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None),
        Dialect::Postgres => pool.test_before_acquire(true),
    }
    .connect_lazy_with(options)
}

impl Dialect {
    async fn migrate(self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        match self {
            // The migrator holds PostgreSQL's advisory lock meanwhile.
            Self::Postgres => POSTGRES_MIGRATIONS.run(connection).await?,
            Self::Sqlite => {
                // SQLite has no such lock: of two processes that race for a migration, the loser
                // finds it done at its next try. It can lose each of them once.
                for _ in SQLITE_MIGRATIONS.iter() {
                    match SQLITE_MIGRATIONS.run(&mut *connection).await {
                        Ok(()) => return Ok(()),
                        Err(error) => tracing::debug!(%error, "migrating once more"),
                    }
                }
                SQLITE_MIGRATIONS.run(connection).await?;
            }
        }
        Ok(())
    }
}

/// Makes a missing file, readable by its owner only: it tells who uses which device. SQLite gives
/// the files beside it the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::File(path.to_owned(), error))
        }
        _ => Ok(()),
    }
}
