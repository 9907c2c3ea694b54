//! The crash matrix of the last login (docs/protocol.md, section 7): client processes that are
//! killed, processes that share a state folder, and state folders that something happened to.
//!
//! The servers have no resync budget unless a test says so: there, one login that counts as a step
//! back is a breach.

#[path = "../../../support/mod.rs"]
mod support;

mod folder;
mod held;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod killed;
mod together;

use std::path::Path;
use std::process::Command;

use skyline_reliability::database::{Database, Login};
use skyline_reliability::leaks::Held;
use skyline_reliability::process::{self, SessionProcess, stored_login};

use crate::support::{Owner, Server, soon};

/// A server that forgives no step back.
struct Strict {
    server: Server,
    database: Database,
    /// What the server holds without a connection.
    held: Held,
}

impl Strict {
    async fn start() -> Self {
        let server = Server::start_with(&["--resync-budget", "0"]);
        let database = Database::open(&server.database()).await;
        let held = Held::by_process(server.process_id());
        Self {
            server,
            database,
            held,
        }
    }

    fn owner(&self) -> Owner {
        self.server.owner()
    }

    async fn logins(&self, owner: &Owner) -> Vec<Login> {
        self.database.logins(&owner.license_key).await
    }

    /// The same once the server has done with what processes that were killed had already sent: a
    /// connection stays open until the login over it is committed.
    async fn settled_logins(&self, owner: &Owner) -> Vec<Login> {
        self.held.sockets_are_given_back().await;
        self.logins(owner).await
    }
}

/// The client process of `owner`.
fn command(owner: &Owner) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_session-process"));
    process::command(program, &owner.config())
}

/// A whole session in a process of its own, from the login over a call to the end.
async fn whole_session(owner: &Owner) {
    let mut process = SessionProcess::start(command(owner)).unwrap();
    for line in ["connect", "limits", "shutdown"] {
        let answer = soon(process.ask(line)).await;
        assert_eq!(answer.as_deref(), Some("ok"), "{line}");
    }
}

/// A whole session, after which both ends remember the same login. Gives the history.
async fn recovers(owner: &Owner, strict: &Strict) -> Vec<Login> {
    let before = strict.settled_logins(owner).await;
    whole_session(owner).await;
    let after = strict.logins(owner).await;
    assert_eq!(after.len(), before.len() + 1, "one login more");
    let newest = after.last().unwrap();
    assert_eq!(
        stored_login(owner.state.path()).unwrap(),
        Some(newest.value)
    );
    assert!(newest.confirmed, "{newest:?}");
    assert!(after.iter().all(|login| !login.resync), "{after:?}");
    let left: Vec<_> = std::fs::read_dir(owner.state.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.') || name.ends_with(".new"))
        .collect();
    assert!(left.is_empty(), "killed processes left {left:?}");
    after
}

/// What a killed process left behind is nothing, or a login that the server accepted.
async fn remembers_only_what_was_accepted(owner: &Owner, strict: &Strict) {
    if let Some(stored) = stored_login(owner.state.path()).unwrap() {
        let logins = strict.logins(owner).await;
        assert!(
            logins.iter().any(|login| login.value == stored),
            "{stored} is none of {logins:?}"
        );
    }
}
