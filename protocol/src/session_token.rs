//! The session token.

use std::fmt;

use rand::Rng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::random;

/// The token that a session's requests carry, such as `71ee0979-ea57b170` (docs/protocol.md,
/// section 5).
///
/// A client takes any text but the empty one, as it came. The text is a secret: `Debug` hides it,
/// it is wiped when dropped, and tokens are compared in constant time.
#[derive(Clone, Serialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct SessionToken(String);

impl SessionToken {
    /// A new token: 64 random bits of the operating system, as two groups of eight hex digits.
    pub fn generate() -> Self {
        let bits = random::system().next_u64();
        Self(format!("{:08x}-{:08x}", bits >> 32, bits as u32))
    }

    /// The secret text: for the wire, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is the text that a request carries, compared in constant time.
    pub fn matches(&self, received: &str) -> bool {
        self.0.as_bytes().ct_eq(received.as_bytes()).into()
    }
}

impl<'de> Deserialize<'de> for SessionToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(D::Error::custom("the session token is empty"));
        }
        Ok(Self(text))
    }
}

impl PartialEq for SessionToken {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for SessionToken {}

impl fmt::Debug for SessionToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::{decode, encode};

    #[test]
    fn generated_tokens_have_the_shape_and_differ() {
        let (one, two) = (SessionToken::generate(), SessionToken::generate());
        assert_ne!(one, two);
        let (left, right) = one.expose().split_once('-').unwrap();
        for group in [left, right] {
            assert_eq!(group.len(), 8);
            assert!(
                group
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            );
        }
    }

    #[test]
    fn only_the_same_text_matches() {
        let token = SessionToken::generate();
        assert!(token.matches(token.expose()));
        assert!(!token.matches(""));
        assert!(!token.matches(&token.expose()[..16]));
        assert!(!token.matches(&format!("{}0", token.expose())));
    }

    #[test]
    fn any_text_but_the_empty_one_is_taken_from_the_wire() {
        let token: SessionToken = decode(&encode("другой вид").unwrap()).unwrap();
        assert_eq!(token.expose(), "другой вид");
        assert!(decode::<SessionToken>(&encode("").unwrap()).is_err());
        assert!(decode::<SessionToken>(&encode(&5).unwrap()).is_err());
    }

    #[test]
    fn debug_hides_the_token() {
        let token = SessionToken::generate();
        assert_eq!(format!("{token:?}"), "SessionToken(redacted)");
    }
}
