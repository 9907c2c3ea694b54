//! Releases: published by the command, served over HTTP (docs/protocol.md, section 8).

mod common;

use std::{collections::HashMap, net::SocketAddr, path::Path, time::Duration};

use common::{
    process::{Installation, Running, fail, succeed},
    within,
};
use sha2::{Digest, Sha256};
use skyline_protocol::{
    IdentityPublicKey,
    update::{Disposition, Manifest, SignedManifest},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const BYTES: usize = 300_000;
const PLATFORM: &str = "linux-x86_64";

fn file(version: &str) -> Vec<u8> {
    let tag = version.bytes().fold(0, |sum, byte| sum ^ usize::from(byte));
    (0..BYTES).map(|at| (at ^ at >> 8 ^ tag) as u8).collect()
}

/// Publishes a release of that version and platform; gives the JSON that is printed.
async fn publish(folder: &Path, version: &str, platform: &str) -> serde_json::Value {
    let name = format!("Телепауэр {version}.bin");
    std::fs::write(folder.join(&name), file(version)).unwrap();
    let arguments = [
        "release",
        "publish",
        &name,
        "--product",
        "telepower",
        "--version",
        version,
        "--platform",
        platform,
        "--json",
    ];
    serde_json::from_str(&succeed(folder, &arguments).await).unwrap()
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn manifest(&self, key: &IdentityPublicKey) -> Manifest {
        let (manifest, signature) = (
            &self.headers["skyline-manifest"],
            &self.headers["skyline-signature"],
        );
        let signed = SignedManifest::from_headers(manifest, signature).unwrap();
        signed.open(std::slice::from_ref(key)).unwrap()
    }
}

async fn ask(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = within(TcpStream::connect(address)).await.unwrap();
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Answer {
        status: status.parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: answer[end + 4..].to_vec(),
    }
}

fn target(product: &str, version: &str, platform: &str) -> String {
    format!("/updates/{product}?version={version}&platform={platform}")
}

async fn get(running: &Running, target: &str, headers: &[(&str, &str)]) -> Answer {
    ask(running.address, "GET", target, headers).await
}

#[tokio::test]
async fn the_newest_release_is_served_with_what_makes_it_trusted() {
    let installation = Installation::new().await;
    let folder = installation.path();
    for version in ["7.1.0", "7.10.0", "7.9.0", "8.0.0-rc.1", "6.0"] {
        publish(folder, version, PLATFORM).await;
    }
    publish(folder, "9.0.0", "windows-x86_64").await;
    let running = installation.serve(&[]).await;
    let answer = get(&running, &target("telepower", "7.0.3", PLATFORM), &[]).await;
    assert_eq!(answer.status, 200);
    let manifest = answer.manifest(&installation.identity);
    assert_eq!(manifest.product, "telepower");
    assert_eq!(manifest.version, "8.0.0-rc.1");
    assert_eq!(manifest.platform, PLATFORM);
    assert_eq!(manifest.file_name, "Телепауэр 8.0.0-rc.1.bin");
    assert_eq!(answer.body, file("8.0.0-rc.1"));
    assert_eq!(manifest.size, BYTES as u64);
    assert_eq!(manifest.sha256[..], Sha256::digest(&answer.body)[..]);
    assert_eq!(answer.headers["content-length"], BYTES.to_string());
    assert_eq!(answer.headers["accept-ranges"], "bytes");
    let etag = format!("\"{}\"", hex::encode(manifest.sha256));
    assert_eq!(answer.headers["etag"], etag);
    let disposition = Disposition::parse(&answer.headers["content-disposition"]).unwrap();
    assert!(disposition.agrees_with(&manifest.file_name));
    assert!(disposition.extended.is_some() && disposition.file_name.is_some());

    let head = ask(
        running.address,
        "HEAD",
        &target("telepower", "7.0.3", PLATFORM),
        &[],
    )
    .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.manifest(&installation.identity), manifest);
    // Without a version: the newest, too.
    let any = get(
        &running,
        &format!("/updates/telepower?platform={PLATFORM}"),
        &[],
    )
    .await;
    assert_eq!(any.manifest(&installation.identity), manifest);
}

#[tokio::test]
async fn each_case_without_a_file_has_its_status() {
    let installation = Installation::new().await;
    publish(installation.path(), "7.1.0", PLATFORM).await;
    let running = installation.serve(&[]).await;
    for (target, status) in [
        (target("telepower", "7.1.0", PLATFORM), 204),
        (target("telepower", "7.1.0%2Bbuild.9", PLATFORM), 204),
        (target("telepower", "8", PLATFORM), 204),
        (target("telepower", "7.0.3", "amiga-m68k"), 404),
        (target("another", "7.0.3", PLATFORM), 404),
        (target("telepower", "the+first", PLATFORM), 400),
        (target("telepower", "7.0.3", "Linux"), 400),
        ("/updates/telepower?version=7.0.3".to_owned(), 400),
        ("/updates/telepower/file".to_owned(), 404),
        ("/updates/..%2F..%2Fetc?platform=a".to_owned(), 404),
        ("/updates/%ff?platform=a".to_owned(), 400),
    ] {
        let answer = get(&running, &target, &[]).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(!answer.headers.contains_key("skyline-manifest"));
    }
    let post = ask(
        running.address,
        "POST",
        &target("telepower", "7.0.3", PLATFORM),
        &[],
    )
    .await;
    assert_eq!(post.status, 405);
}

#[tokio::test]
async fn a_release_without_its_file_leaves_the_next_one_to_be_served() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let kept = folder.join("skyline.db.releases");
    let mut files = Vec::new();
    for version in ["7.1.0", "7.3.0", "7.2.0"] {
        let published = publish(folder, version, PLATFORM).await;
        files.push(kept.join(published["sha256"].as_str().unwrap()));
    }
    let running = installation.serve(&[]).await;
    let target = target("telepower", "7.0.3", PLATFORM);
    std::fs::remove_file(&files[1]).unwrap();
    let answer = get(&running, &target, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.manifest(&installation.identity).version, "7.2.0");
    assert_eq!(answer.body, file("7.2.0"));
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::remove_file(&files[2]).unwrap();
    let none = get(&running, &target, &[]).await;
    assert_eq!(none.status, 503);
    assert!(none.headers.contains_key("retry-after"));
    running.signal("TERM").await;
    let (_, log) = running.end().await;
    assert!(
        log.contains("the file of a release cannot be opened"),
        "{log}"
    );
}

#[tokio::test]
async fn a_part_is_served_while_the_file_is_the_same() {
    let installation = Installation::new().await;
    publish(installation.path(), "7.1.0", PLATFORM).await;
    let running = installation.serve(&[]).await;
    let target = target("telepower", "7.0.3", PLATFORM);
    let whole = file("7.1.0");
    let etag = get(&running, &target, &[]).await.headers["etag"].clone();
    let last = BYTES - 1;
    for (range, begin, end) in [
        ("bytes=0-", 0, last),
        ("bytes=100-", 100, last),
        ("bytes=100-199", 100, 199),
        ("bytes=-50", BYTES - 50, last),
        ("bytes=299999-", last, last),
        ("bytes=100-999999999", 100, last),
    ] {
        for condition in [None, Some(("If-Range", etag.as_str()))] {
            let headers: Vec<_> = condition.into_iter().chain([("Range", range)]).collect();
            let answer = get(&running, &target, &headers).await;
            assert_eq!(answer.status, 206, "{range}");
            assert_eq!(answer.body, &whole[begin..=end], "{range}");
            let content_range = format!("bytes {begin}-{end}/{BYTES}");
            assert_eq!(answer.headers["content-range"], content_range);
            assert_eq!(answer.headers["etag"], etag);
        }
    }
    for stale in [
        "\"another\"",
        &format!("W/{etag}"),
        "Sun, 22 Nov 2026 17:00:00 GMT",
    ] {
        let headers = [("If-Range", stale), ("Range", "bytes=100-")];
        let answer = get(&running, &target, &headers).await;
        assert_eq!((answer.status, answer.body.len()), (200, BYTES), "{stale}");
        assert!(answer.headers.contains_key("skyline-manifest"));
    }
    let beyond = get(&running, &target, &[("Range", "bytes=300000-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.headers["content-range"], format!("bytes */{BYTES}"));
    let same = get(&running, &target, &[("If-None-Match", &etag)]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
}

#[tokio::test]
async fn a_release_is_published_listed_and_withdrawn() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let published = publish(folder, "7.1", PLATFORM).await;
    assert_eq!(published["version"], "7.1.0");
    // The same file once more, of another platform: it is kept once.
    let arguments = [
        "release",
        "publish",
        "Телепауэр 7.1.bin",
        "--product",
        "telepower",
        "--version",
        "7.1.0",
        "--platform",
        "macos-aarch64",
        "--file-name",
        "Telepower.dmg",
    ];
    let told = succeed(folder, &arguments).await;
    assert!(
        told.starts_with("published: telepower 7.1.0 for macos-aarch64\n"),
        "{told}"
    );
    let kept = || {
        std::fs::read_dir(folder.join("skyline.db.releases"))
            .unwrap()
            .count()
    };
    assert_eq!(kept(), 1);
    let listed = succeed(folder, &["release", "list", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0], published);
    assert_eq!(listed[1]["fileName"], "Telepower.dmg");
    assert_eq!(
        succeed(folder, &["release", "list"]).await.lines().count(),
        3
    );
    let again = fail(folder, 1, &arguments).await;
    assert!(again.contains("published already"), "{again}");

    let running = installation.serve(&[]).await;
    let target = target("telepower", "7.0.3", PLATFORM);
    assert_eq!(get(&running, &target, &[]).await.status, 200);
    let name = ["--product", "telepower", "--version", "7.1", "--platform"];
    let withdraw = [&["release", "withdraw"], &name[..], &[PLATFORM]].concat();
    succeed(folder, &withdraw).await;
    assert_eq!(kept(), 1, "the other release has it still");
    assert_eq!(get(&running, &target, &[]).await.status, 404);
    let withdraw = [&["release", "withdraw"], &name[..], &["macos-aarch64"]].concat();
    succeed(folder, &withdraw).await;
    assert_eq!(kept(), 0);
    let gone = fail(folder, 1, &withdraw).await;
    assert!(gone.contains("no such release"), "{gone}");
}

#[tokio::test]
async fn what_cannot_be_published_is_told_before_anything_is_kept() {
    let installation = Installation::new().await;
    let folder = installation.path();
    std::fs::write(folder.join("app.bin"), "a file").unwrap();
    std::fs::write(folder.join("empty.bin"), "").unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["missing.bin"], 1, "missing.bin"),
        (&["empty.bin"], 1, "`size`"),
        (
            &["app.bin", "--product", "another"],
            1,
            "no product `another`",
        ),
        (&["app.bin", "--version", "first"], 2, "a version such as"),
        (&["app.bin", "--platform", "Linux 64"], 2, "linux-x86_64"),
        (&["app.bin", "--file-name", "../app.bin"], 1, "is a path"),
        (
            &["app.bin", "--file-name", "nul.txt"],
            1,
            "a device on Windows",
        ),
        (
            &["app.bin", "--file-name", "a\u{202e}b"],
            1,
            "direction-changing",
        ),
        (
            &["app.bin", "--release-key", "no.key"],
            1,
            "no identity key at no.key",
        ),
    ];
    for (arguments, code, told) in cases {
        let mut all = vec!["release", "publish"];
        for (option, value) in [("--product", "telepower"), ("--version", "7.1.0")] {
            if !arguments.contains(&option) {
                all.extend([option, value]);
            }
        }
        all.extend_from_slice(arguments);
        let errors = fail(folder, *code, &all).await;
        assert!(errors.contains(told), "{arguments:?}: {errors}");
    }
    assert_eq!(
        succeed(folder, &["release", "list"]).await.lines().count(),
        1
    );
}

#[tokio::test]
async fn a_release_key_signs_instead_of_the_identity_key() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let key = succeed(folder, &["keygen", "release.key"]).await;
    let key: IdentityPublicKey = key.trim_end().parse().unwrap();
    std::fs::write(folder.join("app.bin"), "a file").unwrap();
    let arguments = [
        "release",
        "publish",
        "app.bin",
        "--product",
        "telepower",
        "--version",
        "7.1.0",
        "--platform",
        PLATFORM,
        "--release-key",
        "release.key",
    ];
    succeed(folder, &arguments).await;
    let running = installation.serve(&[]).await;
    let answer = get(&running, &target("telepower", "7.0.3", PLATFORM), &[]).await;
    assert_eq!(answer.manifest(&key).version, "7.1.0");
}

#[tokio::test]
async fn an_update_address_elsewhere_is_redirected_to() {
    let installation = Installation::new().await;
    let set = [
        "product",
        "set",
        "telepower",
        "--update-url",
        "https://cdn.example/telepower",
    ];
    succeed(installation.path(), &set).await;
    let running = installation.serve(&[]).await;
    let answer = get(&running, &target("telepower", "7.0.3", PLATFORM), &[]).await;
    assert_eq!(answer.status, 307);
    let location = format!("https://cdn.example/telepower?version=7.0.3&platform={PLATFORM}");
    assert_eq!(answer.headers["location"], location);
}

/// Publishes a release of more bytes than the buffers of both ends hold; gives them.
async fn publish_large(folder: &Path) -> Vec<u8> {
    let large = vec![7; 64 << 20];
    std::fs::write(folder.join("app.bin"), &large).unwrap();
    let arguments = [
        "release",
        "publish",
        "app.bin",
        "--product",
        "telepower",
        "--version",
        "7.1.0",
        "--platform",
        PLATFORM,
    ];
    succeed(folder, &arguments).await;
    large
}

#[tokio::test]
async fn a_download_counts_against_the_address_behind_the_proxy_to_its_end() {
    let installation = Installation::new().await;
    publish_large(installation.path()).await;
    let arguments = [
        "--trusted-proxy",
        "127.0.0.1",
        "--max-connections-per-address",
        "1",
    ];
    let running = installation.serve(&arguments).await;
    let target = target("telepower", "7.0.3", PLATFORM);
    let mut lazy = within(TcpStream::connect(running.address)).await.unwrap();
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    lazy.write_all(request.as_bytes()).await.unwrap();
    within(lazy.readable()).await.unwrap();
    let some = ("Range", "bytes=0-9");
    let same = ("X-Forwarded-For", "192.0.2.1");
    assert_eq!(get(&running, &target, &[some, same]).await.status, 429);
    let other = ("X-Forwarded-For", "192.0.2.2");
    assert_eq!(get(&running, &target, &[some, other]).await.status, 206);
    drop(lazy);
    let served = async {
        while get(&running, &target, &[some, same]).await.status != 206 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within(served).await;
}

#[tokio::test]
async fn downloads_leave_room_for_sessions_and_end_when_nobody_takes_them() {
    let installation = Installation::new().await;
    let folder = installation.path();
    let large = publish_large(folder).await;
    let running = installation
        .serve(&["--max-connections", "2", "--download-stall", "1s"])
        .await;
    let target = target("telepower", "7.0.3", PLATFORM);
    let mut lazy = within(TcpStream::connect(running.address)).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    lazy.write_all(request.as_bytes()).await.unwrap();
    lazy.readable().await.unwrap();
    let refused = get(&running, &target, &[]).await;
    assert_eq!(refused.status, 503);
    assert!(refused.headers["retry-after"].parse::<u32>().unwrap() > 0);
    // The lazy one reads nothing: it is cut off, and another is served.
    let served = async {
        loop {
            let answer = get(&running, &target, &[("Range", "bytes=0-9")]).await;
            if answer.status == 206 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within(served).await;
    let mut got = Vec::new();
    let ended = within(lazy.read_to_end(&mut got)).await;
    assert!(ended.is_err() || got.len() < large.len());
}
