//! What the caller's pointers stand for.

use super::error::SkylineError;
use crate::error::{Error, Result};

/// The bytes at `start`; none for a length of zero, whatever the pointer.
///
/// # Safety
/// `start` points to `length` bytes that nobody changes while the result is used.
pub(super) unsafe fn bytes<'a>(start: *const u8, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(start, length) }
}

/// The text of an argument.
///
/// # Errors
///
/// [`Error::InvalidConfiguration`] when it is not UTF-8.
pub(super) fn text<'a>(argument: &'static str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|_| Error::invalid(argument, "text in UTF-8"))
}

/// Leaves `error` for the caller, who may not want it, and gives its kind.
///
/// # Safety
/// `place` is null, or may be written to.
pub(super) unsafe fn leave(error: &Error, place: *mut *mut SkylineError) -> i32 {
    let error = SkylineError::from(error);
    let kind = error.kind();
    if !place.is_null() {
        // SAFETY: promised by the caller.
        unsafe { *place = Box::into_raw(Box::new(error)) };
    }
    kind
}
