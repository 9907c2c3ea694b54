//! Where a download lets itself be led.

use crate::site::{Answer, Release, Site, file};
use skyline_protocol::identity::IdentityKeyPair;

const BYTES: usize = 500;

fn redirect(status: &str, location: &str) -> Answer {
    Answer::status(status).with("Location", location)
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed_to_the_file() {
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let site = Site::serving(file(BYTES), move |asked, release| {
            match asked.path.strip_prefix("/files/") {
                Some(_) => release.answer_to(asked),
                None => redirect(status, "/files/newest?token=1#part"),
            }
        });
        let site = site.await;
        site.download().await.unwrap();
        assert_eq!(site.asked()[1].path, "/files/newest?token=1", "{status}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_names_that_host() {
    let key = IdentityKeyPair::generate();
    let release = Release::new(&key, file(BYTES));
    let store = Site::start(IdentityKeyPair::generate(), move |_| release.whole()).await;
    let location = format!("http://{}/store/file", store.address());
    let site = Site::start(key, move |_| redirect("302 Found", &location)).await;
    site.download().await.unwrap();
    assert_eq!(store.asked()[0].headers["host"], store.address());
}

#[tokio::test]
async fn five_redirects_are_followed_and_no_sixth() {
    let chain = |length: usize| {
        Site::serving(file(BYTES), move |asked, release| {
            if asked.number == length {
                release.whole()
            } else {
                redirect("302 Found", &format!("/step/{}", asked.number))
            }
        })
    };
    chain(5).await.download().await.unwrap();
    let site = chain(6).await;
    assert_eq!(site.refusal().await, "UPDATE_REDIRECT");
    assert_eq!(site.asked().len(), 6);
}

#[tokio::test]
async fn a_redirect_to_where_no_update_comes_from_is_refused() {
    let locations = [
        "http://update.example/file",
        "http://10.0.0.1/file",
        "//update.example/file",
        "ftp://127.0.0.1/file",
        "file:///etc/passwd",
        "data:text/plain,update",
        "javascript:alert(1)",
        "ws://127.0.0.1/ws",
        "https://user:password@127.0.0.1/file",
        "http://[",
        "",
    ];
    println!("{} redirects are refused", locations.len() + 2);
    for location in locations {
        let site = Site::start(IdentityKeyPair::generate(), move |asked| {
            // The empty location is that of the request: around in a circle.
            assert!(asked.number == 0 || location.is_empty());
            redirect("302 Found", location)
        });
        assert_eq!(site.await.refusal().await, "UPDATE_REDIRECT", "{location}");
    }
    let circle = Site::start(IdentityKeyPair::generate(), |asked| {
        redirect("302 Found", if asked.path == "/a" { "/b" } else { "/a" })
    });
    assert_eq!(circle.await.refusal().await, "UPDATE_REDIRECT");
    let nowhere = Site::start(IdentityKeyPair::generate(), |_| Answer::status("302 Found"));
    assert_eq!(nowhere.await.refusal().await, "UPDATE_REDIRECT");
}
