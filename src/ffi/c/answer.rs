//! Calls that wait on the calling thread.

use std::ffi::c_void;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::call::{Call, FLAGS};
use super::client::SkylineClient;
use super::error::SkylineError;
use super::waiting::wait;
use super::{memory, records};
use crate::error::{Error, Result};
use crate::runtime;

/// What a blocking call gave, or the call itself while it is pending. To be zeroed before it is
/// handed to a function, and given to `skyline_answer_free` once afterwards; until then its
/// pointers stay valid. Used by one thread at a time.
#[repr(C)]
pub struct SkylineAnswer {
    /// Why the call failed; null when it did not.
    pub error: *const SkylineError,
    /// The answer's payload; null when it has none.
    pub payload: *const u8,
    /// The payload's length in bytes.
    pub payload_len: usize,
    /// The library's.
    pub owner: *mut c_void,
}

type Calling = Pin<Box<dyn Future<Output = Result<Option<Bytes>>> + Send>>;

/// What the owner field points to.
enum Owner {
    Pending(Calling),
    Done(Option<Bytes>),
    Failed(Box<SkylineError>),
}

impl SkylineAnswer {
    const EMPTY: Self = Self {
        error: ptr::null(),
        payload: ptr::null(),
        payload_len: 0,
        owner: ptr::null_mut(),
    };

    fn hold(owner: Owner) -> Self {
        let owner = Box::new(owner);
        let (mut error, mut payload, mut payload_len) = (ptr::null(), ptr::null(), 0);
        match &*owner {
            Owner::Done(Some(bytes)) => {
                payload = bytes.as_ptr();
                payload_len = bytes.len();
            }
            Owner::Failed(failure) => error = &raw const **failure,
            Owner::Pending(_) | Owner::Done(None) => {}
        }
        Self {
            error,
            payload,
            payload_len,
            owner: Box::into_raw(owner).cast(),
        }
    }

    fn finished(result: Result<Option<Bytes>>) -> Self {
        match result {
            // Nothing to keep: an answer without payload costs no memory.
            Ok(None) => Self::EMPTY,
            Ok(payload) => Self::hold(Owner::Done(payload)),
            Err(error) => Self::hold(Owner::Failed(Box::new((&error).into()))),
        }
    }

    /// Goes on with a call and says whether it is done.
    fn go_on(mut calling: Calling, patience: Option<Duration>) -> (Self, i32) {
        // In a forked child nobody would answer.
        if let Err(error) = runtime::check() {
            std::mem::forget(calling);
            return (Self::finished(Err(error)), DONE);
        }
        match wait(calling.as_mut(), patience) {
            Some(result) => (Self::finished(result), DONE),
            None => (Self::hold(Owner::Pending(calling)), PENDING),
        }
    }

    /// Takes out what the answer owns.
    fn take(&mut self) -> Option<Owner> {
        let owner: *mut Owner = std::mem::replace(self, Self::EMPTY).owner.cast();
        // SAFETY: made by `hold`, and taken once: the field is null from here on.
        (!owner.is_null()).then(|| *unsafe { Box::from_raw(owner) })
    }
}

const PENDING: i32 = 0;
const DONE: i32 = 1;

/// Makes one call and blocks for its answer, for `patience_ms` at the most (`UINT64_MAX`: to the
/// call's end). Many threads may do so at once, each with an answer of its own.
///
/// `method` is UTF-8; `payload`, null for none, is the MessagePack of one value; `deadline_ms` and
/// `flags` are those of `SkylineCallHeader`.
///
/// Returns 1 when the call is done: `answer` tells how. Returns 0 when it is not: go on with
/// `skyline_answer_wait`, or give it up with `skyline_answer_free`.
///
/// # Safety
/// `client` is a live client; `method` and `payload` point to as many bytes as their lengths say,
/// unless `payload` is null; `answer` may be written to and owns nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_call(
    client: *const SkylineClient,
    method: *const u8,
    method_len: usize,
    payload: *const u8,
    payload_len: usize,
    deadline_ms: u64,
    flags: u32,
    patience_ms: u64,
    answer: *mut SkylineAnswer,
) -> i32 {
    // SAFETY: promised by the caller.
    let (client, call) = unsafe {
        let call = one_call(
            0,
            method,
            method_len,
            payload,
            payload_len,
            deadline_ms,
            flags,
        );
        ((*client).client().clone(), call)
    };
    let (got, state) = match call {
        Ok(call) => {
            SkylineAnswer::go_on(Box::pin(call.run(client)), records::deadline(patience_ms))
        }
        Err(error) => (SkylineAnswer::finished(Err(error)), DONE),
    };
    // SAFETY: promised by the caller.
    unsafe { *answer = got };
    state
}

/// Waits on for a call that is pending, as `skyline_call`; an answer that is there already stays
/// as it is. One thread at a time for each answer.
///
/// # Safety
/// `answer` was filled by `skyline_call` and not freed since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_answer_wait(answer: *mut SkylineAnswer, patience_ms: u64) -> i32 {
    // SAFETY: promised by the caller.
    let answer = unsafe { &mut *answer };
    let (got, state) = match answer.take() {
        Some(Owner::Pending(calling)) => {
            SkylineAnswer::go_on(calling, records::deadline(patience_ms))
        }
        Some(owner) => (SkylineAnswer::hold(owner), DONE),
        None => (SkylineAnswer::EMPTY, DONE),
    };
    *answer = got;
    state
}

/// Frees what an answer holds and zeroes it; a call that is pending is cancelled. No other thread may
/// use the answer meanwhile.
///
/// # Safety
/// `answer` is zeroed, or was filled by a function of the library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_answer_free(answer: *mut SkylineAnswer) {
    // SAFETY: promised by the caller.
    let owner = unsafe { &mut *answer }.take();
    if let Some(Owner::Pending(calling)) = owner
        && runtime::is_forked()
    {
        // Dropping it takes locks that a thread of the parent may have held at the fork.
        std::mem::forget(calling);
    }
}

/// The session's facts as the payload of `answer`: a MessagePack map of `is_activated_now` bool,
/// `activation_date`, `expiry_date` (`YYYY-MM-DD`) and `license_plan` str. Never blocks. Returns a
/// kind.
///
/// # Safety
/// `client` is a live client; `answer` may be written to and owns nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn skyline_client_session(
    client: *const SkylineClient,
    answer: *mut SkylineAnswer,
) -> i32 {
    // SAFETY: promised by the caller.
    let client = unsafe { &*client }.client();
    let facts = runtime::check().and_then(|()| {
        let facts = crate::ffi::Session::from(&client.session());
        rmp_serde::to_vec_named(&facts).map_err(|error| Error::Payload {
            detail: error.to_string(),
        })
    });
    let kind = match &facts {
        Ok(_) => 0,
        Err(error) => SkylineError::from(error).kind(),
    };
    // SAFETY: promised by the caller.
    unsafe { *answer = SkylineAnswer::finished(facts.map(|facts| Some(facts.into()))) };
    kind
}

/// A call of its own, not from a buffer of many.
///
/// # Safety
/// `method` and `payload` point to as many bytes as their lengths say, unless `payload` is null.
pub(super) unsafe fn one_call(
    id: u64,
    method: *const u8,
    method_len: usize,
    payload: *const u8,
    payload_len: usize,
    deadline_ms: u64,
    flags: u32,
) -> Result<Call> {
    if flags & !FLAGS != 0 {
        return Err(Error::invalid("flags", "known flags"));
    }
    // SAFETY: promised by the caller.
    let (method, payload) = unsafe {
        let payload = (!payload.is_null())
            .then(|| Bytes::copy_from_slice(memory::bytes(payload, payload_len)));
        (memory::bytes(method, method_len), payload)
    };
    Ok(Call {
        id,
        method: Arc::from(memory::text("method", method)?),
        payload,
        deadline: records::deadline(deadline_ms),
        flags,
    })
}
