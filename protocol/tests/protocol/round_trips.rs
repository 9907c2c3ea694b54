//! What one end writes, the other end reads as the same; what somebody changed on the way, nobody
//! reads.

use bytes::BytesMut;
use jiff::civil::Date;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use skyline_protocol::methods::{
    Limits, RateLimit, SendEvent, StartSessionRequest, StartSessionResponse, decode, encode,
};
use skyline_protocol::{
    ClientHandshake, HandshakeError, IdentityKeyPair, KeyDerivation, LicenseKey, OpenError,
    Payload, Request, Response, ServerHandshake, SessionKey, SessionToken, Status,
};

use crate::robustness::{config, value};
use crate::support::pack;

/// A license key as the wire may bring it: a real one, or any text.
fn license_key() -> impl Strategy<Value = LicenseKey> {
    let real = "[BCDFGHJKMPQRTVWXY2346789]{5}(-[BCDFGHJKMPQRTVWXY2346789]{5}){4}";
    prop_oneof![real, ".{0,40}"].prop_map(|text| decode(&encode(&text).unwrap()).unwrap())
}

fn session_token() -> impl Strategy<Value = SessionToken> {
    prop_oneof!["[0-9a-f]{8}-[0-9a-f]{8}", ".{1,40}"]
        .prop_map(|text| decode(&encode(&text).unwrap()).unwrap())
}

/// Any day that is written `YYYY-MM-DD`.
fn date() -> impl Strategy<Value = Date> {
    (1_i16..=9999, 1_i8..=12, 1_i8..=31)
        .prop_filter_map("a day of the calendar", |(year, month, day)| {
            Date::new(year, month, day).ok()
        })
}

prop_compose! {
    fn login()(
        product_id in ".{0,40}",
        product_version in ".{0,20}",
        language in ".{0,20}",
        last_login_reported_by_client: i64,
        device_serial_number in ".{0,60}",
        cs_product_uuid in ".{0,60}",
        license_key in license_key(),
    ) -> StartSessionRequest {
        StartSessionRequest {
            product_id,
            product_version,
            language,
            last_login_reported_by_client,
            device_serial_number,
            cs_product_uuid,
            license_key,
        }
    }
}

prop_compose! {
    fn session()(
        is_activated_now: bool,
        activation_date in date(),
        license_plan in ".{0,60}",
        expiry_date in date(),
        session_token in session_token(),
    ) -> StartSessionResponse {
        StartSessionResponse {
            is_activated_now,
            activation_date,
            license_plan,
            expiry_date,
            session_token,
        }
    }
}

/// What somebody on the way can do to a message.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Swap(Index, Index),
    Repeat,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<Index>;
    prop_oneof![
        (place(), 0_u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (place(), vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (place(), place()).prop_map(|(from, to)| Mutation::Remove(from, to)),
        (place(), place()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        Just(Mutation::Repeat),
    ]
}

impl Mutation {
    fn apply(&self, message: &mut Vec<u8>) {
        if message.is_empty() {
            return;
        }
        match self {
            Self::Flip(at, bit) => {
                let at = at.index(message.len());
                message[at] ^= 1 << bit;
            }
            Self::Insert(at, bytes) => {
                let at = at.index(message.len() + 1);
                message.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(from, to) => {
                let (from, to) = (from.index(message.len()), to.index(message.len()));
                message.drain(from.min(to)..=from.max(to));
            }
            Self::Swap(one, other) => {
                let (one, other) = (one.index(message.len()), other.index(message.len()));
                message.swap(one, other);
            }
            Self::Repeat => message.extend_from_within(..),
        }
    }
}

fn mutated(message: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut message = message.to_vec();
    for mutation in mutations {
        mutation.apply(&mut message);
    }
    message
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_login_is_read_as_it_was_written(login in login()) {
        prop_assert_eq!(decode::<StartSessionRequest>(&encode(&login).unwrap()), Ok(login));
    }

    #[test]
    fn a_session_is_read_as_it_was_written(session in session()) {
        prop_assert_eq!(decode::<StartSessionResponse>(&encode(&session).unwrap()), Ok(session));
    }

    #[test]
    fn limits_are_read_as_they_were_written(
        limits in btree_map(".{0,60}", any::<i64>(), 0..40),
        retry_after_seconds: Option<u64>,
    ) {
        prop_assert_eq!(decode::<Limits>(&encode(&limits).unwrap()), Ok(limits));
        let rate = RateLimit { retry_after_seconds };
        prop_assert_eq!(decode::<RateLimit>(&encode(&rate).unwrap()), Ok(rate));
    }

    #[test]
    fn an_event_is_read_as_it_was_written(
        event in ".{0,300}",
        entries in vec((value(), value()), 0..8),
        id in option::of(".{0,300}"),
    ) {
        let data = pack(&rmpv::Value::Map(entries));
        let event = SendEvent { event: &event, data: &data, id: id.as_deref() };
        let payload = event.encode().unwrap();
        prop_assert_eq!(SendEvent::decode(&payload), Ok(event));
    }

    #[test]
    fn a_sealed_request_is_opened_as_it_was_written_and_no_other_way(
        seq: u64,
        timestamp: i64,
        method in ".{0,60}",
        token in option::of(".{1,40}"),
        value in value(),
        mutations in vec(mutation(), 1..4),
    ) {
        let payload = pack(&value);
        let request = Request {
            seq,
            timestamp,
            method: &method,
            token: token.as_deref(),
            payload: if value.is_nil() { Payload::None } else { Payload::Binary(&payload) },
        };
        let (mut sealer, mut opener) = SessionKey::from_bytes([8; 32]).cipher();
        let mut packet = BytesMut::new();
        sealer.seal_request(&request, &mut packet).unwrap();
        let mut tampered = mutated(&packet, &mutations);
        if tampered != packet {
            let refused = opener.open(&mut tampered).map(drop);
            prop_assert!(matches!(refused, Err(OpenError::Forged | OpenError::TooShort)));
        }
        let plaintext = opener.open(&mut packet).unwrap();
        prop_assert_eq!(Request::decode(plaintext), Ok(request));
        prop_assert!(Response::decode(plaintext).is_err());
    }

    #[test]
    fn a_sealed_response_is_opened_as_it_was_written_and_no_other_way(
        seq: u64,
        status in "[A-Z_]{1,40}",
        message in option::of(".{0,100}"),
        value in value(),
        mutations in vec(mutation(), 1..4),
    ) {
        let payload = pack(&value);
        let response = Response {
            seq,
            status: Status::from(status.as_str()),
            message: message.as_deref(),
            payload: if value.is_nil() { Payload::None } else { Payload::Binary(&payload) },
        };
        let (mut sealer, mut opener) = SessionKey::from_bytes([8; 32]).cipher();
        let mut packet = BytesMut::new();
        sealer.seal_response(&response, &mut packet).unwrap();
        let mut tampered = mutated(&packet, &mutations);
        if tampered != packet {
            let refused = opener.open(&mut tampered).map(drop);
            prop_assert!(matches!(refused, Err(OpenError::Forged | OpenError::TooShort)));
        }
        let plaintext = opener.open(&mut packet).unwrap();
        prop_assert!(Request::decode(plaintext).is_err());
        prop_assert_eq!(Response::decode(plaintext), Ok(response));
    }
}

proptest! {
    // Each case is four scalar multiplications and two signatures.
    #![proptest_config(ProptestConfig { cases: 64, ..config() })]

    #[test]
    fn a_handshake_ends_in_one_key_or_in_an_error(
        seed: [u8; 32],
        [client_secret, server_secret]: [[u8; 32]; 2],
        [client_nonce, server_nonce]: [[u8; 32]; 2],
        salt in option::of(vec(any::<u8>(), 0..40)),
        info in vec(any::<u8>(), 0..40),
        mutations in vec(mutation(), 1..4),
    ) {
        let identity = IdentityKeyPair::from_seed(&seed);
        let derivation = KeyDerivation { salt, info };
        let start = || ClientHandshake::with_secrets(client_secret, client_nonce);
        let (client, client_hello) = start();
        let answer = |hello: &[u8]| ServerHandshake::answer_with_secrets(
            hello, &identity, &derivation, server_secret, server_nonce,
        );
        let (server_hello, server_key) = answer(&client_hello).unwrap();
        let client_key = client.finish(&server_hello, &[identity.public()], &derivation).unwrap();
        prop_assert_eq!(client_key.as_bytes(), server_key.as_bytes());

        // The server cannot know what the client sent; the client notices by the signature, unless
        // the change was in what the hello says beside its keys and says nothing.
        if let Ok((answered, other_key)) = answer(&mutated(&client_hello, &mutations)) {
            match start().0.finish(&answered, &[identity.public()], &derivation) {
                Ok(key) => prop_assert_eq!(key.as_bytes(), other_key.as_bytes()),
                Err(error) => prop_assert_eq!(error, HandshakeError::BadSignature),
            }
        }
        let tampered = mutated(&server_hello, &mutations);
        if let Ok(key) = start().0.finish(&tampered, &[identity.public()], &derivation) {
            prop_assert_eq!(key.as_bytes(), server_key.as_bytes());
        }
    }
}
