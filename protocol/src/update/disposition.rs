//! The header Content-Disposition (RFC 6266), with the extended form of `filename` (RFC 8187).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use super::file_name::ascii_fallback;
use crate::limits::MAX_DISPOSITION_BYTES;

/// What RFC 8187 calls `attr-char` stays as it is; the rest is written in percents.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Why a header is no Content-Disposition that names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DispositionError {
    /// It is longer than any that names a file.
    #[error("Content-Disposition is longer than {MAX_DISPOSITION_BYTES} bytes")]
    TooLong,
    /// It does not have the form of RFC 6266.
    #[error("Content-Disposition is malformed")]
    Malformed,
    /// A name stands there twice.
    #[error("Content-Disposition names the file twice in one form")]
    Duplicate,
    /// It names no file.
    #[error("Content-Disposition names no file")]
    NoName,
}

/// The names that a Content-Disposition gives to a file, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disposition {
    /// The value of `filename`.
    pub file_name: Option<String>,
    /// The decoded value of `filename*`, which goes before the other.
    pub extended: Option<String>,
}

impl Disposition {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is too long, malformed, ambiguous, or names no file.
    pub fn parse(header: &str) -> Result<Self, DispositionError> {
        if header.len() > MAX_DISPOSITION_BYTES {
            return Err(DispositionError::TooLong);
        }
        let mut input = Input(header);
        input.token().ok_or(DispositionError::Malformed)?;
        let mut names = Self::default();
        while let Some((name, value)) = input.parameter()? {
            let place = match name.to_ascii_lowercase().as_str() {
                "filename" => &mut names.file_name,
                "filename*" => {
                    let value = extended_value(&value).ok_or(DispositionError::Malformed)?;
                    if names.extended.replace(value).is_some() {
                        return Err(DispositionError::Duplicate);
                    }
                    continue;
                }
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(DispositionError::Duplicate);
            }
        }
        if names.file_name.is_none() && names.extended.is_none() {
            return Err(DispositionError::NoName);
        }
        Ok(names)
    }

    /// Whether every name here is that of the manifest, which is a plain file name. The old form
    /// may be the name itself or what ASCII has left of it.
    pub fn agrees_with(&self, file_name: &str) -> bool {
        let extended = self
            .extended
            .as_deref()
            .is_none_or(|name| name == file_name);
        let old = self
            .file_name
            .as_deref()
            .is_none_or(|name| name == file_name || name == ascii_fallback(file_name));
        extended && old
    }

    /// The header for a plain file name, in both forms.
    pub fn attachment(file_name: &str) -> String {
        format!(
            "attachment; filename=\"{}\"; filename*=UTF-8''{}",
            ascii_fallback(file_name),
            utf8_percent_encode(file_name, NOT_ATTR_CHAR)
        )
    }
}

/// `ext-value` of RFC 8187, section 3.2.1: a charset, a language, the text in percents.
fn extended_value(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    // The only charset that RFC 8187 asks for.
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let in_its_form = match byte {
            b'%' => bytes
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
            b'*' | b'\'' | b'(' | b')' => false,
            byte => is_token_byte(*byte),
        };
        if !in_its_form {
            return None;
        }
    }
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What is left of the header.
struct Input<'a>(&'a str);

impl<'a> Input<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// Takes the character if it is next, after any white space.
    fn take(&mut self, character: char) -> bool {
        self.skip_space();
        match self.0.strip_prefix(character) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn token(&mut self) -> Option<&'a str> {
        self.skip_space();
        let is_end = |byte: &u8| !is_token_byte(*byte);
        let end = self.0.as_bytes().iter().position(is_end);
        // A token is ASCII: this is no cut within a character.
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// The next parameter; `None` at the end.
    fn parameter(&mut self) -> Result<Option<(&'a str, Cow<'a, str>)>, DispositionError> {
        let malformed = DispositionError::Malformed;
        if !self.take(';') {
            self.skip_space();
            return if self.0.is_empty() {
                Ok(None)
            } else {
                Err(malformed)
            };
        }
        let name = self.token().ok_or(malformed)?;
        if !self.take('=') {
            return Err(malformed);
        }
        let value = if self.take('"') {
            Cow::Owned(self.quoted().ok_or(malformed)?)
        } else {
            Cow::Borrowed(self.token().ok_or(malformed)?)
        };
        Ok(Some((name, value)))
    }

    /// The rest of a quoted string (RFC 9110, section 5.6.4).
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut characters = self.0.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => value.push(characters.next()?),
                character => value.push(character),
            }
        }
        self.0 = characters.as_str();
        Some(value)
    }
}
