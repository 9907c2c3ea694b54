//! Bytes and keys for the tests.

use bytes::BytesMut;
use rmpv::Value;
use skyline_protocol::{
    ClientHandshake, IdentityKeyPair, KeyDerivation, Payload, Request, Response, ServerHandshake,
    SessionKey, Status,
};

pub fn bytes(hex_digits: &str) -> Vec<u8> {
    hex::decode(hex_digits).expect("the test's own hex")
}

pub fn array<const N: usize>(hex_digits: &str) -> [u8; N] {
    bytes(hex_digits).try_into().expect("the test's own length")
}

/// A map with text keys, in the given order.
pub fn map(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let entries = entries.into_iter();
    Value::Map(entries.map(|(key, value)| (key.into(), value)).collect())
}

/// MessagePack by a codec that shares nothing with the crate under test but the marker table.
pub fn pack(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).expect("a buffer in memory takes everything");
    out
}

pub fn unpack(mut message_pack: &[u8]) -> Value {
    let value = rmpv::decode::read_value(&mut message_pack).expect("well-formed MessagePack");
    assert!(message_pack.is_empty(), "bytes follow the value");
    value
}

/// So many arrays inside each other.
pub fn nested_arrays(levels: usize) -> Vec<u8> {
    let mut out = vec![0x91; levels - 1];
    out.push(0x90);
    out
}

/// The session key at the client and at the server after a true handshake.
pub fn session_keys() -> (SessionKey, SessionKey) {
    let identity = IdentityKeyPair::generate();
    let derivation = KeyDerivation::default();
    let (client, client_hello) = ClientHandshake::start();
    let (server_hello, server_key) =
        ServerHandshake::answer(&client_hello, &identity, &derivation).unwrap();
    let client_key = client
        .finish(&server_hello, &[identity.public()], &derivation)
        .unwrap();
    (client_key, server_key)
}

pub fn encode_request(request: &Request<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    request.encode(&mut out).unwrap();
    out
}

pub fn encode_response(response: &Response<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    response.encode(&mut out).unwrap();
    out
}

/// The token of the requests below.
pub const TOKEN: &str = "71ee0979-ea57b170";

pub fn request(payload: Payload<'_>) -> Request<'_> {
    Request {
        seq: 1,
        timestamp: 1_765_529_203,
        method: "test",
        token: Some(TOKEN),
        payload,
    }
}

pub fn response(payload: Payload<'_>) -> Response<'_> {
    Response {
        seq: 1,
        status: Status::Ok,
        message: None,
        payload,
    }
}
