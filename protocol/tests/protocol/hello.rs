//! Which hello messages are taken.

use rmpv::Value;
use skyline_protocol::limits::MAX_HELLO_BYTES;
use skyline_protocol::{
    ClientHandshake, HandshakeError, IdentityKeyPair, KeyDerivation, ServerHandshake, SessionKey,
    Status, refusal,
};

use crate::support::{map, pack, unpack};

pub fn bin(value: &[u8]) -> Value {
    Value::Binary(value.to_vec())
}

pub fn is_malformed<T>(result: &Result<T, HandshakeError>) -> bool {
    matches!(result, Err(HandshakeError::Malformed(_)))
}

pub fn answer(client_hello: &[u8]) -> Result<(Vec<u8>, SessionKey), HandshakeError> {
    let identity = IdentityKeyPair::generate();
    ServerHandshake::answer(client_hello, &identity, &KeyDerivation::default())
}

pub fn client_hello(fields: Value) -> Vec<u8> {
    pack(&map([("r", "client-hello".into()), ("d", fields)]))
}

pub fn client_fields(key_length: usize, nonce_length: usize) -> Value {
    // A base point of any length: only its length matters here.
    let mut key = vec![0; key_length];
    key[0] = 9;
    map([
        ("clientEcdhPublic", bin(&key)),
        ("nonce", bin(&vec![1; nonce_length])),
    ])
}

pub fn server_hello(fields: Value) -> Vec<u8> {
    pack(&map([("S", "OK".into()), ("e", Value::Nil), ("R", fields)]))
}

#[test]
fn a_hello_may_fill_the_limit_and_not_one_byte_more() {
    // An unknown key that fills the message up: its bin takes three bytes of header.
    let padded = |message: &dyn Fn(Value) -> Vec<u8>, total: usize| {
        let empty = message(bin(&[0; 0x100])).len() - 0x100;
        let full = message(bin(&vec![0; total - empty]));
        assert_eq!(full.len(), total);
        full
    };
    let client = |padding: Value| {
        pack(&map([
            ("r", "client-hello".into()),
            ("d", client_fields(32, 32)),
            ("padding", padding),
        ]))
    };
    assert!(answer(&padded(&client, MAX_HELLO_BYTES)).is_ok());
    let result = answer(&padded(&client, MAX_HELLO_BYTES + 1));
    assert_eq!(result.map(drop), Err(HandshakeError::TooLarge));

    let server = |padding: Value| {
        pack(&map([
            ("S", "RATE_LIMITED".into()),
            ("e", Value::Nil),
            ("R", Value::Nil),
            ("padding", padding),
        ]))
    };
    let finish = |total| {
        let hello = padded(&server, total);
        let derivation = KeyDerivation::default();
        ClientHandshake::start()
            .0
            .finish(&hello, &[], &derivation)
            .map(drop)
    };
    let refused = HandshakeError::Refused {
        status: Status::RateLimited,
        message: None,
    };
    assert_eq!(finish(MAX_HELLO_BYTES), Err(refused));
    assert_eq!(finish(MAX_HELLO_BYTES + 1), Err(HandshakeError::TooLarge));
}

#[test]
fn a_refusal_arrives_with_its_status_and_sentence() {
    for (status, message) in [
        (Status::BadRequest, None),
        (Status::RateLimited, Some("Слишком много подключений.")),
        (Status::Other("MAINTENANCE".to_owned()), Some("")),
    ] {
        let hello = refusal(&status, message);
        let expected = map([
            ("S", status.as_str().into()),
            ("e", message.map_or(Value::Nil, Value::from)),
            ("R", Value::Nil),
        ]);
        assert_eq!(unpack(&hello), expected);
        let (client, _) = ClientHandshake::start();
        let result = client.finish(&hello, &[], &KeyDerivation::default());
        let message = message.map(str::to_owned);
        assert_eq!(
            result.map(drop),
            Err(HandshakeError::Refused { status, message })
        );
    }
}

#[test]
fn unknown_keys_of_a_hello_are_ignored() {
    let mut fields = client_fields(32, 32);
    if let Value::Map(entries) = &mut fields {
        entries.insert(0, ("version".into(), 2.into()));
        entries.push((7.into(), Value::Array(vec![Value::Nil])));
    }
    let hello = map([
        ("later", map([])),
        ("d", fields),
        ("r", "client-hello".into()),
    ]);
    assert!(answer(&pack(&hello)).is_ok());
}

#[test]
fn missing_repeated_and_wrongly_typed_keys_of_a_client_hello_are_refused() {
    let (key, nonce) = (bin(&[9; 32]), bin(&[1; 32]));
    let fields = || client_fields(32, 32);
    let method = || Value::from("client-hello");
    let wrong = [
        Value::Nil,
        Value::Array(vec![]),
        map([]),
        map([("r", method())]),
        map([("d", fields())]),
        map([("r", "server-hello".into()), ("d", fields())]),
        map([("r", 1.into()), ("d", fields())]),
        map([("r", method()), ("d", bin(&pack(&fields())))]),
        map([("r", method()), ("d", Value::Nil)]),
        map([("r", method()), ("r", method()), ("d", fields())]),
        map([("r", method()), ("d", fields()), ("d", fields())]),
        map([("r", method()), ("d", map([("nonce", nonce.clone())]))]),
        map([
            ("r", method()),
            ("d", map([("clientEcdhPublic", key.clone())])),
        ]),
        map([
            ("r", method()),
            (
                "d",
                map([
                    ("clientEcdhPublic", key.clone()),
                    ("nonce", nonce.clone()),
                    ("nonce", nonce.clone()),
                ]),
            ),
        ]),
        map([
            ("r", method()),
            (
                "d",
                map([
                    ("clientEcdhPublic", key),
                    ("nonce", "a text of thirty-two bytes, or so".into()),
                ]),
            ),
        ]),
    ];
    for hello in wrong {
        assert!(is_malformed(&answer(&pack(&hello))), "{hello}");
    }
    let trailing = [client_hello(fields()), vec![0xc0]].concat();
    assert!(is_malformed(&answer(&trailing)));
}

#[test]
fn missing_repeated_and_wrongly_typed_keys_of_a_server_hello_are_refused() {
    let fields = || {
        map([
            ("serverEcdhPublic", bin(&[9; 32])),
            ("signature", bin(&[0; 64])),
            ("serverNonce", bin(&[1; 32])),
        ])
    };
    let ok = || Value::from("OK");
    let finish = |hello: &[u8]| {
        let (client, _) = ClientHandshake::start();
        let pinned = [IdentityKeyPair::generate().public()];
        client.finish(hello, &pinned, &KeyDerivation::default())
    };
    let well_formed = server_hello(fields());
    assert!(matches!(
        finish(&well_formed),
        Err(HandshakeError::BadSignature)
    ));
    let mut wrong = vec![
        Value::Nil,
        map([]),
        map([("e", Value::Nil), ("R", fields())]),
        map([("S", ok()), ("R", fields())]),
        map([("S", ok()), ("e", Value::Nil)]),
        map([("S", 0.into()), ("e", Value::Nil), ("R", fields())]),
        map([("S", ok()), ("e", 0.into()), ("R", fields())]),
        map([("S", ok()), ("e", Value::Nil), ("R", Value::Nil)]),
        map([("S", ok()), ("e", Value::Nil), ("R", bin(&pack(&fields())))]),
        map([("S", ok()), ("S", ok()), ("e", Value::Nil), ("R", fields())]),
    ];
    for index in 0..3 {
        let (mut missing, mut repeated, mut text) = (fields(), fields(), fields());
        for value in [&mut missing, &mut repeated, &mut text] {
            let Value::Map(entries) = value else {
                unreachable!("the fields are a map")
            };
            let entry = entries.remove(index);
            entries.push((entry.0, "a text".into()));
        }
        if let Value::Map(entries) = &mut missing {
            entries.pop();
        }
        if let (Value::Map(entries), Value::Map(whole)) = (&mut repeated, fields()) {
            entries.pop();
            entries.extend([whole[index].clone(), whole[index].clone()]);
        }
        for value in [missing, repeated, text] {
            wrong.push(map([("S", ok()), ("e", Value::Nil), ("R", value)]));
        }
    }
    for hello in wrong {
        assert!(is_malformed(&finish(&pack(&hello))), "{hello}");
    }
    assert!(is_malformed(&finish(&[well_formed, vec![0xc0]].concat())));
}
