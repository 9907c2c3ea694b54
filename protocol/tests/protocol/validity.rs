//! Which bytes are one well-formed MessagePack value.

use skyline_protocol::limits::MAX_DEPTH;
use skyline_protocol::{PacketError, Payload, Request, Response, validate};

use crate::support::{encode_request, encode_response, nested_arrays, request, response};

#[test]
fn nesting_ends_at_its_limit_wherever_it_stands() {
    let deepest = nested_arrays(MAX_DEPTH);
    let too_deep = nested_arrays(MAX_DEPTH + 1);
    assert_eq!(validate(&deepest), Ok(()));
    assert_eq!(validate(&too_deep), Err(PacketError::TooDeep));
    // Maps count like arrays, as a key and as a value.
    let maps = [[0x81, 0xc0].repeat(MAX_DEPTH - 1), vec![0x80]].concat();
    assert_eq!(validate(&maps), Ok(()));
    let maps = [vec![0x81, 0xc0], maps].concat();
    assert_eq!(validate(&maps), Err(PacketError::TooDeep));
    let keys = [vec![0x81; MAX_DEPTH], vec![0xc0; MAX_DEPTH + 1]].concat();
    assert_eq!(validate(&keys), Ok(()));
    let keys = [vec![0x81; MAX_DEPTH + 1], vec![0xc0; MAX_DEPTH + 2]].concat();
    assert_eq!(validate(&keys), Err(PacketError::TooDeep));

    for form in [Payload::Binary, Payload::Inline] {
        let bytes = encode_request(&request(form(&deepest)));
        assert!(Request::decode(&bytes).is_ok());
        let bytes = encode_request(&request(form(&too_deep)));
        assert_eq!(Request::decode(&bytes), Err(PacketError::TooDeep));
    }
    let with_unknown = |value: &[u8]| {
        let mut bytes = encode_response(&response(Payload::None)).to_vec();
        bytes[0] += 1;
        bytes.extend_from_slice(b"\xa1x");
        bytes.extend_from_slice(value);
        Response::decode(&bytes).map(drop)
    };
    assert_eq!(with_unknown(&deepest), Ok(()));
    assert_eq!(with_unknown(&too_deep), Err(PacketError::TooDeep));
}

#[test]
fn a_million_levels_do_not_exhaust_the_stack() {
    for byte in [0x91, 0x81] {
        assert_eq!(validate(&vec![byte; 1 << 20]), Err(PacketError::TooDeep));
    }
}

#[test]
fn claimed_lengths_without_content_are_refused() {
    let claims: [&[u8]; 9] = [
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xc0",
        b"\xc5\xff",
        b"\xc4",
        b"",
    ];
    for bytes in claims {
        assert_eq!(validate(bytes), Err(PacketError::Malformed));
    }
    assert!(Request::decode(b"\xdf\xff\xff\xff\xff\xa1q\x01").is_err());
}

#[test]
fn every_kind_of_value_is_well_formed() {
    let values: [&[u8]; 37] = [
        b"\x00",
        b"\x7f",
        b"\x80",
        b"\x90",
        b"\xa0",
        b"\xc0",
        b"\xc2",
        b"\xc3",
        b"\xc4\x01\x00",
        b"\xc5\x00\x01\x00",
        b"\xc6\x00\x00\x00\x01\x00",
        b"\xc7\x00\x05",
        b"\xc8\x00\x01\x05\x00",
        b"\xc9\x00\x00\x00\x01\x05\x00",
        b"\xca\x00\x00\x00\x00",
        b"\xcb\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\xcc\x00",
        b"\xcd\x00\x00",
        b"\xce\x00\x00\x00\x00",
        b"\xcf\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\xd0\x00",
        b"\xd1\x00\x00",
        b"\xd2\x00\x00\x00\x00",
        b"\xd3\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\xd4\x05\x00",
        b"\xd5\x05\x00\x00",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\xd8\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\xd9\x01a",
        b"\xda\x00\x01a",
        b"\xdb\x00\x00\x00\x01a",
        b"\xdc\x00\x01\xc0",
        b"\xdd\x00\x00\x00\x01\xc0",
        b"\xde\x00\x01\xc0\xc0",
        b"\xdf\x00\x00\x00\x01\xc0\xc0",
        b"\xe0",
    ];
    for bytes in values {
        assert_eq!(validate(bytes), Ok(()), "{bytes:02x?}");
        for length in 0..bytes.len() {
            assert_eq!(validate(&bytes[..length]), Err(PacketError::Malformed));
        }
        let longer = [bytes, &[0xc0]].concat();
        assert_eq!(validate(&longer), Err(PacketError::TrailingBytes));
    }
    assert_eq!(validate(b"\xc1"), Err(PacketError::Malformed));
}
