//! What the log says and, above all, what it does not.

use skyline_protocol::LicenseKey;

use crate::common::{
    Login,
    process::{Installation, command},
    within,
};

/// A whole session, a breach and a login with an unknown key, logged in full.
async fn no_secret_is_logged(format: &str) -> String {
    let installation = Installation::new().await;
    let options = ["--log", "trace", "--log-format", format];
    let running = installation.serve(&options).await;
    let login = Login::new(&installation.license().await);
    let mut peer = running.peer(&installation).await;
    peer.log_in(&login).await.expect_ok();
    peer.call("get-limits", None).await.expect_ok();
    peer.call("send-event", Some(b"\x80"))
        .await
        .expect("BAD_REQUEST");
    peer.call("no-such-method", None)
        .await
        .expect("UNKNOWN_METHOD");
    let mut breach = running.peer(&installation).await;
    breach
        .log_in(&login.at(2_000, 17))
        .await
        .expect("INTEGRITY_BREACH");
    let unknown = Login::new(&LicenseKey::generate());
    let mut stranger = running.peer(&installation).await;
    stranger.log_in(&unknown).await.expect("LICENSE_NOT_FOUND");
    let token = peer.token.clone().unwrap();
    let session_key = peer.session_key.clone();
    drop(peer);
    running.signal("TERM").await;
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("login accepted"), "the log is there: {log}");
    let seed = std::fs::read_to_string(installation.path().join("identity.key")).unwrap();
    for secret in [
        login.request.license_key.expose(),
        unknown.request.license_key.expose(),
        &token,
        &session_key,
        seed.trim_end(),
    ] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
    log
}

#[tokio::test]
async fn no_secret_is_in_the_log_of_a_whole_session() {
    no_secret_is_logged("text").await;
}

#[tokio::test]
async fn no_secret_is_in_the_log_in_json_of_which_every_line_is_an_object() {
    let log = no_secret_is_logged("json").await;
    let mut accepted = 0;
    for line in log.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect(line);
        for field in ["timestamp", "level", "target", "fields"] {
            assert!(!entry[field].is_null(), "{field} is missing: {line}");
        }
        if entry["fields"]["message"] == "login accepted" {
            assert_eq!(entry["span"]["client"], "127.0.0.1", "{line}");
            accepted += 1;
        }
    }
    assert_eq!(accepted, 1);
}

#[tokio::test]
async fn a_mistyped_variable_is_named_in_the_log() {
    let installation = Installation::new().await;
    let running = installation.serve(&[]).await;
    running.signal("TERM").await;
    let (_, quiet) = running.end().await;
    assert!(!quiet.contains("is no setting"), "{quiet}");
    let running = installation
        .serve_with_environment(&[("SKYLINE_LOGG", "hunter2")])
        .await;
    running.signal("TERM").await;
    let (_, log) = running.end().await;
    assert!(
        log.contains("SKYLINE_LOGG") && !log.contains("hunter2"),
        "{log}"
    );
}

#[tokio::test]
async fn the_password_of_a_database_is_nowhere_even_when_it_cannot_be_reached() {
    // Nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let installation = Installation::new().await;
    let folder = installation.path();
    let url = format!("postgres://skyline:hunter2@127.0.0.1:{port}/skyline?password=hunter2");
    let settings = format!("database = \"{url}\"\nlicense_key_secret = \"secret\"\n");
    std::fs::write(folder.join("skyline.toml"), settings).unwrap();
    for format in ["text", "json"] {
        let options = ["--log", "trace", "--log-format", format];
        let mut from_file = command(folder);
        from_file
            .args(["serve", "--config", "skyline.toml"])
            .args(options);
        from_file.env_remove("SKYLINE_DATABASE");
        let mut from_environment = command(folder);
        from_environment
            .args(["serve", "--license-key-secret", "secret"])
            .args(options);
        from_environment.env("SKYLINE_DATABASE", &url);
        for mut program in [from_file, from_environment] {
            let output = within(program.output()).await.unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{errors}");
            assert!(errors.contains("cannot be opened"), "{errors}");
            assert!(!errors.contains("hunter2"), "{errors}");
        }
    }
    let mut shown = command(folder);
    shown.args(["serve", "--print-config", "--config", "skyline.toml"]);
    shown.env_remove("SKYLINE_DATABASE");
    let shown = within(shown.output()).await.unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("skyline.toml") && !shown.contains("hunter2"),
        "{shown}"
    );
}
