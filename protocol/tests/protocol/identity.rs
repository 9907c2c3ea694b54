//! Which identity keys are taken and how they are written.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use skyline_protocol::{IdentityKeyError, IdentityKeyPair, IdentityPublicKey};

use crate::support::{array, bytes};

#[test]
fn a_key_is_read_from_hex_and_from_every_kind_of_base64() {
    // Both alphabets differ in the characters for 62 and 63: go on until they occur.
    let (key, standard) = (0..)
        .map(|_| IdentityKeyPair::generate().public())
        .map(|key| (key.clone(), STANDARD.encode(key.to_bytes())))
        .find(|(_, text)| text.contains('+') && text.contains('/'))
        .unwrap();
    let raw = key.to_bytes();
    let spellings = [
        key.to_string(),
        key.to_string().to_uppercase(),
        format!("  {key}\n"),
        standard,
        STANDARD_NO_PAD.encode(raw),
        URL_SAFE.encode(raw),
        URL_SAFE_NO_PAD.encode(raw),
    ];
    for text in spellings {
        assert_eq!(text.parse(), Ok(key.clone()), "{text}");
    }
    assert_eq!(IdentityPublicKey::from_bytes(&raw), Ok(key));
}

#[test]
fn text_that_is_no_key_is_refused() {
    let key = IdentityKeyPair::generate().public().to_string();
    for text in ["", "not a key!", &format!("{}g", &key[..63]), "ключ"] {
        assert!(text.parse::<IdentityPublicKey>().is_err(), "{text}");
    }
    let short = STANDARD.encode([7; 31]);
    assert_eq!(
        short.parse::<IdentityPublicKey>(),
        Err(IdentityKeyError::Length(31))
    );
}

#[test]
fn only_thirty_two_bytes_are_a_key() {
    let raw = IdentityKeyPair::generate().public().to_bytes();
    for length in [0, 31] {
        assert_eq!(
            IdentityPublicKey::from_bytes(&raw[..length]),
            Err(IdentityKeyError::Length(length))
        );
    }
    let long = [raw.as_slice(), &[0]].concat();
    assert_eq!(
        IdentityPublicKey::from_bytes(&long),
        Err(IdentityKeyError::Length(33))
    );
}

#[test]
fn keys_of_small_order_are_refused() {
    let small = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    for key in small {
        assert_eq!(
            IdentityPublicKey::from_bytes(&bytes(key)),
            Err(IdentityKeyError::SmallOrder),
            "{key}"
        );
    }
}

#[test]
fn non_canonical_keys_are_refused() {
    // y = p + k for every k that fits 255 bits: the same points as y = k, written otherwise.
    let p: [u8; 32] = array("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    let mut points = 0;
    for k in 0..=18 {
        for sign in [0x00, 0x80] {
            let mut key = p;
            key[0] += k;
            key[31] |= sign;
            points += usize::from(ed25519_dalek::VerifyingKey::from_bytes(&key).is_ok());
            assert_eq!(
                IdentityPublicKey::from_bytes(&key),
                Err(IdentityKeyError::NotAKey),
                "p + {k}"
            );
        }
    }
    assert!(
        points > 10,
        "decompression alone would take {points} of them"
    );
    // x = 0 with the sign bit set.
    for key in [
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        assert_eq!(
            IdentityPublicKey::from_bytes(&bytes(key)),
            Err(IdentityKeyError::NotAKey)
        );
    }
}

#[test]
fn bytes_that_are_no_point_are_refused() {
    let mut not_points = 0;
    for y in 2..20 {
        let mut key = [0; 32];
        key[0] = y;
        if let Err(error) = IdentityPublicKey::from_bytes(&key) {
            assert_eq!(error, IdentityKeyError::NotAKey);
            not_points += 1;
        }
    }
    assert!(not_points > 0);
}

#[test]
fn the_seed_makes_the_same_key_again_and_stays_out_of_debug() {
    let identity = IdentityKeyPair::generate();
    let again = IdentityKeyPair::from_seed(&identity.seed());
    assert_eq!(identity.public(), again.public());
    assert_ne!(identity.public(), IdentityKeyPair::generate().public());

    let debug = format!("{identity:?}");
    assert!(debug.contains(&identity.public().to_string()));
    assert!(!debug.contains(&hex::encode(*identity.seed())));
    assert!(!debug.contains(&format!("{:?}", *identity.seed())));
    let public = identity.public();
    assert_eq!(
        format!("{public:?}"),
        format!("IdentityPublicKey({public})")
    );
}
