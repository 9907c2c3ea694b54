//! The program itself: its commands, its exit codes, its ready line, its signals, its log.

mod common;

use common::{
    Login, Received,
    process::{Installation, PLAN, fail, succeed},
};
use skyline_protocol::{LicenseKey, methods::StartSessionResponse};

#[tokio::test]
async fn every_mistake_of_the_administrator_is_told_in_one_line() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let issue = ["license", "issue", "--product", "telepower", "--plan", PLAN];
    let taken = installation.license().await;
    std::fs::write(
        folder.join("not-a-database"),
        "something else, and long enough",
    )
    .unwrap();
    std::fs::write(folder.join("not-a-key"), "something else").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied = listener.local_addr().unwrap().to_string();
    let cases: &[(&[&str], &str)] = &[
        (&["keygen", "identity.key"], "exists already"),
        (&["keygen", "no/such/folder/key"], "cannot be used"),
        (
            &["license", "list", "--database", "missing.db"],
            "there is no database",
        ),
        (
            &["license", "list", "--database", "not-a-database"],
            "cannot be opened",
        ),
        (
            &["license", "issue", "--product", "x", "--plan", PLAN],
            "no product `x`",
        ),
        (
            &["license", "issue", "--product", "telepower", "--plan", "x"],
            "no plan `x`",
        ),
        (
            &["license", "show", "BCDFG-HJKMP-QRTVW-XY234-66789"],
            "no license",
        ),
        (
            &["license", "suspend", "BCDFG-HJKMP-QRTVW-XY234-66789"],
            "no license",
        ),
        (&["license", "show", "nonsense"], "five groups"),
        (
            &["serve", "--identity-key", "missing"],
            "skyline-server keygen missing",
        ),
        (&["serve", "--identity-key", "not-a-key"], "64 hex digits"),
        (
            &[
                "serve",
                "--tls-certificate",
                "missing",
                "--tls-key",
                "missing",
            ],
            "missing",
        ),
        (&["serve", "--log", "==="], "log filter"),
        (&["serve", "--listen", &occupied], "cannot listen"),
    ];
    for (arguments, expected) in cases {
        let errors = fail(folder, 1, arguments).await;
        let last = errors.trim_end().lines().last().unwrap();
        assert!(
            last.contains("error: ") && last.contains(expected),
            "{arguments:?}: {errors}"
        );
    }
    let again = [&issue[..], &["--key", taken.expose()]].concat();
    let errors = fail(folder, 1, &again).await;
    assert!(errors.contains("exists already") && !errors.contains(taken.expose()));
    for usage in [
        &["serve", "--listen", "nowhere"][..],
        &["license"],
        &["product", "set", "x", "--minimum-version", "seven"],
        &["nonsense"],
        &[],
    ] {
        fail(folder, 2, usage).await;
    }
}

#[tokio::test]
async fn licenses_are_issued_listed_shown_suspended_and_resumed() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let set = ["product", "set", "telepower", "--minimum-version", "7.0"];
    succeed(folder, &set).await;
    let url = [
        "product",
        "set",
        "telepower",
        "--update-url",
        "https://updates.example",
    ];
    let product = succeed(folder, &url).await;
    assert!(
        product.contains("7.0"),
        "what is not named stays: {product}"
    );
    let chosen = LicenseKey::generate();
    let issue = ["license", "issue", "--product", "telepower", "--plan", PLAN];
    let limits = ["--limit", "a.b=7", "--limit", "c=-1"];
    let typed = chosen.expose().to_lowercase();
    let printed = succeed(folder, &[&issue[..], &limits, &["--key", &typed]].concat()).await;
    assert_eq!(printed, format!("{}\n", chosen.expose()));
    let random = installation.license().await;

    let list = succeed(folder, &["license", "list"]).await;
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].contains(&chosen.expose()[24..]) && lines[2].contains(&random.expose()[24..]));
    assert!(!list.contains(&chosen.expose()[..23]), "{list}");
    let none = succeed(folder, &["license", "list", "--product", "other"]).await;
    assert_eq!(none.lines().count(), 1);

    let shown = succeed(folder, &["license", "show", chosen.expose()]).await;
    for line in ["status: issued", "limit: a.b=7", "limit: c=-1"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let suspended = succeed(folder, &["license", "suspend", chosen.expose()]).await;
    assert_eq!(suspended, "status: suspended\n");
    let resumed = succeed(folder, &["license", "resume", chosen.expose()]).await;
    assert_eq!(resumed, "status: issued\n");
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let installation = Installation::new().await;
    let metadata = std::fs::metadata(installation.path().join("skyline.db")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_terminated_server_answers_its_calls_and_a_new_one_remembers_everything() {
    let installation = Installation::new().await;
    let login = Login::new(&installation.license().await);
    let delay = b"\x81\xacmilliseconds\xcd\x01\xf4";
    for (round, signal) in ["TERM", "INT"].into_iter().enumerate() {
        let running = installation
            .serve(&["--identity-key", "identity.key"])
            .await;
        assert_eq!(running.scheme, "ws");
        let mut peer = running.peer(&installation).await;
        let times = [(1_000, 0), (2_000, 1_000)][round];
        let answer = peer.log_in(&login.at(times.0, times.1)).await.expect_ok();
        let session: StartSessionResponse = answer.payload();
        assert_eq!(session.is_activated_now, round == 0);
        peer.send("test.delay", Some(delay)).await;
        peer.call("test.echo", Some(b"\x05")).await.expect_ok();
        running.signal(signal).await;
        peer.answer().await.expect_ok();
        assert!(matches!(
            peer.socket.receive().await,
            Received::Closed(1001)
        ));
        let (code, log) = running.end().await;
        assert_eq!(code, Some(0), "{log}");
    }
    let folder = installation.path();
    let shown = ["license", "show", login.request.license_key.expose()];
    let shown = succeed(folder, &shown).await;
    assert!(shown.contains("status: active"), "{shown}");
    assert!(!folder.join("skyline.db-wal").exists(), "one file is left");
}

#[tokio::test]
async fn an_admin_works_beside_the_running_server() {
    let installation = Installation::new().await;
    let key = installation.license().await;
    let running = installation.serve(&[]).await;
    let mut peer = running.peer(&installation).await;
    peer.log_in(&Login::new(&key)).await.expect_ok();
    peer.call("get-limits", None).await.expect_ok();
    succeed(installation.path(), &["license", "suspend", key.expose()]).await;
    peer.call("get-limits", None)
        .await
        .expect("LICENSE_SUSPENDED");
    let late = installation.license().await;
    let mut other = running.peer(&installation).await;
    other.log_in(&Login::new(&late)).await.expect_ok();
}
