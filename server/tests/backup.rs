//! Backup and restore, with clients at work, and what becomes of their last logins.

mod common;

use std::{
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use common::{
    Backend, Database, Login, PRODUCT,
    database::PostgresServer,
    pack,
    process::{Installation, PLAN, Running, fail, succeed},
    within,
};
use futures_util::future::join_all;
use rmpv::Value;
use skyline_protocol::LicenseKey;
use tokio::time::sleep;

/// Logs in with what the client has, and sends an event; returns the status, and keeps the value.
async fn use_product(running: &Running, installation: &Installation, login: &mut Login) -> String {
    let mut peer = running.peer(installation).await;
    let answer = peer.log_in(login).await;
    if answer.status == "OK" {
        let data = Value::Map(vec![]);
        let event = Value::Map(vec![("event".into(), "e".into()), ("data".into(), data)]);
        peer.call("send-event", Some(&pack(&event)))
            .await
            .expect_ok();
        *login = login.at(login.timestamp + 1, login.timestamp);
    }
    answer.status
}

async fn licenses(installation: &Installation, options: &[&str], count: usize) -> Vec<Login> {
    let issue = ["license", "issue", "--product", PRODUCT, "--plan", PLAN];
    let issue = [&issue[..], options].concat();
    let mut logins = Vec::new();
    for number in 0..count {
        let key: LicenseKey = succeed(installation.path(), &issue)
            .await
            .trim_end()
            .parse()
            .unwrap();
        let name = format!("device {number}");
        logins.push(Login::new(&key).with(|request| request.device_serial_number = name));
    }
    logins
}

async fn stop(running: Running) {
    running.signal("TERM").await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
}

/// After the restore, each client gets in once with a value newer than the backup, and an invented
/// one gets nobody in.
async fn clients_go_on(
    running: &Running,
    installation: &Installation,
    options: &[&str],
    logins: &mut [Login],
) {
    for (number, login) in logins.iter_mut().enumerate() {
        assert_eq!(
            use_product(running, installation, login).await,
            "OK",
            "client {number}"
        );
        let mut invented = login.at(9_000, 8_000);
        let status = use_product(running, installation, &mut invented).await;
        assert_eq!(status, "INTEGRITY_BREACH");
        assert_eq!(use_product(running, installation, login).await, "OK");
    }
    let audit = ["audit", "--action", "adopted", "--json"];
    let adopted = succeed(installation.path(), &[&audit[..], options].concat()).await;
    assert_eq!(adopted.lines().count(), logins.len(), "{adopted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_with_a_backup_that_was_made_while_they_worked() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let mut logins = licenses(&installation, &[], 4).await;
    let running = installation.serve(&[]).await;
    for login in &mut logins {
        assert_eq!(use_product(&running, &installation, login).await, "OK");
    }
    let stopped = AtomicBool::new(false);
    let clients = join_all(logins.iter_mut().map(async |login| {
        let mut rounds = 0;
        while rounds < 5 || !stopped.load(Ordering::Relaxed) {
            assert_eq!(use_product(&running, &installation, login).await, "OK");
            rounds += 1;
        }
        // After the backup, so that it lacks the value that the client has.
        assert_eq!(use_product(&running, &installation, login).await, "OK");
    }));
    let backup = async {
        sleep(Duration::from_millis(50)).await;
        let told = succeed(folder, &["backup", "backup.db", "--json"]).await;
        assert_eq!(told, "{\"file\":\"backup.db\"}\n");
        stopped.store(true, Ordering::Relaxed);
    };
    within(async { tokio::join!(clients, backup) }).await;

    // While the server has the database open, nothing takes its place; nor without being told to.
    let errors = fail(folder, 1, &["restore", "backup.db", "--force"]).await;
    assert!(errors.contains("stop the server"), "{errors}");
    let errors = fail(folder, 1, &["restore", "backup.db"]).await;
    assert!(errors.contains("--force replaces it"), "{errors}");
    let errors = fail(folder, 1, &["backup", "backup.db"]).await;
    assert!(errors.contains("exists already"), "{errors}");
    stop(running).await;

    // Without the restore's care every active client would be locked out.
    let bare = [
        "--database",
        "bare.db",
        "--license-key-secret",
        "skyline.db.key-secret",
    ];
    std::fs::copy(folder.join("backup.db"), folder.join("bare.db")).unwrap();
    let running = installation.serve(&bare).await;
    let mut locked_out = logins[0].clone();
    let status = use_product(&running, &installation, &mut locked_out).await;
    assert_eq!(status, "INTEGRITY_BREACH");
    stop(running).await;

    // A new place: the backup and the secret are all it takes.
    let place = [
        "--database",
        "place.db",
        "--license-key-secret",
        "skyline.db.key-secret",
    ];
    let told = succeed(
        folder,
        &[&["restore", "backup.db", "--json"][..], &place].concat(),
    )
    .await;
    assert_eq!(told, "{\"licenses\":4}\n");
    let running = installation.serve(&place).await;
    clients_go_on(&running, &installation, &place, &mut logins).await;
    stop(running).await;

    // Over the database that is there.
    let told = succeed(folder, &["restore", "backup.db", "--force"]).await;
    assert!(told.contains(": 4"), "{told}");
    let running = installation.serve(&[]).await;
    clients_go_on(&running, &installation, &[], &mut logins).await;
    private(&folder.join("backup.db"));
    private(&folder.join("place.db"));
}

#[cfg(unix)]
fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[cfg(not(unix))]
fn private(_: &Path) {}

#[tokio::test]
async fn a_backup_that_is_damaged_or_of_another_secret_is_refused_and_changes_nothing() {
    let installation = Installation::new().await;
    let folder = installation.path();
    licenses(&installation, &[], 3).await;
    succeed(folder, &["backup", "backup.db"]).await;
    let before = succeed(folder, &["license", "list"]).await;
    let force = |file| ["restore", file, "--force"];
    let sound = std::fs::read(folder.join("backup.db")).unwrap();
    let page = 4096;
    for (name, bytes) in [
        (
            "text",
            b"these are no tables, but a text of some length".to_vec(),
        ),
        ("half", sound[..sound.len() / 2].to_vec()),
        ("damaged", {
            let mut damaged = sound.clone();
            for byte in &mut damaged[2 * page..] {
                *byte = !*byte;
            }
            damaged
        }),
    ] {
        std::fs::write(folder.join(name), bytes).unwrap();
        let errors = fail(folder, 1, &force(name)).await;
        assert!(errors.contains("no sound backup"), "{name}: {errors}");
    }
    let errors = fail(folder, 1, &force("missing")).await;
    assert!(errors.contains("missing"), "{errors}");
    std::fs::write(folder.join("other-secret"), "1".repeat(64)).unwrap();
    let other = [
        &force("backup.db")[..],
        &["--license-key-secret", "other-secret"],
    ]
    .concat();
    let errors = fail(folder, 1, &other).await;
    assert!(errors.contains("not the one"), "{errors}");
    assert_eq!(succeed(folder, &["license", "list"]).await, before);
    let files = std::fs::read_dir(folder).unwrap().count();
    // database, secret, identity key, backup, three wrong ones, other secret
    assert_eq!(files, 8, "nothing is left lying about");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_with_a_dump_of_postgresql_after_the_restore_is_told() {
    let server = PostgresServer::shared();
    let database = Database::new(Backend::Postgres).await;
    let installation = Installation::new().await;
    let folder = installation.path();
    let secret = database.key_secret().to_str().unwrap().to_owned();
    let options = [
        "--database",
        &database.address,
        "--license-key-secret",
        &secret,
    ];
    succeed(
        folder,
        &[&["product", "set", PRODUCT][..], &options].concat(),
    )
    .await;
    let mut logins = licenses(&installation, &options, 2).await;
    let running = installation.serve(&options).await;
    for login in &mut logins {
        assert_eq!(use_product(&running, &installation, login).await, "OK");
    }
    let errors = fail(folder, 1, &[&["backup", "x"][..], &options].concat()).await;
    assert!(errors.contains("pg_dump"), "{errors}");
    let dump = folder.join("skyline.dump");
    let dump = dump.to_str().unwrap();
    let arguments = ["--format=custom", "--file", dump, "--dbname"];
    tool(
        server,
        "pg_dump",
        &[&arguments[..], &[&database.address]].concat(),
    )
    .await;
    for login in &mut logins {
        assert_eq!(use_product(&running, &installation, login).await, "OK");
    }
    stop(running).await;

    let other = server.new_database().await;
    tool(server, "pg_restore", &["--dbname", &other, dump]).await;
    let options = ["--database", &other, "--license-key-secret", &secret];
    let told = succeed(folder, &[&["restore", "--json"][..], &options].concat()).await;
    assert_eq!(told, "{\"licenses\":2}\n");
    let running = installation.serve(&options).await;
    clients_go_on(&running, &installation, &options, &mut logins).await;
}

async fn tool(server: &PostgresServer, program: &str, arguments: &[&str]) {
    let output = tokio::process::Command::new(server.programs.join(program))
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = within(output).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
}
