//! Whatever comes in, it gives a value or an error and never a panic.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use skyline_protocol::limits::{MAX_DEPTH, PACKET_OVERHEAD_BYTES};
use skyline_protocol::methods::{self, SendEvent};
use skyline_protocol::{
    ClientHandshake, IdentityKeyPair, KeyDerivation, OpenError, Payload, Request, Response,
    ServerHandshake, SessionKey, Status, validate,
};

use crate::support::{encode_request, encode_response, map, pack};

pub fn config() -> ProptestConfig {
    ProptestConfig {
        // A failure prints the input that shrinking found; nothing is written beside the sources.
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::with_cases(256)
    }
}

/// Any MessagePack value that is not too deep.
pub fn value() -> impl Strategy<Value = rmpv::Value> {
    use rmpv::Value;
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        vec(any::<u8>(), 0..300).prop_map(Value::Binary),
        (any::<i8>(), vec(any::<u8>(), 0..20)).prop_map(|(kind, data)| Value::Ext(kind, data)),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..17).prop_map(Value::Array),
            vec((inner.clone(), inner), 0..17).prop_map(Value::Map),
        ]
    })
}

/// Bytes to change: where, and to what.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
}

fn changed(bytes: &[u8], changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (index, byte) in changes {
        let index = index.index(bytes.len());
        bytes[index] = *byte;
    }
    bytes
}

/// Reads the bytes as everything that the protocol knows.
fn read_as_everything(bytes: &[u8]) {
    let _ = validate(bytes);
    let _ = Request::decode(bytes);
    let _ = Response::decode(bytes);
    let _ = SendEvent::decode(bytes);
    let _ = methods::decode::<methods::StartSessionRequest>(bytes);
    let _ = methods::decode::<methods::StartSessionResponse>(bytes);
    let _ = methods::decode::<methods::Limits>(bytes);
    let _ = methods::decode::<methods::RateLimit>(bytes);
    let _ = methods::decode::<rmpv::Value>(bytes);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_values_never_panic(value in value()) {
        read_as_everything(&pack(&value));
    }

    #[test]
    fn mutated_requests_never_panic(changes in changes(), value in value()) {
        let payload = pack(&value);
        for payload in [Payload::Binary(&payload), Payload::Inline(&payload)] {
            let request = Request {
                seq: 300,
                timestamp: 1_765_529_203,
                method: "start-session",
                token: Some("71ee0979-ea57b170"),
                payload,
            };
            read_as_everything(&changed(&encode_request(&request), &changes));
        }
    }

    #[test]
    fn mutated_packets_are_forged(changes in changes(), payload in vec(any::<u8>(), 0..100)) {
        let (mut sealer, mut opener) = SessionKey::from_bytes([8; 32]).cipher();
        let mut packet = BytesMut::new();
        sealer.seal_with_nonce([7; 12], &payload, &mut packet).unwrap();
        let mut tampered = changed(&packet, &changes);
        if tampered != packet {
            prop_assert_eq!(opener.open(&mut tampered), Err(OpenError::Forged));
        }
    }

    #[test]
    fn validity_is_what_an_independent_decoder_says(bytes in vec(any::<u8>(), 0..60)) {
        // The other decoder takes the marker that MessagePack does not use for a nil.
        prop_assume!(!bytes.contains(&0xc1));
        let mut rest = bytes.as_slice();
        // The other decoder counts depth otherwise; so few bytes cannot reach either bound.
        const { assert!(60 < MAX_DEPTH) };
        let independent = rmpv::decode::read_value(&mut rest).is_ok() && rest.is_empty();
        prop_assert_eq!(validate(&bytes).is_ok(), independent);
    }

    #[test]
    fn requests_survive_the_way(
        seq: u64,
        timestamp: i64,
        method in ".{0,300}",
        token in proptest::option::of(".{0,40}"),
        value in value(),
        inline: bool,
    ) {
        let payload = pack(&value);
        let request = Request {
            seq,
            timestamp,
            method: &method,
            token: token.as_deref(),
            payload: if inline { Payload::Inline(&payload) } else { Payload::Binary(&payload) },
        };
        let bytes = encode_request(&request);
        prop_assert_eq!(request.sealed_len(), bytes.len() + PACKET_OVERHEAD_BYTES);
        let form = if inline && !matches!(value, rmpv::Value::Binary(_)) {
            value.clone()
        } else if value.is_nil() {
            rmpv::Value::Nil
        } else {
            rmpv::Value::Binary(payload.clone())
        };
        let expected = map([
            ("q", seq.into()),
            ("t", timestamp.into()),
            ("r", method.as_str().into()),
            ("s", token.as_deref().map_or(rmpv::Value::Nil, Into::into)),
            ("d", form),
        ]);
        prop_assert_eq!(&bytes[..], pack(&expected));
        let decoded = Request::decode(&bytes).unwrap();
        prop_assert_eq!(decoded.payload.message_pack(), request.payload.message_pack());
        prop_assert_eq!((decoded.seq, decoded.timestamp), (seq, timestamp));
        prop_assert_eq!((decoded.method, decoded.token), (method.as_str(), token.as_deref()));
    }

    #[test]
    fn responses_survive_the_way(
        seq: u64,
        status in "[A-Z_]{0,70}",
        message in proptest::option::of(".{0,300}"),
        value in value(),
        inline: bool,
    ) {
        let payload = pack(&value);
        let response = Response {
            seq,
            status: Status::from(status.as_str()),
            message: message.as_deref(),
            payload: if inline { Payload::Inline(&payload) } else { Payload::Binary(&payload) },
        };
        let bytes = encode_response(&response);
        prop_assert_eq!(response.sealed_len(), bytes.len() + PACKET_OVERHEAD_BYTES);
        let decoded = Response::decode(&bytes).unwrap();
        prop_assert_eq!(decoded.payload.message_pack(), response.payload.message_pack());
        prop_assert_eq!(decoded.status.as_str(), status);
        prop_assert_eq!((decoded.seq, decoded.message), (seq, message.as_deref()));
    }
}

proptest! {
    // Cryptography without optimization is slow, so these have fewer cases.
    #![proptest_config(ProptestConfig { cases: 64, ..config() })]

    #[test]
    fn mutated_hellos_never_panic(changes in changes()) {
        let identity = IdentityKeyPair::from_seed(&[4; 32]);
        let derivation = KeyDerivation::default();
        let (client, client_hello) = ClientHandshake::with_secrets([5; 32], [6; 32]);
        let (server_hello, _) =
            ServerHandshake::answer(&client_hello, &identity, &derivation).unwrap();
        let _ = ServerHandshake::answer(&changed(&client_hello, &changes), &identity, &derivation);
        let tampered = changed(&server_hello, &changes);
        let result = client.finish(&tampered, &[identity.public()], &derivation);
        prop_assert!(result.is_err() || tampered == server_hello);
    }

    #[test]
    fn arbitrary_hellos_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let identity = IdentityKeyPair::from_seed(&[4; 32]);
        let derivation = KeyDerivation::default();
        prop_assert!(ServerHandshake::answer(&bytes, &identity, &derivation).is_err());
        let (client, _) = ClientHandshake::with_secrets([5; 32], [6; 32]);
        prop_assert!(client.finish(&bytes, &[identity.public()], &derivation).is_err());
    }

    #[test]
    fn payloads_of_every_size_survive_the_cipher(length in 0_usize..70_000) {
        let key = SessionKey::from_bytes([9; 32]);
        let payload = pack(&rmpv::Value::Binary(vec![0x5a; length]));
        let response = Response {
            seq: 0,
            status: Status::Ok,
            message: None,
            payload: Payload::Binary(&payload),
        };
        let mut packet = BytesMut::new();
        key.cipher().0.seal_response(&response, &mut packet).unwrap();
        prop_assert_eq!(packet.len(), response.sealed_len());
        let mut opener = key.cipher().1;
        let plaintext = opener.open(&mut packet).unwrap();
        prop_assert_eq!(Response::decode(plaintext), Ok(response));
    }
}
