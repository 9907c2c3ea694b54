//! The example program as a user runs it.

mod support;

use std::process::{Command, Output};

use support::{Owner, Server};

fn run(owner: &Owner) -> Output {
    // cargo builds the examples with the tests, beside their folder.
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/quickstart");
    Command::new(example)
        .env("SKYLINE_URL", &owner.url)
        .env("SKYLINE_IDENTITY_KEY", &owner.identity_key)
        .env("SKYLINE_LICENSE_KEY", owner.license_key.expose())
        .env("SKYLINE_STATE_FOLDER", owner.state.path())
        .output()
        .unwrap()
}

#[test]
fn the_quick_start_activates_reads_limits_and_reports_an_event() {
    let server = Server::start();
    let owner = server.owner();
    let output = run(&owner);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in [
        "activated now: yes",
        "plan: telepower.licensePlan.release.monthly",
        "limit engine.limits.sendMessage.dailyLimit: 150",
        "event reported: app.navigation",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}: {printed}"
        );
    }
    let again = String::from_utf8(run(&owner).stdout).unwrap();
    assert!(again.starts_with("activated now: no"), "{again}");
}

#[test]
fn the_quick_start_tells_a_failure_in_one_line() {
    let mut server = Server::start();
    let owner = server.owner();
    server.kill();
    let output = run(&owner);
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("CONNECTION: "), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
