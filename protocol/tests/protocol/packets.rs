//! Packets: which bytes are taken and which are a violation.

use rmpv::Value;
use skyline_protocol::limits::PACKET_OVERHEAD_BYTES;
use skyline_protocol::{PacketError, Payload, Request, Response};

use crate::support::{
    TOKEN, encode_request, encode_response, map, pack, request, response, unpack,
};

fn request_entries(payload: Value) -> Vec<(&'static str, Value)> {
    vec![
        ("q", 1.into()),
        ("t", 1_765_529_203.into()),
        ("r", "test".into()),
        ("s", TOKEN.into()),
        ("d", payload),
    ]
}

fn response_entries(payload: Value) -> Vec<(&'static str, Value)> {
    vec![
        ("q", 1.into()),
        ("S", "OK".into()),
        ("e", Value::Nil),
        ("R", payload),
    ]
}

/// Each way to break the entry of one key: left out, twice there, and each of the wrong values.
fn broken(
    entries: &[(&'static str, Value)],
    wrong: &[(&'static str, Vec<Value>)],
) -> Vec<(PacketError, Vec<u8>)> {
    let mut cases = Vec::new();
    for (index, (key, value)) in entries.iter().enumerate() {
        let mut without = entries.to_vec();
        without.remove(index);
        cases.push((PacketError::Missing(key), pack(&map(without.clone()))));
        let mut twice = entries.to_vec();
        twice.push((key, value.clone()));
        cases.push((PacketError::Duplicate(key), pack(&map(twice))));
        for (_, values) in wrong.iter().filter(|(name, _)| name == key) {
            for value in values {
                let mut changed = without.clone();
                changed.insert(index, (key, value.clone()));
                cases.push((PacketError::WrongType(key), pack(&map(changed))));
            }
        }
    }
    cases
}

fn not_text() -> Vec<Value> {
    vec![
        5.into(),
        true.into(),
        Value::Binary(b"text".to_vec()),
        Value::Array(vec![]),
        map([]),
        Value::Ext(1, vec![0; 4]),
    ]
}

fn not_text_or_nil() -> Vec<Value> {
    [not_text(), vec![Value::Nil]].concat()
}

fn not_unsigned() -> Vec<Value> {
    let not_numbers = vec![Value::Nil, "1".into(), Value::Array(vec![])];
    let wrong_numbers = vec![(-1).into(), 1.0.into(), i64::MIN.into()];
    [not_numbers, wrong_numbers].concat()
}

#[test]
fn every_broken_key_of_a_request_is_its_own_error() {
    let mut times = not_unsigned();
    times.retain(|value| !value.is_i64());
    times.push(u64::MAX.into());
    let wrong = [
        ("q", not_unsigned()),
        ("t", times),
        ("r", not_text_or_nil()),
        ("s", not_text()),
    ];
    let entries = request_entries(Value::Nil);
    assert!(Request::decode(&pack(&map(entries.clone()))).is_ok());
    for (error, bytes) in broken(&entries, &wrong) {
        assert_eq!(Request::decode(&bytes), Err(error));
    }
}

#[test]
fn every_broken_key_of_a_response_is_its_own_error() {
    let wrong = [
        ("q", not_unsigned()),
        ("S", not_text_or_nil()),
        ("e", not_text()),
    ];
    let entries = response_entries(Value::Nil);
    assert!(Response::decode(&pack(&map(entries.clone()))).is_ok());
    for (error, bytes) in broken(&entries, &wrong) {
        assert_eq!(Response::decode(&bytes), Err(error));
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    for (key, marker) in [("r", b"\xa1r\xa4".as_slice()), ("s", b"\xa1s\xb1")] {
        let mut bytes = encode_request(&request(Payload::None)).to_vec();
        let position = bytes.windows(marker.len()).position(|part| part == marker);
        bytes[position.unwrap() + marker.len()] = 0xff;
        assert_eq!(Request::decode(&bytes), Err(PacketError::WrongType(key)));
    }
}

#[test]
fn a_request_is_never_a_response_nor_the_reverse() {
    for payload in [Payload::None, Payload::Binary(&[0x80])] {
        let bytes = encode_request(&request(payload));
        assert_eq!(Response::decode(&bytes), Err(PacketError::Missing("S")));
        let bytes = encode_response(&response(payload));
        assert_eq!(Request::decode(&bytes), Err(PacketError::Missing("t")));
    }
}

#[test]
fn unknown_keys_of_any_kind_and_any_order_of_keys_are_taken() {
    let mut entries: Vec<(Value, Value)> = request_entries(Value::Nil)
        .into_iter()
        .rev()
        .map(|(key, value)| (key.into(), value))
        .collect();
    entries.insert(0, ("trace".into(), map([("q", 9.into())])));
    entries.push((7.into(), 8.into()));
    entries.push((Value::Binary(b"q".to_vec()), 9.into()));
    entries.push((Value::Array(vec![Value::Nil]), Value::Nil));
    entries.push(("".into(), Value::Ext(5, vec![1; 300])));
    let bytes = pack(&Value::Map(entries));
    assert_eq!(Request::decode(&bytes), Ok(request(Payload::None)));
}

#[test]
fn integers_are_taken_in_every_width() {
    // seq 1 and 5 seconds, each as written by a peer that does not choose the shortest form.
    let widths: [&[u8]; 9] = [
        b"\x01",
        b"\xcc\x01",
        b"\xcd\x00\x01",
        b"\xce\x00\x00\x00\x01",
        b"\xcf\x00\x00\x00\x00\x00\x00\x00\x01",
        b"\xd0\x01",
        b"\xd1\x00\x01",
        b"\xd2\x00\x00\x00\x01",
        b"\xd3\x00\x00\x00\x00\x00\x00\x00\x01",
    ];
    for number in widths {
        let bytes = [
            b"\x85\xa1q".as_slice(),
            number,
            b"\xa1t",
            number,
            b"\xa1r\xa1m\xa1s\xc0\xa1d\xc0",
        ]
        .concat();
        let request = Request::decode(&bytes).unwrap();
        assert_eq!((request.seq, request.timestamp), (1, 1));
    }
}

#[test]
fn integers_are_written_in_their_shortest_form() {
    for seq in [
        0,
        0x7f,
        0x80,
        0xff,
        0x100,
        0xffff,
        0x1_0000,
        0xffff_ffff,
        1 << 32,
        u64::MAX,
    ] {
        for timestamp in [
            0,
            i64::MAX,
            i64::MIN,
            -1,
            -0x20,
            -0x21,
            -0x80,
            -0x81,
            -0x8000,
            -0x8001,
            -0x8000_0000,
            -0x8000_0001,
        ] {
            let request = Request {
                seq,
                timestamp,
                ..request(Payload::None)
            };
            let bytes = encode_request(&request);
            let mut expected = request_entries(Value::Nil);
            expected[0].1 = seq.into();
            expected[1].1 = timestamp.into();
            assert_eq!(bytes, pack(&map(expected)));
            assert_eq!(request.sealed_len(), bytes.len() + PACKET_OVERHEAD_BYTES);
            assert_eq!(Request::decode(&bytes), Ok(request));
        }
    }
}

#[test]
fn no_payload_has_many_spellings_and_one_meaning() {
    for spelling in [
        Value::Nil,
        Value::Binary(Vec::new()),
        Value::Binary(vec![0xc0]),
    ] {
        let bytes = pack(&map(request_entries(spelling.clone())));
        assert_eq!(Request::decode(&bytes).unwrap().payload, Payload::None);
        let bytes = pack(&map(response_entries(spelling)));
        assert_eq!(Response::decode(&bytes).unwrap().payload, Payload::None);
    }
    for payload in [
        Payload::None,
        Payload::Binary(&[]),
        Payload::Binary(&[0xc0]),
        Payload::Inline(&[]),
        Payload::Inline(&[0xc0]),
    ] {
        assert_eq!(payload.message_pack(), None);
        let bytes = encode_request(&request(payload));
        assert_eq!(bytes, pack(&map(request_entries(Value::Nil))));
    }
}

#[test]
fn a_payload_comes_in_a_bin_or_inline() {
    let value = map([("to", "/account-manager".into())]);
    let message_pack = pack(&value);

    let bytes = encode_request(&request(Payload::Binary(&message_pack)));
    assert_eq!(unpack(&bytes)["d"], Value::Binary(message_pack.clone()));
    let payload = Request::decode(&bytes).unwrap().payload;
    assert_eq!(payload, Payload::Binary(&message_pack));
    assert_eq!(payload.message_pack(), Some(message_pack.as_slice()));

    let bytes = encode_response(&response(Payload::Inline(&message_pack)));
    assert_eq!(unpack(&bytes)["R"], value);
    let payload = Response::decode(&bytes).unwrap().payload;
    assert_eq!(payload, Payload::Inline(&message_pack));
    assert_eq!(payload.message_pack(), Some(message_pack.as_slice()));
}

#[test]
fn a_bin_sent_inline_is_not_taken_apart_at_the_other_end() {
    let message_pack = pack(&Value::Binary(b"no MessagePack in here".to_vec()));
    let bytes = encode_request(&request(Payload::Inline(&message_pack)));
    let payload = Request::decode(&bytes).unwrap().payload;
    assert_eq!(payload.message_pack(), Some(message_pack.as_slice()));
}

#[test]
fn a_bin_that_is_not_one_well_formed_value_is_refused() {
    for (content, error) in [
        (b"\xc1".as_slice(), PacketError::Malformed),
        (b"\x92\x01", PacketError::Malformed),
        (b"\x01\x02", PacketError::TrailingBytes),
        (b"\xc0\xc0", PacketError::TrailingBytes),
    ] {
        let bytes = pack(&map(request_entries(Value::Binary(content.to_vec()))));
        assert_eq!(Request::decode(&bytes), Err(error));
    }
}

#[test]
fn bytes_behind_the_map_are_refused() {
    let mut bytes = encode_request(&request(Payload::None)).to_vec();
    bytes.push(0xc0);
    assert_eq!(Request::decode(&bytes), Err(PacketError::TrailingBytes));
    let mut bytes = encode_response(&response(Payload::None)).to_vec();
    bytes.push(0xc0);
    assert_eq!(Response::decode(&bytes), Err(PacketError::TrailingBytes));
}

#[test]
fn anything_but_a_map_is_refused() {
    for value in [Value::Nil, 1.into(), "q".into(), Value::Array(vec![])] {
        assert_eq!(Request::decode(&pack(&value)), Err(PacketError::NotAMap));
        assert_eq!(Response::decode(&pack(&value)), Err(PacketError::NotAMap));
    }
}

#[test]
fn a_packet_cut_short_anywhere_is_refused() {
    let payload = pack(&map([
        ("limit", 150.into()),
        ("text", "x".repeat(40).into()),
    ]));
    for payload in [Payload::Binary(&payload), Payload::Inline(&payload)] {
        let bytes = encode_request(&request(payload));
        for length in 0..bytes.len() {
            assert!(Request::decode(&bytes[..length]).is_err(), "{length}");
        }
        let bytes = encode_response(&response(payload));
        for length in 0..bytes.len() {
            assert!(Response::decode(&bytes[..length]).is_err(), "{length}");
        }
    }
}

#[test]
fn debug_shows_neither_token_nor_payload() {
    let secret = pack(&"secret-content".into());
    for payload in [Payload::Binary(&secret), Payload::Inline(&secret)] {
        let request = request(payload);
        let response = response(payload);
        for debug in [format!("{request:?}"), format!("{response:#?}")] {
            assert!(!debug.contains(TOKEN), "{debug}");
            assert!(!debug.contains("secret"), "{debug}");
            assert!(
                !debug.contains(&format!("{:?}", &secret[1..3])[1..4]),
                "{debug}"
            );
            assert!(debug.contains("15 bytes"), "{debug}");
        }
        assert!(format!("{request:?}").contains("test"));
    }
}
