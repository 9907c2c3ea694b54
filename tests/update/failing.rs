//! Answers that are no file, and servers that fail: what is tried again, and what is not.

use std::time::{Duration, Instant};

use crate::site::{Answer, Site, Then, file};

const BYTES: usize = 500;

#[tokio::test]
async fn an_answer_without_a_file_says_why() {
    for (status, code) in [
        ("204 No Content", "UPDATE_NOT_NEWER"),
        ("404 Not Found", "UPDATE_NOT_FOUND"),
        ("410 Gone", "UPDATE_NOT_FOUND"),
        ("400 Bad Request", "UPDATE_HTTP"),
        ("401 Unauthorized", "UPDATE_HTTP"),
        ("403 Forbidden", "UPDATE_HTTP"),
        ("206 Partial Content", "UPDATE_HTTP"),
        ("304 Not Modified", "UPDATE_HTTP"),
        ("416 Range Not Satisfiable", "UPDATE_HTTP"),
    ] {
        let site = Site::serving(file(BYTES), move |_, _| Answer::status(status)).await;
        assert_eq!(site.refusal().await, code, "{status}");
        assert_eq!(site.asked().len(), 1, "{status} is not asked again");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again() {
    for status in [
        "500 Oops",
        "502 Bad Gateway",
        "503 Later",
        "429 Too Many",
        "408 Timeout",
    ] {
        let site = Site::serving(file(BYTES), move |asked, release| match asked.number {
            0..3 => Answer::status(status),
            _ => release.whole(),
        });
        let site = site.await;
        site.download().await.unwrap();
        assert_eq!(site.asked().len(), 4, "{status}");
    }
}

#[tokio::test]
async fn a_server_that_goes_on_failing_is_given_up() {
    let site = Site::serving(file(BYTES), |_, _| Answer::status("503 Later")).await;
    let mut config = site.config();
    config.update.attempts = 5;
    assert_eq!(site.refusal_as(config).await, "UPDATE_HTTP");
    assert_eq!(site.asked().len(), 5);
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_is_kept() {
    let site = Site::serving(file(BYTES), |asked, release| match asked.number {
        0 => Answer::status("503 Later").with("Retry-After", "1"),
        _ => release.whole(),
    })
    .await;
    let begun = Instant::now();
    site.download().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left() {
    for bytes in [None, Some(0), Some(100)] {
        let site = Site::serving(file(BYTES), move |asked, release| {
            match (asked.number, bytes) {
                (0, None) => Answer::new("HTTP/1.1 200 OK\r\nX-Unended: ", []).then(Then::Hang),
                (0, Some(bytes)) => release.whole().cut(bytes).then(Then::Hang),
                _ => release.answer_to(asked),
            }
        })
        .await;
        let mut config = site.config();
        config.update.stall = Duration::from_secs(2);
        site.download_as(config).await.unwrap();
        assert_eq!(site.asked().len(), 2);
        assert_eq!(
            site.asked()[1].range_start(),
            bytes.filter(|bytes| *bytes > 0)
        );
    }
}

#[tokio::test]
async fn what_is_no_http_is_given_up() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        "\u{16}\u{3}\u{1}".to_owned(),
        // A head without an end.
        format!("HTTP/1.1 200 OK\r\nX-Long: {}", "x".repeat(200_000)),
        "x: y\r\n".repeat(200) + "HTTP/1.1 200 OK\r\n",
    ] {
        let site = Site::serving(file(BYTES), move |_, _| Answer::new(answer.clone(), [])).await;
        let mut config = site.config();
        config.update.attempts = 2;
        assert_eq!(site.refusal_as(config).await, "CONNECTION");
        assert_eq!(site.asked().len(), 2);
    }
}

#[tokio::test]
async fn nobody_listening_is_a_connection_failure() {
    let mut config = Site::serving(file(BYTES), |_, release| release.whole())
        .await
        .config();
    // The site is gone; another takes its folder's place.
    config.update.attempts = 2;
    let site = Site::serving(file(BYTES), |_, release| release.whole()).await;
    assert_eq!(site.refusal_as(config).await, "CONNECTION");
    assert!(site.asked().is_empty());
}

#[tokio::test]
async fn a_target_that_is_no_folder_is_told() {
    let site = Site::serving(file(BYTES), |_, release| release.whole()).await;
    let target = site.folder.path().join("file");
    std::fs::write(&target, "not a folder").unwrap();
    let download = skyline::download_update(site.config(), &target).unwrap();
    let error = crate::support::soon(download.finish()).await.unwrap_err();
    assert_eq!(error.code(), "UPDATE_FOLDER");
    assert_eq!(std::fs::read(&target).unwrap(), b"not a folder");
    // A folder in the file's place stays, too.
    let place = site.folder.path().join("Телепауэр 7.1.0.bin");
    std::fs::create_dir(&place).unwrap();
    let error = site.download().await.unwrap_err();
    assert_eq!(error.code(), "UPDATE_FOLDER");
    assert!(place.is_dir());
}

#[tokio::test]
async fn a_setting_that_is_wrong_is_named() {
    type Change = fn(&mut skyline::ClientConfig);
    let cases: [(&str, Change); 7] = [
        ("update_url", |c| {
            c.update.url = Some("http://update.example/".into())
        }),
        ("update_url", |c| {
            c.update.url = Some("file:///tmp/update".into())
        }),
        ("update_url", |c| c.update.url = Some("nonsense".into())),
        ("max_update_bytes", |c| c.update.max_bytes = 0),
        ("update_stall", |c| c.update.stall = Duration::ZERO),
        ("update_attempts", |c| c.update.attempts = 0),
        ("product_version", |c| {
            c.product_version = "the first".into()
        }),
    ];
    let site = Site::serving(file(BYTES), |_, release| release.whole()).await;
    for (named, change) in cases {
        let mut config = site.config();
        change(&mut config);
        match skyline::download_update(config, site.folder.path()) {
            Err(skyline::Error::InvalidConfiguration { field, .. }) => assert_eq!(field, named),
            other => panic!("{named}: {other:?}"),
        }
    }
}
