//! The license key.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::random;

/// The letters and digits of a license key: without vowels no word can appear by chance, and
/// without pairs that look alike (0 and O, 1 and I, 5 and S) a person can type it from paper.
const ALPHABET: &[u8; 24] = b"BCDFGHJKMPQRTVWXY2346789";

/// Groups of a license key, joined by hyphens.
const GROUPS: usize = 5;

/// Characters of each group.
const GROUP_CHARACTERS: usize = 5;

/// A license key such as `WDGQX-WC2Y3-4R966-TK3H3-HXRB8`: 25 of `BCDFGHJKMPQRTVWXY2346789` in
/// five groups (docs/protocol.md, section 5).
///
/// Parsing checks the shape. Deserializing takes any text as it came, so that a server can answer
/// a mistyped key like any key that it does not know. The text is a secret: `Debug` hides it, it
/// is wiped when dropped, and keys are compared in constant time.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct LicenseKey(String);

/// The text is no license key. It is not repeated here, being close to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a license key is five groups of five characters joined by hyphens, out of BCDFGHJKMPQRTVWXY2346789"
)]
pub struct LicenseKeyError;

impl LicenseKey {
    /// A new key from the operating system's randomness (114 bits).
    pub fn generate() -> Self {
        let mut random = random::system();
        let mut text = String::with_capacity(GROUPS * (GROUP_CHARACTERS + 1));
        for position in 0..GROUPS * GROUP_CHARACTERS {
            if position > 0 && position % GROUP_CHARACTERS == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[random.random_range(0..ALPHABET.len())]));
        }
        Self(text)
    }

    /// The secret text: for the wire and for the store, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for LicenseKey {
    type Err = LicenseKeyError;

    /// Reads what a person typed: white space around it is dropped and small letters are raised.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = Self(text.trim().to_ascii_uppercase());
        let mut groups = 0;
        for group in key.0.split('-') {
            groups += 1;
            if group.len() != GROUP_CHARACTERS || !group.bytes().all(|b| ALPHABET.contains(&b)) {
                return Err(LicenseKeyError);
            }
        }
        if groups == GROUPS {
            Ok(key)
        } else {
            Err(LicenseKeyError)
        }
    }
}

impl PartialEq for LicenseKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for LicenseKey {}

impl fmt::Debug for LicenseKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LicenseKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_it_is_printed_and_as_a_person_types_it() {
        let key = LicenseKey::generate();
        assert_eq!(key.expose().parse(), Ok(key.clone()));
        let typed = format!(" \t{}\n", key.expose().to_lowercase());
        assert_eq!(typed.parse(), Ok(key));
    }

    #[test]
    fn generated_keys_have_the_shape_and_differ() {
        let (one, two) = (LicenseKey::generate(), LicenseKey::generate());
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 29);
        let hyphens = one.expose().match_indices('-').map(|(index, _)| index);
        assert_eq!(hyphens.collect::<Vec<_>>(), [5, 11, 17, 23]);
    }

    #[test]
    fn every_other_shape_is_refused() {
        let good = LicenseKey::generate();
        let good = good.expose();
        let wrong = [
            String::new(),
            "-".repeat(4),
            good[..28].to_owned(),
            format!("{good}B"),
            format!("{good}-BBBBB"),
            good[..23].to_owned(),
            good.replace('-', ""),
            good.replace('-', " "),
            format!("A{}", &good[1..]),
            format!("0{}", &good[1..]),
            format!("Б{}", &good[2..]),
        ];
        for text in wrong {
            assert_eq!(text.parse::<LicenseKey>(), Err(LicenseKeyError), "{text}");
        }
    }

    #[test]
    fn neither_debug_nor_the_error_shows_the_key() {
        let key = LicenseKey::generate();
        assert_eq!(format!("{key:?}"), "LicenseKey(redacted)");
        let mistyped = format!("{}Z", key.expose());
        let error = mistyped.parse::<LicenseKey>().unwrap_err();
        assert!(!error.to_string().contains(&key.expose()[..5]));
    }

    #[test]
    fn on_the_wire_a_key_is_its_text_and_any_text_is_taken() {
        let key = LicenseKey::generate();
        let wire = crate::methods::encode(&key).unwrap();
        assert_eq!(wire, crate::methods::encode(key.expose()).unwrap());
        let odd: LicenseKey = crate::methods::decode(b"\xa4oops").unwrap();
        assert_eq!(odd.expose(), "oops");
    }
}
