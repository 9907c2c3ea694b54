//! The Wycheproof vectors, through the functions that packets and handshakes go through.
//!
//! Each test counts what it ran by outcome: a later version of the vectors that drops some, or adds
//! what is not looked at, fails here and is read by a person. The files themselves come with the
//! crate `wycheproof`, as Google and C2SP publish them.

use std::collections::BTreeMap;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use bytes::BytesMut;
use hkdf::Hkdf;
use sha2::Sha256;
use wycheproof::{TestResult, aead, eddsa, hkdf as hkdf_vectors, xdh};
use x25519_dalek::StaticSecret;

use crate::cipher::{OpenError, SessionKey};
use crate::handshake::{HandshakeError, KeyDerivation, agree};
use crate::identity::IdentityPublicKey;
use crate::limits::{PACKET_NONCE_BYTES, PACKET_TAG_BYTES, SESSION_KEY_BYTES, SIGNATURE_BYTES};

/// How many vectors had which outcome.
type Tally = BTreeMap<&'static str, usize>;

fn count(tally: &mut Tally, outcome: &'static str) {
    *tally.entry(outcome).or_default() += 1;
}

fn assert_tally(tally: &Tally, expected: &[(&'static str, usize)]) {
    assert_eq!(*tally, expected.iter().copied().collect::<Tally>());
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the vector has this length")
}

#[test]
fn packets_seal_and_open_as_the_aes_gcm_vectors_say() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let mut tally = Tally::new();
    for group in &set.test_groups {
        // Packets have no other key; the other sizes are of other ciphers.
        if group.key_size != 8 * SESSION_KEY_BYTES {
            continue;
        }
        assert_eq!(group.tag_size, 8 * PACKET_TAG_BYTES);
        for test in &group.tests {
            let Ok(nonce) = <[u8; PACKET_NONCE_BYTES]>::try_from(&test.nonce[..]) else {
                // A packet has twelve bytes there, whatever they are: no length to get wrong.
                count(&mut tally, "another nonce length");
                continue;
            };
            let sealed = [&test.nonce[..], &test.ct, &test.tag].concat();
            if !test.aad.is_empty() {
                // Packets carry no additional data. The cipher below them is called the same way.
                open_with_additional_data(test, nonce);
                count(&mut tally, "valid, additional data");
                continue;
            }
            let (mut sealer, mut opener) = SessionKey::from_bytes(array(&test.key)).cipher();
            let mut packet = BytesMut::from(&sealed[..]);
            let opened = opener.open(&mut packet);
            match test.result {
                TestResult::Valid => {
                    assert_eq!(opened.as_deref(), Ok(&test.pt[..]), "{}", test.tc_id);
                    let mut again = BytesMut::new();
                    sealer.seal_with_nonce(nonce, &test.pt, &mut again).unwrap();
                    assert_eq!(again, sealed, "{}", test.tc_id);
                    count(&mut tally, "valid");
                }
                TestResult::Invalid => {
                    assert_eq!(opened, Err(OpenError::Forged), "{}", test.tc_id);
                    count(&mut tally, "invalid");
                }
                TestResult::Acceptable => panic!("{} leaves it open", test.tc_id),
            }
        }
    }
    assert_tally(
        &tally,
        &[
            ("valid", 21),
            ("invalid", 27),
            ("valid, additional data", 18),
            ("another nonce length", 39),
        ],
    );
}

fn open_with_additional_data(test: &aead::Test, nonce: [u8; PACKET_NONCE_BYTES]) {
    assert_eq!(test.result, TestResult::Valid);
    let cipher = Aes256Gcm::new(&array::<SESSION_KEY_BYTES>(&test.key).into());
    let mut text = test.ct.to_vec();
    cipher
        .decrypt_inout_detached(
            &Nonce::from(nonce),
            &test.aad,
            text.as_mut_slice().into(),
            &Tag::from(array::<PACKET_TAG_BYTES>(&test.tag)),
        )
        .unwrap();
    assert_eq!(text, &test.pt[..], "{}", test.tc_id);
}

#[test]
fn identities_verify_what_the_ed25519_vectors_call_valid_and_nothing_else() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut tally = Tally::new();
    for group in &set.test_groups {
        let identity = IdentityPublicKey::from_bytes(&group.key.pk).unwrap();
        for test in &group.tests {
            // A hello with a signature of another length is malformed before anything is verified.
            let Ok(signature) = <[u8; SIGNATURE_BYTES]>::try_from(&test.sig[..]) else {
                assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
                count(&mut tally, "invalid by its length");
                continue;
            };
            let verified = identity.verifies(&test.msg, &signature);
            // No vector is left to our choice, so strictness costs no honest signature.
            assert_eq!(
                verified,
                test.result == TestResult::Valid,
                "{} {}",
                test.tc_id,
                test.comment
            );
            count(&mut tally, if verified { "valid" } else { "invalid" });
        }
    }
    assert_tally(
        &tally,
        &[
            ("valid", 88),
            ("invalid", 51),
            ("invalid by its length", 12),
        ],
    );
}

#[test]
fn keys_agree_as_the_x25519_vectors_say_and_an_all_zero_secret_is_refused() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let derivation = KeyDerivation::default();
    let mut tally = Tally::new();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let private = StaticSecret::from(array::<32>(&test.private_key));
        let agreed = agree(&private, &array(&test.public_key), &derivation);
        let agreed = agreed.map(|key| *key.as_bytes());
        // Both ends must refuse a secret that everybody knows (RFC 7748, section 6.1), though the
        // vectors call it acceptable: plain X25519 has no opinion on it.
        if test.shared_secret.iter().all(|byte| *byte == 0) {
            assert_eq!(test.result, TestResult::Acceptable, "{}", test.tc_id);
            assert!(test.flags.contains(&xdh::TestFlag::ZeroSharedSecret));
            assert_eq!(agreed, Err(HandshakeError::WeakKey), "{}", test.tc_id);
            count(&mut tally, "acceptable, refused: the secret is zero");
            continue;
        }
        // The other acceptable ones are public keys on the twist or not reduced modulo p. RFC 7748,
        // section 5, wants both taken, and neither gives a peer anything.
        let expected = derivation.derive(&array(&test.shared_secret));
        assert_eq!(agreed, Ok(*expected.as_bytes()), "{}", test.tc_id);
        count(
            &mut tally,
            match test.result {
                TestResult::Valid => "valid",
                TestResult::Acceptable => "acceptable, taken",
                TestResult::Invalid => panic!("{} must fail", test.tc_id),
            },
        );
    }
    assert_tally(
        &tally,
        &[
            ("valid", 264),
            ("acceptable, taken", 223),
            ("acceptable, refused: the secret is zero", 31),
        ],
    );
}

#[test]
fn session_keys_are_derived_as_the_hkdf_sha256_vectors_say() {
    let set = hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).unwrap();
    let mut tally = Tally::new();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut output = vec![0; test.size];
        let expanded = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm)
            .expand(&test.info, &mut output)
            .is_ok();
        match test.result {
            TestResult::Valid => assert!(expanded && output == test.okm[..], "{}", test.tc_id),
            // More than 255 blocks are asked for.
            TestResult::Invalid => {
                assert!(!expanded, "{}", test.tc_id);
                count(&mut tally, "invalid");
                continue;
            }
            TestResult::Acceptable => panic!("{} leaves it open", test.tc_id),
        }
        // A session key is the first 32 bytes of what a secret of 32 bytes gives, whatever length
        // is asked for (RFC 5869, section 2.3).
        let secret = <[u8; SESSION_KEY_BYTES]>::try_from(&test.ikm[..]);
        match (secret, test.okm.first_chunk::<SESSION_KEY_BYTES>()) {
            (Ok(secret), Some(expected)) => {
                let derivation = KeyDerivation {
                    salt: Some(test.salt.to_vec()),
                    info: test.info.to_vec(),
                };
                let key = derivation.derive(&secret);
                assert_eq!(key.as_bytes(), expected, "{}", test.tc_id);
                if test.salt.is_empty() {
                    let salt = None;
                    let key = KeyDerivation { salt, ..derivation }.derive(&secret);
                    assert_eq!(key.as_bytes(), expected, "{}: no salt", test.tc_id);
                }
                count(&mut tally, "valid, as a session key");
            }
            _ => count(&mut tally, "valid, of the function below alone"),
        }
    }
    assert_tally(
        &tally,
        &[
            ("valid, as a session key", 30),
            ("valid, of the function below alone", 53),
            ("invalid", 3),
        ],
    );
}
