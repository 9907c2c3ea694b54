//! The manifest of an update, as a server that may be anybody sends it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyline_fuzz::identity;
use skyline_protocol::update::{Manifest, SignedManifest, check_file_name};

fuzz_target!(|bytes: &[u8]| {
    // The bytes that were signed.
    if let Ok(manifest) = Manifest::decode(bytes) {
        check_file_name(&manifest.file_name).expect("a manifest names a plain file");
        let again = manifest.encode().expect("what was read can be written");
        assert_eq!(Manifest::decode(&again), Ok(manifest.clone()));
        let signed = SignedManifest::sign(&manifest, &identity()).expect("it can be written");
        let received =
            SignedManifest::from_headers(&signed.manifest_header(), &signed.signature_header());
        let opened = received
            .expect("our own headers")
            .open(&[identity().public()]);
        assert_eq!(opened, Ok(manifest));
    }
    // The headers that carry them, one a line.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (manifest, signature) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(received) = SignedManifest::from_headers(manifest, signature) {
        // Ed25519 signatures are the same each time, and nobody else can make one.
        if let Ok(manifest) = received.open(&[identity().public()]) {
            let signed = SignedManifest::sign(&manifest, &identity()).expect("it can be written");
            assert_eq!(received.manifest(), signed.manifest());
        }
    }
});
