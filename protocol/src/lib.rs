//! The Skyline protocol, both ends, without I/O: bytes in, bytes out, typed errors.
//!
//! A client and a server exchange one hello message each ([`handshake`]), then sealed packets
//! ([`cipher`]) that hold a request or a response ([`packet`]), numbered per connection
//! ([`sequence`]); [`methods`] has the payloads of the methods that every server knows, and
//! [`limits`] every bound; [`update`] is the signed
//! manifest of a new version. The caller moves the messages, keeps the time and decides what an error
//! means: on an open session each one is an integrity breach. The protocol itself is described in
//! docs/protocol.md.
//!
//! ```
//! use bytes::BytesMut;
//! use skyline_protocol::{
//!     ClientHandshake, ExpectedSequence, IdentityKeyPair, InFlight, KeyDerivation, Payload,
//!     Request, Response, ServerHandshake, Status, methods,
//! };
//!
//! // The handshake: one message each way.
//! let identity = IdentityKeyPair::generate();
//! let derivation = KeyDerivation::default();
//! let (client, client_hello) = ClientHandshake::start();
//! let (server_hello, server_key) =
//!     ServerHandshake::answer(&client_hello, &identity, &derivation)?;
//! let client_key = client.finish(&server_hello, &[identity.public()], &derivation)?;
//!
//! // The client seals a request into a buffer that it can use again.
//! let (mut client_sealer, mut client_opener) = client_key.cipher();
//! let mut in_flight = InFlight::new();
//! let mut packet = BytesMut::new();
//! let request = Request {
//!     seq: in_flight.send("what waits for the answer"),
//!     timestamp: 1_765_529_203,
//!     method: methods::GET_LIMITS,
//!     token: Some("71ee0979-ea57b170"),
//!     payload: Payload::None,
//! };
//! client_sealer.seal_request(&request, &mut packet)?;
//!
//! // The server opens it where it stands, and answers.
//! let (mut server_sealer, mut server_opener) = server_key.cipher();
//! let request = Request::decode(server_opener.open(&mut packet)?)?;
//! ExpectedSequence::new().accept(request.seq)?;
//! assert_eq!(request.method, "get-limits");
//! let limits = methods::encode(&methods::Limits::from([("messages".to_owned(), 150)]))?;
//! let response = Response {
//!     seq: request.seq,
//!     status: Status::Ok,
//!     message: None,
//!     payload: Payload::Binary(&limits),
//! };
//! packet.clear();
//! server_sealer.seal_response(&response, &mut packet)?;
//!
//! // The client finds the request that this answers.
//! let response = Response::decode(client_opener.open(&mut packet)?)?;
//! assert_eq!(in_flight.answer(response.seq)?, "what waits for the answer");
//! let limits: methods::Limits = methods::decode(response.payload.message_pack().unwrap())?;
//! assert_eq!(limits["messages"], 150);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cipher;
pub mod handshake;
mod hello;
pub mod identity;
pub mod license_key;
pub mod limits;
pub mod methods;
pub mod packet;
mod random;
pub mod sequence;
pub mod session_token;
pub mod status;
pub mod update;
pub mod version;
mod wire;
#[cfg(test)]
mod wycheproof;

pub use cipher::{OpenError, Opener, SealError, Sealer, SessionKey};
pub use handshake::{ClientHandshake, HandshakeError, KeyDerivation, ServerHandshake, refusal};
pub use identity::{IdentityKeyError, IdentityKeyPair, IdentityPublicKey};
pub use license_key::{LicenseKey, LicenseKeyError};
pub use packet::{PacketError, Payload, Request, Response, validate};
pub use sequence::{ExpectedSequence, InFlight, SequenceViolation};
pub use session_token::SessionToken;
pub use status::Status;
