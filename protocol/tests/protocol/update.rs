//! Manifests of updates, their signatures, and the names of files.

use proptest::prelude::*;
use skyline_protocol::IdentityKeyPair;
use skyline_protocol::limits::{
    MAX_DISPOSITION_BYTES, MAX_FILE_NAME_BYTES, MAX_MANIFEST_BYTES, MAX_MANIFEST_TEXT_BYTES,
};
use skyline_protocol::packet::PacketError;
use skyline_protocol::update::{
    Disposition, DispositionError, FileNameError, Manifest, ManifestError, SignedManifest,
    ascii_fallback, check_file_name, check_platform, this_platform,
};
use skyline_protocol::version::{self, Version};

fn manifest() -> Manifest {
    Manifest {
        product: "telepower".to_owned(),
        version: "7.1.0".to_owned(),
        platform: "linux-x86_64".to_owned(),
        file_name: "Телепауэр 7.1.0.AppImage".to_owned(),
        size: 5_000_000_000,
        sha256: [7; 32],
    }
}

#[test]
fn a_manifest_is_written_as_the_document_says() {
    let value = rmpv::decode::read_value(&mut manifest().encode().unwrap().as_slice()).unwrap();
    let expected = rmpv::Value::Map(vec![
        ("product".into(), "telepower".into()),
        ("version".into(), "7.1.0".into()),
        ("platform".into(), "linux-x86_64".into()),
        ("filename".into(), "Телепауэр 7.1.0.AppImage".into()),
        ("size".into(), 5_000_000_000_u64.into()),
        ("sha256".into(), rmpv::Value::Binary(vec![7; 32])),
    ]);
    assert_eq!(value, expected);
}

#[test]
fn a_signed_manifest_survives_its_headers() {
    let key = IdentityKeyPair::generate();
    let signed = SignedManifest::sign(&manifest(), &key).unwrap();
    let received =
        SignedManifest::from_headers(&signed.manifest_header(), &signed.signature_header());
    assert_eq!(received, Ok(signed.clone()));
    let other = IdentityKeyPair::generate().public();
    assert_eq!(signed.open(&[other, key.public()]), Ok(manifest()));
}

#[test]
fn each_bit_of_manifest_and_signature_is_signed() {
    let key = IdentityKeyPair::generate();
    let signed = SignedManifest::sign(&manifest(), &key).unwrap();
    let (bytes, signature) = (signed.manifest().to_vec(), signed.signature().to_vec());
    let opened = |bytes: &[u8], signature: &[u8]| {
        SignedManifest::from_bytes(bytes.to_vec(), signature.to_vec()).open(&[key.public()])
    };
    assert_eq!(opened(&bytes, &signature), Ok(manifest()));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(opened(&changed, &signature), Err(ManifestError::Signature));
    }
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        assert_eq!(opened(&bytes, &changed), Err(ManifestError::Signature));
    }
    for signature in [
        &signature[..63],
        &[],
        &[signature.as_slice(), &[0]].concat(),
    ] {
        assert_eq!(opened(&bytes, signature), Err(ManifestError::Signature));
    }
    assert_eq!(signed.open(&[]), Err(ManifestError::Signature));
}

#[test]
fn what_a_manifest_must_not_say_is_refused_by_both_ends() {
    let long = "x".repeat(MAX_MANIFEST_TEXT_BYTES + 1);
    type Change = Box<dyn Fn(&mut Manifest)>;
    let wrong: [(&str, Change); 9] = [
        ("product", Box::new(|m| m.product.clear())),
        ("product", Box::new(|m| m.product = "a\nb".to_owned())),
        (
            "product",
            Box::new({
                let long = long.clone();
                move |m| m.product = long.clone()
            }),
        ),
        ("version", Box::new(|m| m.version = "seven".to_owned())),
        ("version", Box::new(|m| m.version.clear())),
        ("platform", Box::new(|m| m.platform = "Linux".to_owned())),
        ("platform", Box::new(|m| m.platform.clear())),
        ("platform", Box::new(move |m| m.platform = long.clone())),
        ("size", Box::new(|m| m.size = 0)),
    ];
    for (field, change) in wrong {
        let mut manifest = manifest();
        change(&mut manifest);
        match manifest.encode() {
            Err(ManifestError::Value(named, _)) => assert_eq!(named, field),
            other => panic!("{other:?}"),
        }
    }
    let mut named = manifest();
    named.file_name = "../evil".to_owned();
    assert_eq!(
        named.encode(),
        Err(ManifestError::FileName(FileNameError::Path))
    );
}

/// The entries of a good manifest, to be spoilt.
fn entries() -> Vec<(rmpv::Value, rmpv::Value)> {
    let bytes = manifest().encode().unwrap();
    match rmpv::decode::read_value(&mut bytes.as_slice()) {
        Ok(rmpv::Value::Map(entries)) => entries,
        other => panic!("{other:?}"),
    }
}

fn decode(entries: Vec<(rmpv::Value, rmpv::Value)>) -> Result<Manifest, ManifestError> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &rmpv::Value::Map(entries)).unwrap();
    Manifest::decode(&bytes)
}

#[test]
fn a_manifest_with_a_missing_doubled_or_mistyped_value_is_refused() {
    for at in 0..6 {
        let mut fewer = entries();
        let (key, _) = fewer.remove(at);
        let missing = decode(fewer);
        assert!(
            matches!(missing, Err(ManifestError::Packet(PacketError::Missing(name))) if Some(name) == key.as_str()),
            "{missing:?}"
        );
        let mut doubled = entries();
        doubled.push(doubled[at].clone());
        let refused = decode(doubled);
        assert!(
            matches!(
                refused,
                Err(ManifestError::Packet(PacketError::Duplicate(_)))
            ),
            "{refused:?}"
        );
        let mut mistyped = entries();
        mistyped[at].1 = rmpv::Value::Nil;
        let refused = decode(mistyped);
        assert!(
            matches!(
                refused,
                Err(ManifestError::Packet(PacketError::WrongType(_)))
            ),
            "{refused:?}"
        );
    }
    let mut short = entries();
    short[5].1 = rmpv::Value::Binary(vec![7; 31]);
    assert!(matches!(
        decode(short),
        Err(ManifestError::Value("sha256", _))
    ));
    let mut more = entries();
    more.push(("notes".into(), "of a later version".into()));
    assert_eq!(decode(more), Ok(manifest()));
    let mut trailing = manifest().encode().unwrap();
    trailing.push(0);
    assert_eq!(
        Manifest::decode(&trailing),
        Err(ManifestError::Packet(PacketError::TrailingBytes))
    );
    assert_eq!(
        Manifest::decode(&vec![0x81; MAX_MANIFEST_BYTES + 1]),
        Err(ManifestError::TooLong)
    );
}

#[test]
fn headers_that_are_no_base64_are_refused() {
    let signed = SignedManifest::sign(&manifest(), &IdentityKeyPair::generate()).unwrap();
    let (manifest, signature) = (signed.manifest_header(), signed.signature_header());
    assert_eq!(
        SignedManifest::from_headers("no base64!", &signature),
        Err(ManifestError::NotBase64)
    );
    assert_eq!(
        SignedManifest::from_headers(&manifest, "no base64!"),
        Err(ManifestError::Signature)
    );
    let endless = "A".repeat(2 * MAX_MANIFEST_BYTES);
    assert_eq!(
        SignedManifest::from_headers(&endless, &signature),
        Err(ManifestError::TooLong)
    );
}

#[test]
fn only_plain_file_names_are_taken() {
    let longest = "x".repeat(MAX_FILE_NAME_BYTES);
    for name in [
        "telepower-7.1.0.AppImage",
        "Телепауэр 7.1.0.exe",
        "設定.dmg",
        "common.txt",
        "com.txt",
        "com10",
        "lpt.bin",
        "console",
        "a-b_c (1) [x64]+~.tar.gz",
        "50%.bin",
        "🚀.bin",
        longest.as_str(),
    ] {
        assert_eq!(check_file_name(name), Ok(()), "{name}");
    }
    let too_long = "x".repeat(MAX_FILE_NAME_BYTES + 1);
    let cases: [(&str, FileNameError); 50] = [
        ("", FileNameError::Length),
        (too_long.as_str(), FileNameError::Length),
        ("..", FileNameError::Path),
        ("../evil", FileNameError::Path),
        ("a/../b", FileNameError::Path),
        ("a..b", FileNameError::Path),
        ("/etc/passwd", FileNameError::Path),
        ("folder/file", FileNameError::Path),
        ("folder\\file", FileNameError::Path),
        ("\\\\host\\share", FileNameError::Path),
        ("C:", FileNameError::Path),
        ("file:stream", FileNameError::Path),
        ("a\0b", FileNameError::Invisible),
        ("a\nb", FileNameError::Invisible),
        ("a\rb", FileNameError::Invisible),
        ("a\u{1b}[31m", FileNameError::Invisible),
        ("a\u{7f}b", FileNameError::Invisible),
        ("a\u{85}b", FileNameError::Invisible),
        ("gpj.\u{202e}exe", FileNameError::Invisible),
        ("a\u{202a}b", FileNameError::Invisible),
        ("a\u{200e}b", FileNameError::Invisible),
        ("a\u{200f}b", FileNameError::Invisible),
        ("a\u{2066}b", FileNameError::Invisible),
        ("a\u{2069}b", FileNameError::Invisible),
        ("a\u{61c}b", FileNameError::Invisible),
        ("a\u{200b}b", FileNameError::Invisible),
        ("a\u{2028}b", FileNameError::Invisible),
        ("\u{feff}a", FileNameError::Invisible),
        ("a\u{ad}b", FileNameError::Invisible),
        ("a\u{e0041}b", FileNameError::Invisible),
        ("a<b", FileNameError::Forbidden),
        ("a>b", FileNameError::Forbidden),
        ("a\"b", FileNameError::Forbidden),
        ("a|b", FileNameError::Forbidden),
        ("a?b", FileNameError::Forbidden),
        ("a*b", FileNameError::Forbidden),
        (".", FileNameError::Edge),
        (".hidden", FileNameError::Edge),
        ("trailing.", FileNameError::Edge),
        ("trailing ", FileNameError::Edge),
        (" leading", FileNameError::Edge),
        ("trailing\u{a0}", FileNameError::Edge),
        ("CON", FileNameError::Device),
        ("nul.txt", FileNameError::Device),
        ("Aux.tar.gz", FileNameError::Device),
        ("prn .txt", FileNameError::Device),
        ("COM1", FileNameError::Device),
        ("lpt9.bin", FileNameError::Device),
        ("com².txt", FileNameError::Device),
        ("CONIN$", FileNameError::Device),
    ];
    println!("{} names are refused", cases.len());
    for (name, error) in cases {
        assert_eq!(check_file_name(name), Err(error), "{name:?}");
    }
}

#[test]
fn platforms_are_named_in_lower_case() {
    assert_eq!(check_platform(&this_platform()), Ok(()));
    for name in [
        "linux-x86_64",
        "windows-aarch64",
        "macos-aarch64",
        "freebsd-13.2",
    ] {
        assert_eq!(check_platform(name), Ok(()), "{name}");
    }
    for name in ["", "Linux", "linux x86", "linux/x86", "линукс", "a?b"] {
        assert!(check_platform(name).is_err(), "{name}");
    }
}

#[test]
fn content_disposition_is_read_in_both_forms() {
    let both = |old: Option<&str>, extended: Option<&str>| {
        Ok(Disposition {
            file_name: old.map(str::to_owned),
            extended: extended.map(str::to_owned),
        })
    };
    let cases = [
        ("attachment; filename=a.bin", both(Some("a.bin"), None)),
        (
            "ATTACHMENT;FileName=\"a b.bin\"",
            both(Some("a b.bin"), None),
        ),
        (
            r#"attachment; filename="a\"\\b""#,
            both(Some(r#"a"\b"#), None),
        ),
        ("inline; x=1 ; filename = a ", both(Some("a"), None)),
        (
            "attachment; filename=\"_.exe\"; filename*=UTF-8''%D0%B6.exe",
            both(Some("_.exe"), Some("ж.exe")),
        ),
        (
            "attachment; filename*=utf-8'ru'%d0%b6%20a",
            both(None, Some("ж a")),
        ),
        (
            "attachment; filename*=UTF-8''%2e%2e%2Fevil",
            both(None, Some("../evil")),
        ),
        ("attachment; filename=\"ж\"", both(Some("ж"), None)),
        ("attachment", Err(DispositionError::NoName)),
        ("attachment;", Err(DispositionError::Malformed)),
        ("", Err(DispositionError::Malformed)),
        ("attachment; filename", Err(DispositionError::Malformed)),
        ("attachment; filename=", Err(DispositionError::Malformed)),
        ("attachment; filename=\"a", Err(DispositionError::Malformed)),
        (
            "attachment; filename=\"a\\",
            Err(DispositionError::Malformed),
        ),
        ("attachment; filename=a b", Err(DispositionError::Malformed)),
        ("attachment, filename=a", Err(DispositionError::Malformed)),
        ("attachment; filename=a/b", Err(DispositionError::Malformed)),
        (
            "attachment; filename*=a.bin",
            Err(DispositionError::Malformed),
        ),
        (
            "attachment; filename*=UTF-8''%zz",
            Err(DispositionError::Malformed),
        ),
        (
            "attachment; filename*=UTF-8''%d0",
            Err(DispositionError::Malformed),
        ),
        (
            "attachment; filename*=UTF-8''a%",
            Err(DispositionError::Malformed),
        ),
        (
            "attachment; filename*=UTF-8''a b",
            Err(DispositionError::Malformed),
        ),
        (
            "attachment; filename*=iso-8859-1''%e4",
            Err(DispositionError::Malformed),
        ),
        (
            "attachment; filename=a; filename=b",
            Err(DispositionError::Duplicate),
        ),
        (
            "attachment; filename*=UTF-8''a; filename*=UTF-8''b",
            Err(DispositionError::Duplicate),
        ),
    ];
    for (header, expected) in cases {
        assert_eq!(Disposition::parse(header), expected, "{header}");
    }
    let endless = format!("attachment; filename={}", "a".repeat(MAX_DISPOSITION_BYTES));
    assert_eq!(Disposition::parse(&endless), Err(DispositionError::TooLong));
}

#[test]
fn names_agree_only_when_every_form_does() {
    let name = "ж 50%.exe";
    for header in [
        Disposition::attachment(name),
        "attachment; filename=\"_ 50_.exe\"".to_owned(),
        format!("attachment; filename=\"{name}\""),
        "attachment; filename*=UTF-8''%D0%B6%2050%25.exe".to_owned(),
    ] {
        assert!(
            Disposition::parse(&header).unwrap().agrees_with(name),
            "{header}"
        );
    }
    for header in [
        "attachment; filename=\"other.exe\"",
        "attachment; filename=\"/tmp/_ 50_.exe\"",
        "attachment; filename=\"_ 50_.exe\"; filename*=UTF-8''other.exe",
        "attachment; filename=\"other.exe\"; filename*=UTF-8''%D0%B6%2050%25.exe",
        // Decoded once, never twice.
        "attachment; filename*=UTF-8''%25D0%25B6%252050%2525.exe",
        "attachment; filename*=UTF-8''%D0%96%2050%25.exe",
    ] {
        assert!(
            !Disposition::parse(header).unwrap().agrees_with(name),
            "{header}"
        );
    }
}

#[test]
fn versions_may_be_short_and_are_compared_by_their_meaning() {
    for (text, expected) in [
        ("7", "7.0.0"),
        ("7.0", "7.0.0"),
        (" 7.0.3 ", "7.0.3"),
        ("7.0-beta.1", "7.0.0-beta.1"),
        ("7.1.0+build.5", "7.1.0+build.5"),
    ] {
        assert_eq!(
            version::parse(text),
            Some(Version::parse(expected).unwrap())
        );
    }
    for text in [
        "",
        "x",
        "7.x",
        "7.0.3.1",
        "07.0.0",
        "-1",
        "7..1",
        "7.0.3 beta",
    ] {
        assert_eq!(version::parse(text), None, "{text}");
    }
    assert!(version::parse("7.10") > version::parse("7.9.9"));
    assert!(version::parse("7.0.0-beta") < version::parse("7"));
    let newer = |one: &str, other: &str| {
        version::is_newer(
            &version::parse(one).unwrap(),
            &version::parse(other).unwrap(),
        )
    };
    assert!(newer("7.1", "7.0.3"));
    assert!(newer("7.0.3", "7.0.3-rc.1"));
    assert!(!newer("7.0.3", "7.0.3"));
    assert!(!newer("7.0.3+2", "7.0.3+1"));
}

proptest! {
    // A failure prints the input that shrinking found; nothing is written beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_bytes_make_a_manifest_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Manifest::decode(&bytes);
        let _ = SignedManifest::from_bytes(bytes.clone(), bytes).open(&[]);
    }

    #[test]
    fn no_text_makes_a_header_panic(text in ".{0,300}") {
        let _ = Disposition::parse(&text);
        let _ = SignedManifest::from_headers(&text, &text);
        let _ = version::parse(&text);
    }

    #[test]
    fn every_plain_name_survives_its_header(name in "[\\p{L}\\p{N}][\\p{L}\\p{N} %'()_+;,=~.-]{0,40}") {
        prop_assume!(check_file_name(&name).is_ok());
        let header = Disposition::attachment(&name);
        let read = Disposition::parse(&header).unwrap();
        prop_assert_eq!(read.extended.as_deref(), Some(name.as_str()));
        prop_assert_eq!(read.file_name, Some(ascii_fallback(&name)));
    }
}
