//! Known answers of the RFCs, through the crates that the protocol is built on.

use ed25519_dalek::{Signature, Signer, SigningKey};
use hkdf::Hkdf;
use sha2::Sha256;
use skyline_protocol::{IdentityKeyPair, IdentityPublicKey};
use x25519_dalek::{PublicKey, StaticSecret, x25519};

use crate::support::{array, bytes};

#[test]
fn hkdf_sha256_gives_the_answers_of_rfc_5869_appendix_a() {
    let count = |range: std::ops::RangeInclusive<u8>| range.collect::<Vec<u8>>();
    let cases = [
        (
            vec![0x0b; 22],
            count(0x00..=0x0c),
            count(0xf0..=0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            count(0x00..=0x4f),
            count(0x60..=0xaf),
            count(0xb0..=0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            Vec::new(),
            Vec::new(),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (input, salt, info, extracted, expanded) in cases {
        let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(&salt), &input);
        assert_eq!(prk.to_vec(), bytes(extracted));
        let mut output = vec![0; expanded.len() / 2];
        hkdf.expand(&info, &mut output).unwrap();
        assert_eq!(output, bytes(expanded));
    }
}

#[test]
fn no_salt_is_the_same_as_a_salt_of_zeros() {
    let (without, _) = Hkdf::<Sha256>::extract(None, b"input");
    let (with, _) = Hkdf::<Sha256>::extract(Some(&[0; 32]), b"input");
    assert_eq!(without, with);
}

#[test]
fn x25519_gives_the_answers_of_rfc_7748_section_5_2() {
    let cases = [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ];
    for (scalar, point, result) in cases {
        assert_eq!(x25519(array(scalar), array(point)), array::<32>(result));
    }
    let mut scalar = x25519_dalek::X25519_BASEPOINT_BYTES;
    let mut point = scalar;
    for iteration in 1..=1000 {
        (scalar, point) = (x25519(scalar, point), scalar);
        let expected = match iteration {
            1 => "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
            1000 => "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
            _ => continue,
        };
        assert_eq!(scalar, array(expected));
    }
}

#[test]
fn x25519_agrees_as_in_rfc_7748_section_6_1() {
    let alice = StaticSecret::from(array::<32>(
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    ));
    let bob = StaticSecret::from(array::<32>(
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    ));
    let (alice_public, bob_public) = (PublicKey::from(&alice), PublicKey::from(&bob));
    assert_eq!(
        alice_public.to_bytes(),
        array("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    );
    assert_eq!(
        bob_public.to_bytes(),
        array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    );
    let shared = array("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(alice.diffie_hellman(&bob_public).to_bytes(), shared);
    assert_eq!(bob.diffie_hellman(&alice_public).to_bytes(), shared);
}

#[test]
fn ed25519_gives_the_answers_of_rfc_8032_section_7_1() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let (seed, message) = (array(seed), bytes(message));
        let signing_key = SigningKey::from_bytes(&seed);
        let expected = Signature::from_bytes(&array(signature));
        assert_eq!(signing_key.sign(&message), expected);
        signing_key
            .verifying_key()
            .verify_strict(&message, &expected)
            .unwrap();
        let identity = IdentityKeyPair::from_seed(&seed);
        assert_eq!(
            identity.public(),
            public.parse::<IdentityPublicKey>().unwrap()
        );
        assert_eq!(*identity.seed(), seed);
    }
}
