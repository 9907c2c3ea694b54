//! JSON for the hosts whose own coders speak it; the core speaks MessagePack (docs/adr/0005).

use std::io;

use skyline_protocol::limits::MAX_DEPTH;

use crate::error::{Error, Result};

/// The MessagePack of one JSON value. Integers keep all 64 bits.
///
/// Fails with [`Error::Payload`] when `json` is not exactly one JSON value.
pub(crate) fn to_message_pack(json: &str) -> Result<Vec<u8>> {
    let mut message_pack = Vec::with_capacity(json.len());
    let mut reader = serde_json::Deserializer::from_str(json);
    serde_transcode::transcode(
        &mut reader,
        &mut rmp_serde::Serializer::new(&mut message_pack),
    )
    .map_err(|error| Error::Payload {
        detail: format!("the JSON does not parse: {error}"),
    })?;
    reader.end().map_err(|error| Error::Payload {
        detail: format!("the JSON does not parse: {error}"),
    })?;
    Ok(message_pack)
}

/// The JSON text of one MessagePack value. Integers keep all 64 bits.
///
/// Fails with [`Error::Payload`] for binary data, extension types and map keys other than strings
/// and integers, which JSON cannot say. NaN and the infinities become `null`, as in ECMAScript.
pub(crate) fn from_message_pack(message_pack: &[u8]) -> Result<String> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(message_pack);
    reader.set_max_depth(MAX_DEPTH);
    let mut json = Vec::with_capacity(message_pack.len());
    let mut writer = serde_json::Serializer::with_formatter(&mut json, WithoutBytes);
    serde_transcode::transcode(&mut reader, &mut writer).map_err(|error| Error::Payload {
        detail: format!("the answer cannot be written as JSON: {error}"),
    })?;
    String::from_utf8(json).map_err(|error| Error::Payload {
        detail: error.to_string(),
    })
}

/// Compact JSON that refuses binary data. serde_json would write an array of numbers, which reads
/// back as something else.
struct WithoutBytes;

impl serde_json::ser::Formatter for WithoutBytes {
    fn write_byte_array<W>(&mut self, _: &mut W, _: &[u8]) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds binary data; call with raw bytes instead",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_keep_all_64_bits_both_ways() {
        for number in [
            u64::MAX.to_string(),
            i64::MIN.to_string(),
            i64::MAX.to_string(),
        ] {
            let json = format!("{{\"n\":[{number}]}}");
            assert_eq!(
                from_message_pack(&to_message_pack(&json).unwrap()).unwrap(),
                json
            );
        }
    }

    #[test]
    fn numbers_with_a_fraction_are_the_nearest_that_there_are() {
        for text in [
            "0.1",
            "123456789.123456789",
            "1.7976931348623157e308",
            "5e-324",
        ] {
            let number: f64 = text.parse().unwrap();
            let message_pack = [&[0xcb][..], &number.to_be_bytes()].concat();
            assert_eq!(to_message_pack(text).unwrap(), message_pack, "{text}");
            let json = from_message_pack(&message_pack).unwrap();
            assert_eq!(to_message_pack(&json).unwrap(), message_pack, "{json}");
        }
    }

    #[test]
    fn what_json_cannot_say_is_an_error_and_not_a_lookalike() {
        let binary = [0xc4, 1, 0xff];
        let extension = [0xd4, 5, 0];
        let binary_key = [0x81, 0xc4, 1, 0xff, 0xc0];
        for message_pack in [&binary[..], &extension, &binary_key] {
            let error = from_message_pack(message_pack).unwrap_err();
            assert_eq!(error.code(), "PAYLOAD");
        }
    }

    #[test]
    fn only_one_whole_value_is_taken() {
        for json in ["", "{", "1 2", "nul", "{\"a\":}"] {
            assert_eq!(
                to_message_pack(json).unwrap_err().code(),
                "PAYLOAD",
                "{json}"
            );
        }
    }

    #[test]
    fn text_of_every_script_survives() {
        let json = r#"{"привет":"🦀 שלום 你好 \u0000"}"#;
        let there_and_back = from_message_pack(&to_message_pack(json).unwrap()).unwrap();
        let [sent, received]: [serde_json::Value; 2] =
            [json, &there_and_back].map(|json| serde_json::from_str(json).unwrap());
        assert_eq!(sent, received);
    }
}
