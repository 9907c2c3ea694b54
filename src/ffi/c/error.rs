//! Errors as the C interface gives them: a kind, a code, a sentence, and everything else as a map.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;

use serde::Serialize;

use super::kind::SkylineKind;
use crate::error::Error;
use crate::ffi::FailureDetails;

/// Why something failed. Immutable; its texts live as long as it does.
pub struct SkylineError {
    details: Details,
    code: CString,
    text: CString,
    // Made when asked for: most programs look at the kind alone.
    message_pack: OnceLock<Vec<u8>>,
    json: OnceLock<CString>,
}

/// The record of the uniffi interface, its kind as the number of this one.
#[derive(Serialize)]
struct Details {
    kind: i32,
    #[serde(flatten)]
    fields: FailureDetails,
}

impl From<&Error> for SkylineError {
    fn from(error: &Error) -> Self {
        let fields = FailureDetails::from(error);
        Self {
            code: c_text(&fields.code),
            text: c_text(&fields.text),
            details: Details {
                kind: SkylineKind::from(fields.kind) as i32,
                fields,
            },
            message_pack: OnceLock::new(),
            json: OnceLock::new(),
        }
    }
}

impl SkylineError {
    pub(super) fn kind(&self) -> i32 {
        self.details.kind
    }

    fn message_pack(&self) -> &[u8] {
        // Numbers, texts and nothing else: writing them to memory does not fail.
        self.message_pack
            .get_or_init(|| rmp_serde::to_vec_named(&self.details).unwrap_or_default())
    }

    fn json(&self) -> &CString {
        self.json
            .get_or_init(|| c_text(&serde_json::to_string(&self.details).unwrap_or_default()))
    }
}

/// A text with its end marked by a NUL; one inside it, which a server may send, is replaced.
fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// The kind of the failure: a `SkylineKind`.
///
/// # Safety
/// `error` is a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_error_kind(error: *const SkylineError) -> i32 {
    // SAFETY: promised by the caller.
    unsafe { &*error }.kind()
}

/// The stable code of the kind, for example `RATE_LIMITED`, the same in every language: UTF-8 that
/// ends with NUL and lives as long as the error.
///
/// # Safety
/// `error` is a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_error_code(error: *const SkylineError) -> *const c_char {
    // SAFETY: promised by the caller.
    unsafe { &*error }.code.as_ptr()
}

/// A sentence for a person, the server's own where it gave one: UTF-8 that ends with NUL and lives
/// as long as the error.
///
/// # Safety
/// `error` is a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_error_text(error: *const SkylineError) -> *const c_char {
    // SAFETY: promised by the caller.
    unsafe { &*error }.text.as_ptr()
}

/// Whether the request may have been executed: 1 or 0; -1 where the question does not arise.
///
/// # Safety
/// `error` is a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_error_maybe_executed(error: *const SkylineError) -> i32 {
    // SAFETY: promised by the caller.
    match unsafe { &*error }.details.fields.maybe_executed {
        None => -1,
        Some(maybe_executed) => maybe_executed.into(),
    }
}

/// Everything about the failure as a MessagePack map, whose bytes live as long as the error:
/// `kind` int, `code` and `text` str, and, each nil where it does not apply, `status`,
/// `server_message`, `field`, `expected`, `breach_reason`, `connection_failure`,
/// `update_failure` str, `http_status`, `retry_after_seconds` int, `maybe_executed` bool.
///
/// # Safety
/// `error` is a live error; `bytes` and `length` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_error_details(
    error: *const SkylineError,
    bytes: *mut *const u8,
    length: *mut usize,
) {
    // SAFETY: promised by the caller.
    unsafe {
        let details = (*error).message_pack();
        *bytes = details.as_ptr();
        *length = details.len();
    }
}

/// The map of `skyline_error_details` as JSON: UTF-8 that ends with NUL and lives as long as the
/// error.
///
/// # Safety
/// `error` is a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_error_details_json(error: *const SkylineError) -> *const c_char {
    // SAFETY: promised by the caller.
    unsafe { &*error }.json().as_ptr()
}

/// Frees an error that a function left through a `SkylineError **`. Null is fine. Errors inside a
/// `SkylineCompletion` or a `SkylineAnswer` are not to be freed by this. No other thread may use the
/// error meanwhile.
///
/// # Safety
/// `error` is null, or an error that was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_error_free(error: *mut SkylineError) {
    if !error.is_null() {
        // SAFETY: promised by the caller.
        drop(unsafe { Box::from_raw(error) });
    }
}
