//! Databases for tests: a SQLite file in a folder of its own, or a database of its own on a real
//! PostgreSQL server, which `scripts/postgres` runs.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use skyline_server::store::{DatabaseAddress, SqlStore, StoreOptions};
use sqlx::{AnyConnection, Connection, any::install_default_drivers};
use tempfile::TempDir;

use super::within;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A database, and the folder in which its secret is (and the file, if it is one).
pub struct Database {
    pub folder: TempDir,
    /// As it is said on the command line.
    pub address: String,
}

impl Database {
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::sqlite(),
            Backend::Postgres => Self::on(PostgresServer::shared()).await,
        }
    }

    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("skyline.db");
        Self {
            address: address.to_str().unwrap().to_owned(),
            folder,
        }
    }

    /// A new database on that server.
    pub async fn on(server: &PostgresServer) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            address: server.new_database().await,
        }
    }

    pub fn key_secret(&self) -> PathBuf {
        self.folder.path().join("key-secret")
    }

    pub fn options(&self) -> StoreOptions {
        StoreOptions {
            key_secret: Some(self.key_secret()),
            ..StoreOptions::new(self.address.parse::<DatabaseAddress>().unwrap())
        }
    }

    /// Opens it; each handle stands for a process.
    pub async fn open(&self) -> SqlStore {
        within(self.options().open()).await.unwrap()
    }

    /// A connection of the test's own, for what no server would do.
    pub async fn connection(&self) -> AnyConnection {
        install_default_drivers();
        let url = match self.address.contains("://") {
            true => self.address.clone(),
            false => format!("sqlite:{}", self.address),
        };
        AnyConnection::connect(&url).await.unwrap()
    }
}

/// A PostgreSQL server that lives as long as the process of the test.
pub struct PostgresServer {
    /// The folder of its programs.
    pub programs: PathBuf,
    url: String,
    script: Mutex<Child>,
    output: Mutex<BufReader<ChildStdout>>,
}

impl PostgresServer {
    /// The one that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    pub fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres");
        let mut script = Command::new(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(script.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert!(line.ends_with('\n'), "scripts/postgres has failed");
            line.trim_end().to_owned()
        };
        let url = line();
        let programs = PathBuf::from(line());
        Self {
            programs,
            url,
            script: Mutex::new(script),
            output: Mutex::new(output),
        }
    }

    pub async fn new_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        install_default_drivers();
        let mut connection = AnyConnection::connect(&self.url).await.unwrap();
        let statement = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        self.url.replace("/postgres?", &format!("/{name}?"))
    }

    /// Stops the server as an administrator would, and starts it again.
    pub fn restart(&self) {
        let mut script = self.script.lock().unwrap();
        script
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"restart\n")
            .unwrap();
        let mut answer = String::new();
        self.output.lock().unwrap().read_line(&mut answer).unwrap();
        assert_eq!(answer, "restart\n");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // The end of its input ends the script. The shared server is never dropped: its script
        // finds the end of its input when this process ends.
        let script = self.script.get_mut().unwrap();
        drop(script.stdin.take());
        let _ = script.wait();
    }
}
