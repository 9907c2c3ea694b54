//! What a monitoring system sees.

use tokio::time::sleep;

use super::http::{get, metrics, status, value};
use crate::common::{Login, QUIET, Received, process::Installation, within};

const ADMIN: [&str; 2] = ["--admin-listen", "127.0.0.1:0"];

#[tokio::test]
async fn the_metrics_count_what_happened() {
    let installation = Installation::new().await;
    let options = [&ADMIN[..], &["--call-rate-per-license", "1/h burst 5"]].concat();
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
