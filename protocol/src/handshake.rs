//! The handshake: each end sends one message, then both have the session key and the client knows
//! that it talks to the server whose identity it pinned (docs/protocol.md, section 2).

use std::fmt;

use hkdf::Hkdf;
use rand::Rng;
use sha2::Sha256;
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::cipher::SessionKey;
use crate::hello::{ClientHello, ServerHello};
use crate::identity::{IdentityKeyPair, IdentityPublicKey};
use crate::limits::{ECDH_KEY_BYTES, HANDSHAKE_NONCE_BYTES, SESSION_KEY_BYTES};
use crate::random;
use crate::status::Status;
use crate::wire::PacketError;

pub use crate::hello::refusal;

/// Why a handshake failed. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The peer's message is not what the protocol says.
    #[error("the handshake message is malformed: {0}")]
    Malformed(String),
    /// The server answered with another status than OK.
    #[error("the server refused the handshake with status {status}")]
    Refused {
        /// What the server answered.
        status: Status,
        /// The server's sentence, if it gave one.
        message: Option<String>,
    },
    /// No pinned identity key verifies the signature: somebody stands between client and server.
    #[error("the server's signature does not verify with any pinned identity key")]
    BadSignature,
    /// The peer's key gives an all-zero shared secret, which everybody knows (RFC 7748, section 6.1).
    #[error("the peer's key exchange key is weak")]
    WeakKey,
    /// The peer's message is longer than [`MAX_HELLO_BYTES`](crate::limits::MAX_HELLO_BYTES).
    #[error("the handshake message is too large")]
    TooLarge,
}

impl From<PacketError> for HandshakeError {
    fn from(error: PacketError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// How the session key is derived from the shared secret: HKDF-SHA256 (RFC 5869).
///
/// The default is no salt and empty info, as the protocol has it. A deployment may use other
/// values, the same at both ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyDerivation {
    /// The salt; `None` stands for one of 32 zero bytes (RFC 5869, section 2.2).
    pub salt: Option<Vec<u8>>,
    /// The info; empty by default.
    pub info: Vec<u8>,
}

impl KeyDerivation {
    /// The session key that this shared secret gives.
    pub(crate) fn derive(&self, shared_secret: &[u8; ECDH_KEY_BYTES]) -> SessionKey {
        let mut key = Zeroizing::new([0; SESSION_KEY_BYTES]);
        Hkdf::<Sha256>::new(self.salt.as_deref(), shared_secret)
            .expand(&self.info, key.as_mut_slice())
            .expect("HKDF-SHA256 gives up to 8160 bytes, and 32 are asked for");
        SessionKey::from_bytes(*key)
    }
}

/// The client's end, between its hello and the server's.
pub struct ClientHandshake {
    ecdh_private: StaticSecret,
    ecdh_public: PublicKey,
    nonce: [u8; HANDSHAKE_NONCE_BYTES],
}

impl ClientHandshake {
    /// Makes a key and a nonce; gives the message to send.
    pub fn start() -> (Self, Vec<u8>) {
        Self::begin(random_private(), random_nonce())
    }

    /// The same with a given private key and nonce: for known answers.
    pub fn with_secrets(
        ecdh_private: [u8; ECDH_KEY_BYTES],
        nonce: [u8; HANDSHAKE_NONCE_BYTES],
    ) -> (Self, Vec<u8>) {
        Self::begin(StaticSecret::from(ecdh_private), nonce)
    }

    fn begin(ecdh_private: StaticSecret, nonce: [u8; HANDSHAKE_NONCE_BYTES]) -> (Self, Vec<u8>) {
        let ecdh_public = PublicKey::from(&ecdh_private);
        let hello = ClientHello {
            ecdh_public: ecdh_public.as_bytes(),
            nonce: &nonce,
        }
        .encode();
        let handshake = Self {
            ecdh_private,
            ecdh_public,
            nonce,
        };
        (handshake, hello)
    }

    /// Takes the server's message, checks its signature against each of the pinned keys, and gives
    /// the session key.
    ///
    /// # Errors
    /// [`HandshakeError`]. [`HandshakeError::BadSignature`] is an integrity breach; without any
    /// pinned key it is the answer too.
    pub fn finish(
        self,
        server_hello: &[u8],
        pinned: &[IdentityPublicKey],
        derivation: &KeyDerivation,
    ) -> Result<SessionKey, HandshakeError> {
        let hello = ServerHello::decode(server_hello)?;
        let proof = proof(
            self.ecdh_public.as_bytes(),
            hello.ecdh_public,
            &self.nonce,
            hello.nonce,
        );
        if !pinned
            .iter()
            .any(|key| key.verifies(&proof, hello.signature))
        {
            return Err(HandshakeError::BadSignature);
        }
        agree(&self.ecdh_private, hello.ecdh_public, derivation)
    }
}

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientHandshake(redacted)")
    }
}

/// The server's end: it has no state, one answer does it.
#[derive(Debug)]
pub struct ServerHandshake;

impl ServerHandshake {
    /// Answers a client's hello: gives the message to send and the session key.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`], [`HandshakeError::TooLarge`] or [`HandshakeError::WeakKey`];
    /// the server answers with a [`refusal`] and closes.
    pub fn answer(
        client_hello: &[u8],
        identity: &IdentityKeyPair,
        derivation: &KeyDerivation,
    ) -> Result<(Vec<u8>, SessionKey), HandshakeError> {
        Self::respond(
            client_hello,
            identity,
            derivation,
            &random_private(),
            &random_nonce(),
        )
    }

    /// The same with a given private key and nonce: for known answers.
    ///
    /// # Errors
    /// As [`ServerHandshake::answer`].
    pub fn answer_with_secrets(
        client_hello: &[u8],
        identity: &IdentityKeyPair,
        derivation: &KeyDerivation,
        ecdh_private: [u8; ECDH_KEY_BYTES],
        nonce: [u8; HANDSHAKE_NONCE_BYTES],
    ) -> Result<(Vec<u8>, SessionKey), HandshakeError> {
        let ecdh_private = StaticSecret::from(ecdh_private);
        Self::respond(client_hello, identity, derivation, &ecdh_private, &nonce)
    }

    fn respond(
        client_hello: &[u8],
        identity: &IdentityKeyPair,
        derivation: &KeyDerivation,
        ecdh_private: &StaticSecret,
        nonce: &[u8; HANDSHAKE_NONCE_BYTES],
    ) -> Result<(Vec<u8>, SessionKey), HandshakeError> {
        let hello = ClientHello::decode(client_hello)?;
        let ecdh_public = PublicKey::from(ecdh_private);
        // The weak key is refused before the identity key signs anything for it.
        let session_key = agree(ecdh_private, hello.ecdh_public, derivation)?;
        let proof = proof(
            hello.ecdh_public,
            ecdh_public.as_bytes(),
            hello.nonce,
            nonce,
        );
        let answer = ServerHello {
            ecdh_public: ecdh_public.as_bytes(),
            signature: &identity.sign(&proof),
            nonce,
        }
        .encode();
        Ok((answer, session_key))
    }
}

fn random_private() -> StaticSecret {
    StaticSecret::random_from_rng(&mut random::system())
}

fn random_nonce() -> [u8; HANDSHAKE_NONCE_BYTES] {
    let mut nonce = [0; HANDSHAKE_NONCE_BYTES];
    random::system().fill_bytes(&mut nonce);
    nonce
}

/// What the server signs: both keys and both nonces, one after the other.
fn proof(
    client_ecdh_public: &[u8; ECDH_KEY_BYTES],
    server_ecdh_public: &[u8; ECDH_KEY_BYTES],
    client_nonce: &[u8],
    server_nonce: &[u8],
) -> Vec<u8> {
    [
        client_ecdh_public.as_slice(),
        server_ecdh_public,
        client_nonce,
        server_nonce,
    ]
    .concat()
}

/// The session key that both ends get. An all-zero shared secret is refused.
pub(crate) fn agree(
    private: &StaticSecret,
    peer_public: &[u8; ECDH_KEY_BYTES],
    derivation: &KeyDerivation,
) -> Result<SessionKey, HandshakeError> {
    let shared_secret = private.diffie_hellman(&PublicKey::from(*peer_public));
    if !shared_secret.was_contributory() {
        return Err(HandshakeError::WeakKey);
    }
    Ok(derivation.derive(shared_secret.as_bytes()))
}
