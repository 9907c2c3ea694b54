//! State folders that something happened to, as docs/protocol.md, section 7, tells it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use skyline::BreachReason;
use skyline_reliability::database::Database;
use skyline_reliability::figures;
use skyline_reliability::process::{SessionProcess, login_file, stored_login};

use super::{Strict, command, recovers};
use crate::support::{Owner, Server, soon};

/// A server that forgives so many steps back, its database, and an owner who has logged in.
async fn with_budget(budget: usize) -> (Server, Database, Owner) {
    let server = Server::start_with(&["--resync-budget", &budget.to_string()]);
    let database = Database::open(&server.database()).await;
    let owner = server.owner();
    confirmed_session(&owner).await;
    (server, database, owner)
}

/// A login that is confirmed by a call.
async fn confirmed_session(owner: &Owner) {
    let client = owner.connect().await;
    soon(client.get_limits()).await.unwrap();
    soon(client.shutdown()).await;
}

fn file_of(owner: &Owner) -> PathBuf {
    login_file(owner.state.path()).unwrap().unwrap()
}

async fn resyncs(owner: &Owner, database: &Database) -> usize {
    let logins = database.logins(&owner.license_key).await;
    logins.iter().filter(|login| login.resync).count()
}

/// The login is refused as a breach that the server reports, by the code of the last login.
async fn breaches(owner: &Owner) {
    let error = owner.try_connect().await.unwrap_err();
    let skyline::Error::IntegrityBreach {
        reason,
        server_message,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(reason, BreachReason::ReportedByServer);
    assert!(server_message.unwrap().contains("LL"));
}

#[tokio::test]
async fn a_restored_backup_is_forgiven_as_often_as_the_budget_allows() {
    const BUDGET: usize = 3;
    let (_server, database, owner) = with_budget(BUDGET).await;
    let file = file_of(&owner);
    let backup = fs::read(&file).unwrap();
    // The clock of the protocol counts seconds: the logins of one second bear one number.
    while stored_login(owner.state.path()).unwrap() == value_of(&backup) {
        confirmed_session(&owner).await;
    }
    for restored in 1..=BUDGET {
        fs::write(&file, &backup).unwrap();
        confirmed_session(&owner).await;
        assert_eq!(resyncs(&owner, &database).await, restored);
    }
    fs::write(&file, &backup).unwrap();
    let before = database.logins(&owner.license_key).await;
    breaches(&owner).await;
    assert_eq!(database.logins(&owner.license_key).await, before);
    figures::tell("crash: a backup restored 4 times; 3 forgiven, the 4th a breach");
}

fn value_of(file: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(file[17..25].try_into().unwrap()))
}

#[tokio::test]
async fn a_deleted_file_is_forgiven_as_often_as_the_budget_allows() {
    let (_server, database, owner) = with_budget(1).await;
    fs::remove_file(file_of(&owner)).unwrap();
    confirmed_session(&owner).await;
    assert_eq!(resyncs(&owner, &database).await, 1);
    fs::remove_file(file_of(&owner)).unwrap();
    breaches(&owner).await;
}

#[tokio::test]
async fn a_truncated_or_edited_file_counts_as_a_deleted_one() {
    // As many as the cases below, so that each shows in the history.
    let (_server, database, owner) = with_budget(10_000).await;
    let file = file_of(&owner);
    let whole = fs::read(&file).unwrap().len();
    for length in 0..whole {
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..length]).unwrap();
        confirmed_session(&owner).await;
        assert_eq!(resyncs(&owner, &database).await, length + 1, "{length}");
    }
    for position in 0..whole {
        let mut bytes = fs::read(&file).unwrap();
        bytes[position] ^= 1 << (position % 8);
        fs::write(&file, &bytes).unwrap();
        confirmed_session(&owner).await;
        assert_eq!(
            resyncs(&owner, &database).await,
            whole + position + 1,
            "{position}"
        );
    }
    let mut longer = fs::read(&file).unwrap();
    longer.push(0);
    fs::write(&file, &longer).unwrap();
    confirmed_session(&owner).await;
    assert_eq!(resyncs(&owner, &database).await, 2 * whole + 1);
    // All of them were of the budget: the file of a login after that is sound.
    confirmed_session(&owner).await;
    assert_eq!(resyncs(&owner, &database).await, 2 * whole + 1);
    figures::tell(&format!(
        "crash: a last-login file truncated to {whole} lengths and edited in {whole} bytes; each counted as absent"
    ));
}

/// The client process as a user whom permissions bind; root they do not.
fn bound_by_permissions(owner: &Owner) -> Command {
    let plain = command(owner);
    if !nix::unistd::Uid::effective().is_root() {
        return plain;
    }
    const RIGHTS: &str = "-dac_override,-dac_read_search,-fowner";
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set", RIGHTS, "--inh-caps", RIGHTS])
        .arg(plain.get_program());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    command
}

async fn answer_of_login(owner: &Owner) -> String {
    let mut process = SessionProcess::start(bound_by_permissions(owner)).unwrap();
    soon(process.ask("connect")).await.unwrap()
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_and_costs_nothing() {
    let strict = Strict::start().await;
    let owner = strict.owner();
    recovers(&owner, &strict).await;
    let folder = owner.state.path();
    let before = stored_login(folder).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o500)).unwrap();
    const TIMES: usize = 5;
    for _ in 0..TIMES {
        let answer = answer_of_login(&owner).await;
        assert!(answer.starts_with("STATE "), "{answer}");
        assert_eq!(stored_login(folder).unwrap(), before);
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    recovers(&owner, &strict).await;
}

#[tokio::test]
async fn a_read_only_file_is_replaced_and_an_unreadable_one_is_told() {
    let strict = Strict::start().await;
    let owner = strict.owner();
    recovers(&owner, &strict).await;
    fs::set_permissions(file_of(&owner), Permissions::from_mode(0o400)).unwrap();
    assert_eq!(answer_of_login(&owner).await, "ok");
    let newest = strict.logins(&owner).await.pop().unwrap();
    assert_eq!(
        stored_login(owner.state.path()).unwrap(),
        Some(newest.value)
    );

    fs::set_permissions(file_of(&owner), Permissions::from_mode(0o000)).unwrap();
    let answer = answer_of_login(&owner).await;
    assert!(answer.starts_with("STATE "), "{answer}");
    fs::set_permissions(file_of(&owner), Permissions::from_mode(0o600)).unwrap();
    recovers(&owner, &strict).await;
}
