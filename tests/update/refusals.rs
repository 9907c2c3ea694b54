//! What a client does not believe, each with its own code, and no file after it.

use skyline::IdentityPublicKey;
use skyline_protocol::identity::IdentityKeyPair;
use skyline_protocol::update::{Manifest, SignedManifest};

use crate::site::{Answer, Release, Site, Then, file, manifest_of};

const BYTES: usize = 1000;

/// The code with which an answer that was changed is refused.
async fn refused(change: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> &'static str {
    let site = Site::serving(file(BYTES), move |_, release| change(release.whole())).await;
    site.refusal().await
}

/// The code with which a rightly signed manifest is refused.
async fn refused_manifest(change: impl FnOnce(&mut Manifest)) -> &'static str {
    let key = IdentityKeyPair::generate();
    let mut manifest = manifest_of(&file(BYTES));
    change(&mut manifest);
    let release = Release::of(&key, manifest, file(BYTES));
    let site = Site::start(key, move |_| release.whole()).await;
    site.refusal().await
}

/// The code with which a manifest is refused that no honest publisher would sign.
async fn refused_raw(entries: &[(&str, rmpv::Value)]) -> &'static str {
    let key = IdentityKeyPair::generate();
    let manifest = manifest_of(&file(BYTES));
    let bytes = manifest.encode().unwrap();
    let Ok(rmpv::Value::Map(mut map)) = rmpv::decode::read_value(&mut bytes.as_slice()) else {
        panic!("the manifest is a map");
    };
    for (key, value) in entries {
        map.retain(|(name, _)| name.as_str() != Some(key));
        map.push(((*key).into(), value.clone()));
    }
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &rmpv::Value::Map(map)).unwrap();
    let signed = sign_anything(&key, bytes);
    let release = Release::signed(manifest, signed, file(BYTES));
    let site = Site::start(key, move |_| release.whole()).await;
    site.refusal().await
}

/// Signs bytes that the library would not: with Ed25519 itself.
fn sign_anything(key: &IdentityKeyPair, manifest: Vec<u8>) -> SignedManifest {
    use ed25519_dalek::{Signer, SigningKey};
    let message = [b"skyline-update-v1\0".as_slice(), &manifest].concat();
    let signature = SigningKey::from_bytes(&key.seed()).sign(&message);
    SignedManifest::from_bytes(manifest, signature.to_bytes().to_vec())
}

#[tokio::test]
async fn an_update_without_a_signature_is_refused() {
    for missing in ["Skyline-Signature", "Skyline-Manifest"] {
        let code = refused(move |answer| answer.without(missing)).await;
        assert_eq!(code, "UPDATE_SIGNATURE_MISSING", "{missing}");
    }
}

#[tokio::test]
async fn an_update_with_a_signature_of_nobody_is_refused() {
    let flipped = |header: &str| {
        let replacement = if header.starts_with('A') { "B" } else { "A" };
        format!("{replacement}{}", &header[1..])
    };
    let wrong: [fn(&Release) -> String; 4] = [
        |release| {
            let stranger = IdentityKeyPair::generate();
            SignedManifest::sign(&release.manifest, &stranger)
                .unwrap()
                .signature_header()
        },
        |_| "AAAA".to_owned(),
        |_| "not base64!".to_owned(),
        |release| {
            // The signature of the bare manifest, without what stands before it.
            let bare = IdentityKeyPair::generate();
            sign_anything(&bare, release.signed.manifest()[1..].to_vec()).signature_header()
        },
    ];
    for make in wrong {
        let site = Site::serving(file(BYTES), move |_, release| {
            release.whole().with("Skyline-Signature", &make(release))
        });
        assert_eq!(site.await.refusal().await, "UPDATE_SIGNATURE_WRONG");
    }
    let site = Site::serving(file(BYTES), move |_, release| {
        let signature = flipped(&release.signed.signature_header());
        release.whole().with("Skyline-Signature", &signature)
    });
    assert_eq!(site.await.refusal().await, "UPDATE_SIGNATURE_WRONG");
    let site = Site::serving(file(BYTES), move |_, release| {
        let manifest = flipped(&release.signed.manifest_header());
        release.whole().with("Skyline-Manifest", &manifest)
    });
    assert_eq!(site.await.refusal().await, "UPDATE_SIGNATURE_WRONG");
}

#[tokio::test]
async fn with_a_release_key_the_identity_key_signs_no_update() {
    let site = Site::serving(file(BYTES), |_, release| release.whole()).await;
    let mut config = site.config();
    let release_key: IdentityPublicKey = IdentityKeyPair::generate().public();
    config.update.release_keys = vec![release_key];
    assert_eq!(site.refusal_as(config).await, "UPDATE_SIGNATURE_WRONG");
    let mut config = site.config();
    config.update.release_keys = std::mem::replace(
        &mut config.identity_keys,
        vec![IdentityKeyPair::generate().public()],
    );
    site.download_as(config).await.unwrap();
}

#[tokio::test]
async fn an_update_of_something_else_is_refused() {
    type Change = fn(&mut Manifest);
    let cases: [(Change, &str); 8] = [
        (|m| m.product = "another".into(), "UPDATE_WRONG_PRODUCT"),
        (|m| m.product = "Telepower".into(), "UPDATE_WRONG_PRODUCT"),
        (
            |m| m.platform = "amiga-m68k".into(),
            "UPDATE_WRONG_PLATFORM",
        ),
        (|m| m.version = "7.0.3".into(), "UPDATE_NOT_NEWER"),
        (|m| m.version = "7.0.2".into(), "UPDATE_NOT_NEWER"),
        (|m| m.version = "7.0.3-rc.1".into(), "UPDATE_NOT_NEWER"),
        (|m| m.version = "7.0.3+later".into(), "UPDATE_NOT_NEWER"),
        (|m| m.version = "6.9.9".into(), "UPDATE_NOT_NEWER"),
    ];
    for (number, (change, code)) in cases.into_iter().enumerate() {
        assert_eq!(refused_manifest(change).await, code, "case {number}");
    }
}

#[tokio::test]
async fn a_signed_manifest_that_is_malformed_is_refused() {
    use rmpv::Value;
    let cases = [
        ("product", Value::Nil),
        ("product", "".into()),
        ("version", "newest".into()),
        ("platform", Value::from(7)),
        ("size", Value::from(-1)),
        ("size", Value::from(0)),
        ("size", "1000".into()),
        ("sha256", Value::Binary(vec![0; 31])),
        ("sha256", "00".repeat(32).into()),
    ];
    for (key, value) in cases {
        let code = refused_raw(&[(key, value.clone())]).await;
        assert_eq!(code, "UPDATE_MANIFEST_MALFORMED", "{key} {value}");
    }
    let key = IdentityKeyPair::generate();
    let signed = sign_anything(&key, b"no MessagePack at all".to_vec());
    let release = Release::signed(manifest_of(&file(BYTES)), signed, file(BYTES));
    let site = Site::start(key, move |_| release.whole()).await;
    assert_eq!(site.refusal().await, "UPDATE_MANIFEST_MALFORMED");
    for manifest in ["no base64!", &"A".repeat(20_000)] {
        let manifest = manifest.to_owned();
        let code = refused(move |answer| answer.with("Skyline-Manifest", &manifest)).await;
        assert_eq!(code, "UPDATE_MANIFEST_MALFORMED");
    }
    let twice = refused(|mut answer| {
        answer.head += "Skyline-Signature: AAAA\r\n";
        answer
    });
    assert_eq!(twice.await, "UPDATE_MANIFEST_MALFORMED");
}

#[tokio::test]
async fn a_signed_name_that_is_dangerous_is_refused() {
    let names = [
        "",
        "..",
        "../evil.bin",
        "a/../../b",
        "/etc/passwd",
        "folder/file",
        "folder\\file",
        "C:evil.exe",
        "\\\\host\\share",
        "a\0b",
        "a\nb",
        "a\u{7f}b",
        "gpj.\u{202e}exe",
        "a\u{2066}b\u{2069}",
        "a\u{200f}b",
        "a\u{200b}b",
        "CON",
        "nul.txt",
        "Com1.bin",
        "lpt9",
        "aux .txt",
        "name.",
        "name ",
        ".hidden",
        "a?b",
        "a|b",
    ];
    println!("{} names", names.len());
    for name in names {
        let code = refused_raw(&[("filename", name.into())]).await;
        assert_eq!(code, "UPDATE_FILE_NAME", "{name:?}");
    }
    let long = "x".repeat(201);
    assert_eq!(
        refused_raw(&[("filename", long.into())]).await,
        "UPDATE_FILE_NAME"
    );
}

#[tokio::test]
async fn a_file_that_the_manifest_does_not_describe_is_refused() {
    let changed = |at: usize| {
        move |mut answer: Answer| {
            answer.body[at] ^= 1;
            answer
        }
    };
    for at in [0, BYTES / 2, BYTES - 1] {
        assert_eq!(refused(changed(at)).await, "UPDATE_HASH", "byte {at}");
    }
    assert_eq!(refused_manifest(|m| m.sha256[31] ^= 1).await, "UPDATE_HASH");
    for size in [1, BYTES as u64 - 1, BYTES as u64 + 1, 1 << 30] {
        let code = refused_manifest(move |m| m.size = size).await;
        assert_eq!(code, "UPDATE_SIZE", "size {size}");
    }
}

#[tokio::test]
async fn a_body_of_another_length_is_refused() {
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let chunked = move |body: Vec<u8>, end: &'static [u8]| {
        move |answer: Answer| {
            let mut answer = answer
                .without("Content-Length")
                .with("Transfer-Encoding", "chunked");
            answer.body = [chunk(&body), end.to_vec()].concat();
            answer
        }
    };
    let end = b"0\r\n\r\n";
    let longer = [file(BYTES), vec![0]].concat();
    assert_eq!(refused(chunked(longer, end)).await, "UPDATE_SIZE");
    assert_eq!(refused(chunked(file(BYTES - 1), end)).await, "UPDATE_SIZE");
    // Endless, with and without chunks.
    let endless = chunked(file(BYTES), b"");
    let code = refused(move |answer| {
        endless(answer).then(Then::Repeat(
            b"400\r\n"
                .iter()
                .copied()
                .chain([7; 1024])
                .chain(*b"\r\n")
                .collect(),
        ))
    });
    assert_eq!(code.await, "UPDATE_SIZE");
    let code = refused(|answer| {
        answer
            .without("Content-Length")
            .then(Then::Repeat(vec![7; 4096]))
    });
    assert_eq!(code.await, "UPDATE_SIZE");
    // Until the connection ends, which is too soon.
    let code = refused(|answer| answer.without("Content-Length").cut(BYTES - 1));
    assert_eq!(code.await, "UPDATE_SIZE");
    // The right lengths in these forms are taken.
    for change in [
        Box::new(chunked(file(BYTES), end)) as Box<dyn Fn(Answer) -> Answer + Send + Sync>,
        Box::new(|answer: Answer| answer.without("Content-Length")),
    ] {
        let site = Site::serving(file(BYTES), move |_, release| change(release.whole())).await;
        let update = site.download().await.unwrap();
        assert_eq!(std::fs::read(update.path).unwrap(), file(BYTES));
    }
}

#[tokio::test]
async fn more_than_the_cap_is_refused_before_it_comes() {
    let site = Site::serving(file(BYTES), |_, release| release.whole()).await;
    let mut config = site.config();
    config.update.max_bytes = BYTES as u64 - 1;
    assert_eq!(site.refusal_as(config).await, "UPDATE_TOO_LARGE");
    assert_eq!(crate::site::partial(site.folder.path()), None);
    let mut config = site.config();
    config.update.max_bytes = BYTES as u64;
    site.download_as(config).await.unwrap();
}

#[tokio::test]
async fn more_than_the_disk_holds_is_refused_before_it_comes() {
    let key = IdentityKeyPair::generate();
    let mut manifest = manifest_of(&file(BYTES));
    // An exabyte: no machine that runs these tests has as much.
    manifest.size = 1 << 60;
    let release = Release::of(&key, manifest, file(BYTES));
    let site = Site::start(key, move |_| release.whole().without("Content-Length")).await;
    let mut config = site.config();
    config.update.max_bytes = u64::MAX;
    assert_eq!(site.refusal_as(config).await, "UPDATE_NO_SPACE");
    assert_eq!(
        crate::site::partial(site.folder.path()).unwrap_or_default(),
        b""
    );
}
