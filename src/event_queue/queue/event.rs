//! One event: its bounds and its form on the wire.

use skyline_protocol::methods::{PayloadError, SendEvent};
use uuid::Uuid;

use crate::error::{Error, Result};

/// The longest name of an event, in bytes: what the server takes (docs/protocol.md, section 5).
pub(super) const MAX_NAME_BYTES: usize = 256;

/// The most data of one event, in bytes of MessagePack: what the server takes (docs/protocol.md,
/// section 5).
pub(super) const MAX_DATA_BYTES: usize = 64 << 10;

/// An event that the server would take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    id: Uuid,
    name: Box<str>,
    data: Box<[u8]>,
}

impl Event {
    /// Checks name and data, the MessagePack of a map.
    ///
    /// # Errors
    ///
    /// [`Error::Payload`] when the server would not take them.
    pub(crate) fn new(id: Uuid, name: &str, data: &[u8]) -> Result<Self> {
        let refused = |detail: String| Err(Error::Payload { detail });
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return refused(format!(
                "the event's name has {} bytes; from 1 to {MAX_NAME_BYTES} are possible",
                name.len()
            ));
        }
        if name.contains(char::is_control) {
            return refused("the event's name has a control character".to_owned());
        }
        if data.len() > MAX_DATA_BYTES {
            return refused(format!(
                "the event's data have {} bytes of MessagePack; at most {MAX_DATA_BYTES} are possible",
                data.len()
            ));
        }
        let event = Self {
            id,
            name: name.into(),
            data: data.into(),
        };
        match event.payload() {
            Ok(_) => Ok(event),
            Err(error) => refused(error.to_string()),
        }
    }

    /// What tells this event from all others, made when it was tracked.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// From 1 to [`MAX_NAME_BYTES`] bytes, none of a control character.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The MessagePack of a map.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The payload of its `send-event`.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, PayloadError> {
        let mut id = Uuid::encode_buffer();
        let send = SendEvent {
            event: &self.name,
            data: &self.data,
            id: Some(self.id.hyphenated().encode_lower(&mut id)),
        };
        send.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of one entry whose value is bytes: `bytes` of MessagePack in all.
    fn data(bytes: usize) -> Vec<u8> {
        let value = bytes - 7;
        let mut data = vec![0x81, 0xa0, 0xc6];
        data.extend_from_slice(&(value as u32).to_be_bytes());
        data.resize(bytes, 7);
        data
    }

    fn check(name: &str, data: &[u8]) -> Option<&'static str> {
        Event::new(Uuid::now_v7(), name, data)
            .err()
            .map(|error| error.code())
    }

    #[test]
    fn names_and_data_up_to_the_bounds_are_taken_and_no_more() {
        assert_eq!(check("a", &[0x80]), None);
        assert_eq!(check(&"n".repeat(256), &data(64 << 10)), None);
        assert_eq!(check("", &[0x80]), Some("PAYLOAD"));
        assert_eq!(check(&"n".repeat(257), &[0x80]), Some("PAYLOAD"));
        assert_eq!(check("a", &data((64 << 10) + 1)), Some("PAYLOAD"));
    }

    #[test]
    fn names_with_control_characters_are_not_taken() {
        for name in ["a\0b", "\0", "a\nb", "a\u{7f}", "\u{85}"] {
            assert_eq!(check(name, &[0x80]), Some("PAYLOAD"), "{name:?}");
        }
    }

    #[test]
    fn data_are_exactly_one_map() {
        for other in [
            &b""[..],
            &[0xc0],
            &[0x90],
            &[0xa1, b'x'],
            &[0x81, 0xa0],
            &[0x80, 0x80],
        ] {
            assert_eq!(check("a", other), Some("PAYLOAD"), "{other:?}");
        }
        // A map in 127 arrays has the 128 levels of docs/protocol.md, section 3, once the payload's
        // own map is around it.
        let nested = |depth| [vec![0x81, 0xa0], vec![0x91; depth], vec![0xc0]].concat();
        assert_eq!(check("a", &nested(126)), None);
        assert_eq!(check("a", &nested(127)), Some("PAYLOAD"));
    }
}
