//! The payloads of the methods.

use rmpv::Value;
use skyline_protocol::limits::MAX_DEPTH;
use skyline_protocol::methods::{
    Limits, PayloadError, RateLimit, SendEvent, StartSessionRequest, StartSessionResponse, decode,
    encode,
};
use skyline_protocol::{LicenseKey, PacketError, SessionToken};

use crate::support::{map, nested_arrays, pack, unpack};

fn start_session() -> StartSessionRequest {
    StartSessionRequest {
        product_id: "telepower".to_owned(),
        product_version: "7.0.3".to_owned(),
        language: "russian".to_owned(),
        last_login_reported_by_client: 0,
        device_serial_number: "серийный номер".to_owned(),
        cs_product_uuid: "20240113-E0C2-646E-FDB1-E0C2646EFDB5".to_owned(),
        license_key: LicenseKey::generate(),
    }
}

#[test]
fn start_session_has_the_names_of_the_wire() {
    let request = start_session();
    let value = unpack(&encode(&request).unwrap());
    let names: Vec<_> = value
        .as_map()
        .unwrap()
        .iter()
        .map(|(key, _)| key.as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "productId",
            "productVersion",
            "language",
            "lastLoginReportedByClient",
            "deviceSerialNumber",
            "csProductUUID",
            "licenseKey"
        ]
    );
    assert_eq!(decode(&pack(&value)), Ok(request));
}

#[test]
fn a_session_is_written_with_calendar_dates() {
    let response = StartSessionResponse {
        is_activated_now: true,
        activation_date: jiff::civil::date(2024, 12, 25),
        license_plan: "telepower.licensePlan.release.monthly".to_owned(),
        expiry_date: jiff::civil::date(2025, 1, 25),
        session_token: SessionToken::generate(),
    };
    let value = unpack(&encode(&response).unwrap());
    assert_eq!(value["isActivatedNow"], true.into());
    assert_eq!(value["activationDate"], "2024-12-25".into());
    assert_eq!(value["expiryDate"], "2025-01-25".into());
    assert_eq!(
        value["sessionToken"],
        response.session_token.expose().into()
    );
    assert_eq!(decode(&pack(&value)), Ok(response));
}

#[test]
fn unknown_fields_are_ignored_and_missing_ones_named() {
    let mut value = unpack(&encode(&start_session()).unwrap());
    if let Value::Map(entries) = &mut value {
        entries.insert(0, ("later".into(), map([])));
    }
    assert!(decode::<StartSessionRequest>(&pack(&value)).is_ok());
    if let Value::Map(entries) = &mut value {
        entries.retain(|(key, _)| key.as_str() != Some("language"));
    }
    assert_eq!(
        decode::<StartSessionRequest>(&pack(&value)),
        Err(PayloadError::Decode("missing field `language`".to_owned()))
    );
}

#[test]
fn limits_keep_their_numbers() {
    let limits = Limits::from([
        ("engine.limits.sendMessage.dailyLimit".to_owned(), 150),
        ("least".to_owned(), i64::MIN),
        ("most".to_owned(), i64::MAX),
    ]);
    assert_eq!(decode(&encode(&limits).unwrap()), Ok(limits));
}

#[test]
fn a_rate_limit_may_say_when_to_try_again() {
    let limit = RateLimit {
        retry_after_seconds: Some(30),
    };
    assert_eq!(
        unpack(&encode(&limit).unwrap()),
        map([("retryAfterSeconds", 30.into())])
    );
    assert_eq!(decode(&encode(&limit).unwrap()), Ok(limit));
    assert_eq!(decode(&pack(&map([]))), Ok(RateLimit::default()));
    let nil = map([("retryAfterSeconds", Value::Nil)]);
    assert_eq!(decode(&pack(&nil)), Ok(RateLimit::default()));
}

#[test]
fn a_payload_is_all_of_the_bytes_and_not_too_deep() {
    let trailing = [encode(&5).unwrap(), vec![0xc0]].concat();
    assert_eq!(
        decode::<i64>(&trailing),
        Err(PacketError::TrailingBytes.into())
    );
    assert_eq!(decode::<i64>(b"\xc1"), Err(PacketError::Malformed.into()));

    let deepest: Value = decode(&nested_arrays(MAX_DEPTH)).unwrap();
    assert_eq!(encode(&deepest).unwrap(), nested_arrays(MAX_DEPTH));
    let too_deep = Value::Array(vec![deepest]);
    assert_eq!(encode(&too_deep), Err(PacketError::TooDeep.into()));
    assert_eq!(
        decode::<Value>(&nested_arrays(MAX_DEPTH + 1)),
        Err(PacketError::TooDeep.into())
    );
}

#[test]
fn decode_errors_do_not_repeat_what_was_received() {
    let secret = LicenseKey::generate();
    let secret = secret.expose();
    let expected_shapes = [
        decode::<i64>(&encode(secret).unwrap()).unwrap_err(),
        decode::<jiff::civil::Date>(&encode(secret).unwrap()).unwrap_err(),
        decode::<Limits>(&encode(&[(secret, secret)]).unwrap()).unwrap_err(),
        decode::<Limits>(&encode(&Vec::from([(secret, 5)])).unwrap()).unwrap_err(),
        decode::<RateLimit>(&pack(&map([("retryAfterSeconds", secret.into())]))).unwrap_err(),
        decode::<std::net::IpAddr>(&encode(secret).unwrap()).unwrap_err(),
        decode::<Result<(), ()>>(&pack(&Value::Map(vec![(secret.into(), Value::Nil)])))
            .unwrap_err(),
    ];
    for error in expected_shapes {
        let text = format!("{error} {error:?}");
        assert!(!text.contains(secret), "{text}");
        assert!(matches!(error, PayloadError::Decode(_)), "{text}");
    }
}

#[test]
fn an_event_carries_its_data_as_it_is() {
    // A map with integers wider than need be: it must arrive byte for byte.
    let data = b"\xde\x00\x01\xa2to\xcf\x00\x00\x00\x00\x00\x00\x00\x05";
    for id in [None, Some("9f2c")] {
        let event = SendEvent {
            event: "app.navigation",
            data,
            id,
        };
        let payload = event.encode().unwrap();
        assert_eq!(SendEvent::decode(&payload), Ok(event));
        let mut expected = vec![
            ("event", "app.navigation".into()),
            ("data", map([("to", 5.into())])),
        ];
        expected.extend(id.map(|id| ("id", id.into())));
        assert_eq!(unpack(&payload), map(expected));
    }
}

#[test]
fn event_data_other_than_one_map_is_refused_at_both_ends() {
    for (data, error) in [
        (pack(&Value::Nil), PacketError::WrongType("data")),
        (pack(&Value::Array(vec![])), PacketError::WrongType("data")),
        (Vec::new(), PacketError::Malformed),
        (b"\x81\xc0".to_vec(), PacketError::Malformed),
        (b"\x80\x80".to_vec(), PacketError::TrailingBytes),
    ] {
        let event = SendEvent {
            event: "e",
            data: &data,
            id: None,
        };
        assert_eq!(event.encode(), Err(error.into()));
    }
    let received = |data| pack(&map([("event", "e".into()), ("data", data)]));
    for data in [Value::Nil, 1.into(), Value::Binary(vec![0x80])] {
        assert_eq!(
            SendEvent::decode(&received(data)),
            Err(PacketError::WrongType("data").into())
        );
    }
}

#[test]
fn event_data_has_one_level_less_because_the_payload_is_one() {
    let event_with = |levels: usize| {
        let data = [b"\x81\xa1a".as_slice(), &nested_arrays(levels - 1)].concat();
        SendEvent {
            event: "e",
            data: &data,
            id: None,
        }
        .encode()
    };
    assert!(event_with(MAX_DEPTH - 1).is_ok());
    assert_eq!(event_with(MAX_DEPTH), Err(PacketError::TooDeep.into()));
}

#[test]
fn an_event_with_broken_keys_is_refused() {
    let name = || ("event", Value::from("e"));
    let data = || ("data", map([]));
    let cases = [
        (map([data()]), PacketError::Missing("event")),
        (map([name()]), PacketError::Missing("data")),
        (
            map([name(), name(), data()]),
            PacketError::Duplicate("event"),
        ),
        (
            map([name(), data(), data()]),
            PacketError::Duplicate("data"),
        ),
        (
            map([("event", Value::Nil), data()]),
            PacketError::WrongType("event"),
        ),
        (
            map([name(), data(), ("id", 5.into())]),
            PacketError::WrongType("id"),
        ),
        (Value::Array(vec![]), PacketError::NotAMap),
    ];
    for (payload, error) in cases {
        assert_eq!(SendEvent::decode(&pack(&payload)), Err(error.into()));
    }
    let lenient = map([("id", Value::Nil), data(), ("later", 1.into()), name()]);
    assert_eq!(SendEvent::decode(&pack(&lenient)).unwrap().id, None);
}

#[test]
fn debug_of_the_payloads_hides_their_secrets() {
    let request = start_session();
    assert!(!format!("{request:?}").contains(request.license_key.expose()));
    let data = pack(&map([("password", "hunter2".into())]));
    let event = SendEvent {
        event: "app.login",
        data: &data,
        id: None,
    };
    let debug = format!("{event:?}");
    assert!(debug.contains("app.login") && !debug.contains(&format!("{data:?}")));
}
