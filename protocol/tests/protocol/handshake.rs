//! The handshake against peers that lie, err or play back what they recorded.

use ed25519_dalek::{Signer, SigningKey};
use skyline_protocol::limits::{MAX_PEER_NONCE_BYTES, MIN_PEER_NONCE_BYTES};
use skyline_protocol::{
    ClientHandshake, HandshakeError, IdentityKeyPair, KeyDerivation, ServerHandshake, SessionKey,
};

use crate::hello::{answer, bin, client_fields, client_hello, is_malformed, server_hello};
use crate::support::{array, bytes, map, unpack};

/// Keys whose shared secret with anybody is all zeros (RFC 7748, section 6.1).
const WEAK_KEYS: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// A server whose identity is known to the client and which may say anything.
struct TestServer {
    identity: SigningKey,
}

/// What the test server answers, apart from what it can compute.
struct Answer {
    ecdh_public: Vec<u8>,
    nonce: Vec<u8>,
    tamper: fn(&mut Vec<u8>),
}

impl TestServer {
    fn new() -> Self {
        let seed = IdentityKeyPair::generate().seed();
        Self {
            identity: SigningKey::from_bytes(&seed),
        }
    }

    /// Signs truly, then sends what `answer` says.
    fn answer(&self, client_hello: &[u8], answer: &Answer) -> Vec<u8> {
        let hello = unpack(client_hello);
        let proof = [
            hello["d"]["clientEcdhPublic"].as_slice().unwrap(),
            &answer.ecdh_public,
            hello["d"]["nonce"].as_slice().unwrap(),
            &answer.nonce,
        ]
        .concat();
        let mut signature = self.identity.sign(&proof).to_bytes().to_vec();
        (answer.tamper)(&mut signature);
        let fields = map([
            ("serverEcdhPublic", bin(&answer.ecdh_public)),
            ("signature", bin(&signature)),
            ("serverNonce", bin(&answer.nonce)),
        ]);
        server_hello(fields)
    }

    fn handshake(&self, answer: &Answer) -> Result<SessionKey, HandshakeError> {
        let (client, client_hello) = ClientHandshake::start();
        let pinned = IdentityKeyPair::from_seed(self.identity.as_bytes()).public();
        let server_hello = self.answer(&client_hello, answer);
        client.finish(&server_hello, &[pinned], &KeyDerivation::default())
    }
}

fn honest() -> Answer {
    let mut ecdh_public = vec![0; 32];
    ecdh_public[0] = 9;
    Answer {
        ecdh_public,
        nonce: vec![2; 32],
        tamper: |_| {},
    }
}

#[test]
fn both_ends_get_the_same_key_and_no_two_handshakes_do() {
    let (client_key, server_key) = crate::support::session_keys();
    assert_eq!(client_key.as_bytes(), server_key.as_bytes());
    assert_ne!(*client_key.as_bytes(), [0; 32]);
    let (other_key, _) = crate::support::session_keys();
    assert_ne!(client_key.as_bytes(), other_key.as_bytes());
}

#[test]
fn any_of_several_pinned_keys_will_do_and_no_other() {
    let [old, new, stranger] = [(); 3].map(|()| IdentityKeyPair::generate());
    let derivation = KeyDerivation::default();
    let finish = |signer: &IdentityKeyPair, pinned: &[&IdentityKeyPair]| {
        let (client, hello) = ClientHandshake::start();
        let (answer, _) = ServerHandshake::answer(&hello, signer, &derivation).unwrap();
        let pinned: Vec<_> = pinned.iter().map(|key| key.public()).collect();
        client.finish(&answer, &pinned, &derivation).map(drop)
    };
    assert_eq!(finish(&old, &[&old, &new]), Ok(()));
    assert_eq!(finish(&new, &[&old, &new]), Ok(()));
    let refused = Err(HandshakeError::BadSignature);
    assert_eq!(finish(&stranger, &[&old, &new]), refused);
    assert_eq!(finish(&old, &[]), refused);
}

#[test]
fn a_server_hello_with_any_changed_bit_gives_no_session() {
    let identity = IdentityKeyPair::generate();
    let derivation = KeyDerivation::default();
    // The same secrets each time, so that the answer to tamper with stays valid.
    let start = || ClientHandshake::with_secrets([5; 32], [6; 32]);
    let (_, hello) = start();
    let (answer, key) = ServerHandshake::answer(&hello, &identity, &derivation).unwrap();
    for index in 0..answer.len() {
        let mut changed = answer.clone();
        changed[index] ^= 1 << (index % 8);
        // The top bit of an X25519 key is no part of the number, but it is of the proof.
        let result = start()
            .0
            .finish(&changed, &[identity.public()], &derivation);
        assert!(
            result.is_err(),
            "byte {index} was changed and the session opened"
        );
    }
    let untouched = start().0.finish(&answer, &[identity.public()], &derivation);
    assert_eq!(untouched.unwrap().as_bytes(), key.as_bytes());
}

#[test]
fn a_replayed_server_hello_is_refused() {
    let identity = IdentityKeyPair::generate();
    let derivation = KeyDerivation::default();
    let (_, recorded_hello) = ClientHandshake::start();
    let (recorded, _) = ServerHandshake::answer(&recorded_hello, &identity, &derivation).unwrap();
    let (client, _) = ClientHandshake::start();
    let result = client.finish(&recorded, &[identity.public()], &derivation);
    assert_eq!(result.map(drop), Err(HandshakeError::BadSignature));
}

#[test]
fn a_signature_with_an_unreduced_scalar_is_refused() {
    // S + L is the same number modulo L; strict verification takes only the reduced one.
    const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let result = TestServer::new().handshake(&Answer {
        tamper: |signature| {
            let mut carry = 0;
            for (byte, addend) in signature[32..].iter_mut().zip(array::<32>(L)) {
                let sum = u16::from(*byte) + u16::from(addend) + carry;
                (*byte, carry) = (sum as u8, sum >> 8);
            }
        },
        ..honest()
    });
    assert_eq!(result.map(drop), Err(HandshakeError::BadSignature));
}

#[test]
fn a_weak_key_is_refused_by_both_ends_though_truly_signed() {
    let server = TestServer::new();
    assert!(server.handshake(&honest()).is_ok());
    for weak in WEAK_KEYS {
        for top_bit in [0, 0x80] {
            let mut weak = bytes(weak);
            weak[31] |= top_bit;
            let result = server.handshake(&Answer {
                ecdh_public: weak.clone(),
                ..honest()
            });
            assert_eq!(result.map(drop), Err(HandshakeError::WeakKey));

            let fields = map([("clientEcdhPublic", bin(&weak)), ("nonce", bin(&[1; 32]))]);
            let result = answer(&client_hello(fields));
            assert_eq!(result.map(drop), Err(HandshakeError::WeakKey));
        }
    }
}

#[test]
fn the_server_takes_nonces_of_sixteen_to_sixty_four_bytes() {
    for length in [MIN_PEER_NONCE_BYTES, 32, MAX_PEER_NONCE_BYTES] {
        assert!(answer(&client_hello(client_fields(32, length))).is_ok());
    }
    for length in [0, MIN_PEER_NONCE_BYTES - 1, MAX_PEER_NONCE_BYTES + 1] {
        let result = answer(&client_hello(client_fields(32, length)));
        assert!(is_malformed(&result), "{length}");
    }
}

#[test]
fn the_client_takes_nonces_of_sixteen_to_sixty_four_bytes() {
    let server = TestServer::new();
    let finish = |length| {
        server.handshake(&Answer {
            nonce: vec![2; length],
            ..honest()
        })
    };
    for length in [MIN_PEER_NONCE_BYTES, 32, MAX_PEER_NONCE_BYTES] {
        assert!(finish(length).is_ok(), "{length}");
    }
    for length in [0, MIN_PEER_NONCE_BYTES - 1, MAX_PEER_NONCE_BYTES + 1] {
        assert!(is_malformed(&finish(length)), "{length}");
    }
}

#[test]
fn keys_and_signatures_of_a_wrong_length_are_refused() {
    for length in [31, 33] {
        let result = answer(&client_hello(client_fields(length, 32)));
        assert!(is_malformed(&result));
        let mut ecdh_public = vec![0; length];
        ecdh_public[0] = 9;
        let result = TestServer::new().handshake(&Answer {
            ecdh_public,
            ..honest()
        });
        assert!(is_malformed(&result));
    }
    for tamper in [
        |signature: &mut Vec<u8>| signature.truncate(63),
        |signature: &mut Vec<u8>| signature.push(0),
    ] {
        let result = TestServer::new().handshake(&Answer { tamper, ..honest() });
        assert!(is_malformed(&result));
    }
}

#[test]
fn salt_and_info_must_be_the_same_at_both_ends() {
    let identity = IdentityKeyPair::generate();
    let derivations = [
        KeyDerivation::default(),
        KeyDerivation {
            salt: Some(b"salt".to_vec()),
            info: Vec::new(),
        },
        KeyDerivation {
            salt: None,
            info: b"info".to_vec(),
        },
    ];
    for (index, client_derivation) in derivations.iter().enumerate() {
        for (other, server_derivation) in derivations.iter().enumerate() {
            let (client, hello) = ClientHandshake::start();
            let (answer, server_key) =
                ServerHandshake::answer(&hello, &identity, server_derivation).unwrap();
            let client_key = client
                .finish(&answer, &[identity.public()], client_derivation)
                .unwrap();
            assert_eq!(
                client_key.as_bytes() == server_key.as_bytes(),
                index == other
            );
        }
    }
}

#[test]
fn no_debug_output_holds_a_secret() {
    let (client, _) = ClientHandshake::with_secrets([0xab; 32], [0xcd; 32]);
    let key = SessionKey::from_bytes([0xab; 32]);
    let (sealer, opener) = key.cipher();
    for debug in [
        format!("{client:?}"),
        format!("{key:?}"),
        format!("{sealer:?}"),
        format!("{opener:?}"),
    ] {
        assert!(debug.ends_with("(redacted)"), "{debug}");
        assert!(
            !debug.contains("171") && !debug.contains("ab, ab"),
            "{debug}"
        );
    }
}
