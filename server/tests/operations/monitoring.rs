//! What a monitoring system sees.

use std::path::Path;

use tokio::time::sleep;

use super::http::{get, metrics, status, value};
use crate::common::{Login, QUIET, Received, process::Installation, within};

const ADMIN: [&str; 2] = ["--admin-listen", "127.0.0.1:0"];

#[tokio::test]
async fn the_metrics_count_what_happened() {
    let installation = Installation::new().await;
    let options = [
        &ADMIN[..],
        &[
            "--call-rate-per-license",
            "1/h burst 5",
            "--max-connections",
            "50",
        ],
    ]
    .concat();
    let mut running = installation.serve(&options).await;
    let admin = running.admin().await;
    let before = metrics(admin).await;
    assert!(before.contains("# TYPE skyline_calls counter"), "{before}");
    assert!(before.contains("skyline_build_info{version=\""), "{before}");

    let login = Login::new(&installation.license().await);
    let mut peer = running.peer(&installation).await;
    peer.log_in(&login).await.expect_ok();
    let event = b"\x83\xa5event\xa1x\xa4data\x80\xa2id\xa11";
    peer.call("get-limits", None).await.expect_ok();
    peer.call("send-event", Some(event)).await.expect_ok();
    peer.call("send-event", Some(event)).await.expect_ok();
    peer.call("made-up-1", None).await.expect("UNKNOWN_METHOD");
    peer.call("made-up-2", None).await.expect("UNKNOWN_METHOD");
    peer.call("get-limits", None).await.expect("RATE_LIMITED");
    let mut breach = running.peer(&installation).await;
    breach
        .log_in(&login.at(2_000, 17))
        .await
        .expect("INTEGRITY_BREACH");
    let mut forged = running.peer(&installation).await;
    forged.socket.send_binary(vec![0; 64]).await;
    assert!(matches!(
        forged.socket.receive().await,
        Received::Closed(1002)
    ));

    drop((breach, forged));
    // The server is done with a connection a moment after its client.
    let settled = async {
        while value(&metrics(admin).await, "skyline_connections") > 1 {
            sleep(QUIET / 10).await;
        }
    };
    within(settled).await;
    let after = metrics(admin).await;
    for (series, expected) in [
        ("skyline_connections_accepted_total", 3),
        ("skyline_connections", 1),
        ("skyline_connections_max", 50),
        ("skyline_sessions", 1),
        ("skyline_handshakes_total{result=\"ok\"}", 3),
        ("skyline_handshake_duration_seconds_count", 3),
        (
            "skyline_calls_total{method=\"start-session\",status=\"OK\"}",
            1,
        ),
        (
            "skyline_calls_total{method=\"start-session\",status=\"INTEGRITY_BREACH\"}",
            1,
        ),
        (
            "skyline_calls_total{method=\"get-limits\",status=\"OK\"}",
            1,
        ),
        (
            "skyline_calls_total{method=\"get-limits\",status=\"RATE_LIMITED\"}",
            1,
        ),
        (
            "skyline_calls_total{method=\"send-event\",status=\"OK\"}",
            2,
        ),
        (
            "skyline_calls_total{method=\"other\",status=\"UNKNOWN_METHOD\"}",
            2,
        ),
        (
            "skyline_call_duration_seconds_count{method=\"send-event\"}",
            2,
        ),
        ("skyline_breaches_total{reason=\"last-login\"}", 1),
        ("skyline_breaches_total{reason=\"packet-forged\"}", 1),
        ("skyline_rate_limited_total{limit=\"calls-per-license\"}", 1),
        ("skyline_events_total{result=\"recorded\"}", 1),
        ("skyline_events_total{result=\"repeated\"}", 1),
        ("skyline_draining", 0),
    ] {
        assert_eq!(value(&after, series), expected, "{series} in\n{after}");
    }
    assert!(!after.contains("made-up"), "{after}");
    drop(peer);
}

#[tokio::test]
async fn metrics_are_for_the_admin_address_alone_and_health_for_both() {
    let installation = Installation::new().await;
    let mut running = installation.serve(&ADMIN).await;
    let admin = running.admin().await;
    for path in ["/healthz", "/readyz"] {
        for address in [admin, running.address] {
            assert_eq!(status(&get(address, path, &[]).await), "200");
        }
    }
    assert_eq!(status(&get(admin, "/metrics", &[]).await), "200");
    assert_eq!(status(&get(running.address, "/metrics", &[]).await), "404");
    assert_eq!(status(&get(admin, "/ws", &[]).await), "404");
}

#[tokio::test]
async fn the_alerts_and_the_documents_name_series_that_there_are() {
    let installation = Installation::new().await;
    let mut running = installation.serve(&ADMIN).await;
    let admin = running.admin().await;
    let login = Login::new(&installation.license().await);
    running
        .peer(&installation)
        .await
        .log_in(&login)
        .await
        .expect_ok();
    let text = metrics(admin).await;
    let series: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("skyline_"))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let is_there = |name: &str| {
        let parts = ["", "_bucket", "_count", "_sum"];
        parts
            .iter()
            .any(|part| series.contains(&&format!("{name}{part}")[..]))
    };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| std::fs::read_to_string(repository.join(file)).unwrap();
    let operations = read("docs/operations.md");
    let watch = operations
        .split("\n## ")
        .find(|section| section.starts_with("What to watch"));
    for text in [&read("deploy/alerts.yaml"), watch.unwrap()] {
        let named: Vec<&str> = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("skyline_"))
            .collect();
        assert!(!named.is_empty(), "no series is named");
        for name in named {
            assert!(is_there(name), "there is no {name}");
        }
    }
}
