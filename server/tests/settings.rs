//! The layers of the settings, as the program shows them (docs/operations.md).

mod common;

use std::path::Path;

use common::process::{command, fail};

/// The lines of `serve --print-config`, with these arguments and variables.
async fn print_config(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = command(folder);
    command.args(["serve", "--print-config"]).args(arguments);
    command.envs(variables.iter().copied());
    let output = common::within(command.output()).await.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).unwrap()
}

fn assert_line(printed: &str, line: &str) {
    assert!(
        printed.lines().any(|printed| printed == line),
        "{line} is not in:\n{printed}"
    );
}

#[tokio::test]
async fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = "max_connections = 1\nping_interval = \"1s\"\ndrain_delay = \"1s\"\ninline_payloads = true\n";
    std::fs::write(folder.path().join("skyline.toml"), file).unwrap();
    let environment = [
        ("SKYLINE_CONFIG", "skyline.toml"),
        ("SKYLINE_MAX_CONNECTIONS", "2"),
        ("SKYLINE_PING_INTERVAL", "2s"),
    ];
    let flags = ["--max-connections", "10000", "--inline-payloads=false"];
    let printed = print_config(folder.path(), &flags, &environment).await;
    // The flag says what the default is, and still goes before the others.
    assert_line(&printed, "max_connections = 10000 # command line");
    assert_line(&printed, "inline_payloads = false # command line");
    assert_line(&printed, "ping_interval = \"2s\" # SKYLINE_PING_INTERVAL");
    assert_line(&printed, "drain_delay = \"1s\" # skyline.toml");
    assert_line(&printed, "session_deadline = \"10s\" # default");
    assert_line(&printed, "# tls_certificate is not set");
    let elsewhere = print_config(
        folder.path(),
        &["--config", "skyline.toml"],
        &[("SKYLINE_CONFIG", "missing.toml")],
    );
    assert_line(&elsewhere.await, "max_connections = 1 # skyline.toml");
}

#[tokio::test]
async fn admin_commands_take_the_database_from_the_file_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("skyline.toml"),
        "database = \"other.db\"\n",
    )
    .unwrap();
    let mut set = command(folder.path());
    set.env_remove("SKYLINE_DATABASE");
    set.args(["product", "set", "telepower", "--config", "skyline.toml"]);
    let output = common::within(set.output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(folder.path().join("other.db").exists());
}

#[tokio::test]
async fn a_bad_setting_is_refused_by_name_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("unknown.toml"), "max_conections = 5\n").unwrap();
    std::fs::write(path.join("bad.toml"), "max_connections = \"many\"\n").unwrap();
    for (file, expected) in [
        (
            "unknown.toml",
            "unknown.toml: there is no setting `max_conections`",
        ),
        (
            "bad.toml",
            "bad.toml: max_connections: a whole number of at least 1 is expected",
        ),
        ("missing.toml", "missing.toml"),
    ] {
        let errors = fail(path, 1, &["serve", "--config", file]).await;
        assert!(errors.contains(expected), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    let errors = fail(path, 2, &["serve", "--max-connections", "many"]).await;
    assert!(
        errors.contains("--max-connections") && errors.contains("at least 1"),
        "{errors}"
    );
    assert!(!path.join("skyline.db").exists());
    for half in [
        ["--tls-key", "key.pem"],
        ["--tls-certificate", "certificate.pem"],
    ] {
        std::fs::write(path.join("identity.key"), "00".repeat(32)).unwrap();
        let errors = fail(path, 1, &[&["serve"][..], &half].concat()).await;
        assert!(
            errors.contains("both tls-certificate and tls-key"),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn the_example_of_a_file_holds_and_shows_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/skyline.toml");
    let defaults = print_config(folder.path(), &[], &[]).await;
    let config = ["--config", example.to_str().unwrap()];
    let printed = print_config(folder.path(), &config, &[]).await;
    assert!(printed.contains("deploy/skyline.toml"), "{printed}");
    for line in std::fs::read_to_string(&example).unwrap().lines() {
        let Some((key, value)) = line.split_once(" = ") else {
            continue;
        };
        let Some(key) = key.strip_prefix("# ") else {
            continue;
        };
        let shown = format!("{key} = {value} # default");
        let unset = format!("# {key} is not set");
        assert!(
            defaults.lines().any(|line| line == shown || line == unset),
            "{line} is not the default"
        );
    }
}
