//! The server's database, read beside the running server: what really happened.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use skyline::LicenseKey;
use skyline_server::key_secret::KeySecret;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

/// One accepted login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// The `t` of its request, which the next login is to report.
    pub value: i64,
    /// Whether it was accepted out of the resync budget.
    pub resync: bool,
    /// Whether the client is known to have its answer.
    pub confirmed: bool,
}

/// The SQLite file of a server, opened for reading.
#[derive(Clone, Debug)]
pub struct Database {
    pool: SqlitePool,
    /// Under which the license keys are hashed.
    secret: Arc<KeySecret>,
}

impl Database {
    /// Opens the file of a server that has been started once.
    ///
    /// # Panics
    ///
    /// As everything here, when the file is not what the server makes of it.
    pub async fn open(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let pool = SqlitePoolOptions::new().max_connections(1);
        let mut secret = file.as_os_str().to_owned();
        secret.push(".key-secret");
        let secret = KeySecret::read(Path::new(&secret)).expect("the file of the secret");
        Self {
            pool: pool.connect_with(options).await.expect("the database"),
            secret: Arc::new(secret.expect("the secret of the license keys")),
        }
    }

    /// The accepted logins of a license, oldest first.
    pub async fn logins(&self, license: &LicenseKey) -> Vec<Login> {
        sqlx::query(
            "SELECT value, resync, confirmed FROM logins
             WHERE license_id = (SELECT id FROM licenses WHERE key_hash = ?) ORDER BY id",
        )
        .bind(self.secret.hash(license))
        .fetch_all(&self.pool)
        .await
        .expect("the logins")
        .iter()
        .map(|row| Login {
            value: row.get(0),
            resync: row.get(1),
            confirmed: row.get(2),
        })
        .collect()
    }

    /// All stored events: name → the MessagePack of the data of each that bears it.
    pub async fn events(&self) -> HashMap<String, Vec<Vec<u8>>> {
        let rows = sqlx::query("SELECT event, data FROM events")
            .fetch_all(&self.pool)
            .await
            .expect("the events");
        let mut events: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
        for row in rows {
            events.entry(row.get(0)).or_default().push(row.get(1));
        }
        events
    }

    /// The names of the stored events that begin with `prefix`, in the order in which they came.
    pub async fn events_in_order(&self, prefix: &str) -> Vec<String> {
        sqlx::query("SELECT event FROM events WHERE substr(event, 1, ?1) = ?2 ORDER BY id")
            .bind(i64::try_from(prefix.len()).expect("a short prefix"))
            .bind(prefix)
            .fetch_all(&self.pool)
            .await
            .expect("the events")
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    /// Closes the file.
    pub async fn close(self) {
        self.pool.close().await;
    }
}
