//! Which names a file of an update may have.
//!
//! A name that any of the supported systems reads as a path, as a device, or shows as something
//! else than it is, is refused rather than repaired: who publishes an update can choose another.

use thiserror::Error;

use crate::limits::MAX_FILE_NAME_BYTES;

/// Why a name is not given to a file. The texts go on after "the file name".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FileNameError {
    /// It is empty or too long.
    #[error("is empty or longer than {MAX_FILE_NAME_BYTES} bytes")]
    Length,
    /// It holds what separates the parts of a path on some system, or steps out of its folder.
    #[error("is a path: `/`, `\\`, `:` and `..` are refused")]
    Path,
    /// It holds a character that cannot be seen or changes the direction of the text.
    #[error("holds control, invisible or direction-changing characters")]
    Invisible,
    /// It holds a character that Windows forbids.
    #[error("holds one of the characters < > \" | ? *, which Windows forbids")]
    Forbidden,
    /// It begins or ends as no system keeps it.
    #[error("begins or ends with a space or a dot, which systems hide or cut off")]
    Edge,
    /// It is a device on Windows.
    #[error("is the name of a device on Windows")]
    Device,
}

/// Names of devices on Windows, whatever follows after a dot and in whatever case: Microsoft's
/// "Naming Files, Paths, and Namespaces", superscript digits included.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Devices that a digit follows.
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// Checks that a name is a plain file name on every supported system.
///
/// # Errors
/// What is wrong with it.
pub fn check_file_name(name: &str) -> Result<(), FileNameError> {
    if name.is_empty() || name.len() > MAX_FILE_NAME_BYTES {
        return Err(FileNameError::Length);
    }
    if name.contains(['/', '\\', ':']) || name.contains("..") {
        return Err(FileNameError::Path);
    }
    if name.contains(is_invisible) {
        return Err(FileNameError::Invisible);
    }
    if name.contains(['<', '>', '"', '|', '?', '*']) {
        return Err(FileNameError::Forbidden);
    }
    let edge = |character: char| character == '.' || character.is_whitespace();
    if name.starts_with(edge) || name.ends_with(edge) {
        return Err(FileNameError::Edge);
    }
    if is_device(name) {
        return Err(FileNameError::Device);
    }
    Ok(())
}

/// The name in ASCII, `_` for each other character: what the old form of Content-Disposition's
/// `filename` can say (RFC 6266, appendix D).
pub fn ascii_fallback(name: &str) -> String {
    name.chars()
        .map(|character| match character {
            // RFC 6266, appendix D: some readers take `%` for an escape.
            '%' => '_',
            ' '..='~' => character,
            _ => '_',
        })
        .collect()
}

/// Control characters, and those of Unicode's general category Cf and of the separators that show
/// nothing or turn the direction of the text.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end().to_lowercase();
    if DEVICES.contains(&stem.as_str()) {
        return true;
    }
    NUMBERED_DEVICES.iter().any(|device| {
        let mut rest = stem.strip_prefix(device).unwrap_or_default().chars();
        matches!(
            (rest.next(), rest.next()),
            (Some('0'..='9' | '¹' | '²' | '³'), None)
        )
    })
}
