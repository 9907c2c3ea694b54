//! What the head of an answer says beside the manifest.

use crate::site::{Answer, Site, file};

const BYTES: usize = 500;
/// The name in the manifest of [`crate::site::manifest_of`].
const NAME: &str = "Телепауэр 7.1.0.bin";

async fn with_disposition(value: &'static str) -> Site {
    Site::serving(file(BYTES), move |_, release| {
        release.whole().with("Content-Disposition", value)
    })
    .await
}

#[tokio::test]
async fn a_content_disposition_that_disagrees_is_refused() {
    let cases = [
        "attachment; filename=other.bin",
        "attachment; filename=\"other.bin\"",
        "attachment; filename*=UTF-8''other.bin",
        // The right name in one form only.
        "attachment; filename=\"_________ 7.1.0.bin\"; filename*=UTF-8''%D0%A2",
        "attachment; filename=\"evil.exe\"; filename*=UTF-8''%D0%A2%D0%B5%D0%BB%D0%B5%D0%BF%D0%B0%D1%83%D1%8D%D1%80%207.1.0.bin",
        // With a folder before it, plain and in percents.
        "attachment; filename=\"/tmp/_________ 7.1.0.bin\"",
        "attachment; filename*=UTF-8''..%2F%D0%A2%D0%B5%D0%BB%D0%B5%D0%BF%D0%B0%D1%83%D1%8D%D1%80%207.1.0.bin",
        // In percents twice, in percents in the old form, in another charset, in none.
        "attachment; filename*=UTF-8''%25D0%25A2",
        "attachment; filename=\"%D0%A2%D0%B5%D0%BB%D0%B5%D0%BF%D0%B0%D1%83%D1%8D%D1%80%207.1.0.bin\"",
        "attachment; filename*=KOI8-R''%F4",
        "attachment; filename*=%D0%A2",
        "attachment; filename*=UTF-8''%D0%A2%D",
        // Two names, no name, no header's form.
        "attachment; filename=a; filename=b",
        "attachment",
        "attachment; filename=\"unended",
        "",
    ];
    println!(
        "{} forms of Content-Disposition are refused",
        cases.len() + 2
    );
    for value in cases {
        let site = with_disposition(value).await;
        assert_eq!(site.refusal().await, "UPDATE_FILE_NAME", "{value}");
    }
    let changes: [fn(Answer) -> Answer; 2] = [
        |answer| answer.without("Content-Disposition"),
        |mut answer| {
            answer.head += "Content-Disposition: attachment; filename=other.bin\r\n";
            answer
        },
    ];
    for change in changes {
        let site = Site::serving(file(BYTES), move |_, release| change(release.whole())).await;
        assert_eq!(site.refusal().await, "UPDATE_FILE_NAME");
    }
}

#[tokio::test]
async fn each_form_of_the_right_name_is_taken() {
    for value in [
        "attachment; filename=\"_________ 7.1.0.bin\"",
        "attachment; filename=\"Телепауэр 7.1.0.bin\"",
        "Attachment; FILENAME*=utf-8'ru'%d0%a2%d0%b5%d0%bb%d0%b5%d0%bf%d0%b0%d1%83%d1%8d%d1%80%207.1.0.bin",
    ] {
        let site = with_disposition(value).await;
        let update = site.download().await.unwrap();
        assert_eq!(update.file_name, NAME, "{value}");
        assert_eq!(update.path, site.folder.path().join(NAME));
    }
}

#[tokio::test]
async fn a_compressed_file_is_refused() {
    let site = Site::serving(file(BYTES), |asked, release| {
        assert_eq!(asked.headers["accept-encoding"], "identity");
        release.whole().with("Content-Encoding", "gzip")
    });
    assert_eq!(site.await.refusal().await, "UPDATE_HTTP");
}

#[tokio::test]
async fn the_request_says_who_asks_and_for_what() {
    let site = Site::serving(file(BYTES), |_, release| release.whole()).await;
    site.download().await.unwrap();
    let asked = site.asked().remove(0);
    let platform = skyline_protocol::update::this_platform();
    let path = format!("/updates/telepower?version=7.0.3&platform={platform}");
    assert_eq!(asked.path, path);
    assert_eq!(asked.headers["host"], site.address());
    assert!(asked.headers["user-agent"].starts_with("skyline/"));
    assert!(!asked.headers.contains_key("range"));
}
