//! The C interface: the door for programs that load the library without generated code, and for
//! the calls of the Python, Kotlin and Swift packages, whose generated asynchronous functions cost
//! more than the call itself (docs/adr/0024). It has no client of its own: it and the uniffi
//! interface are two doors to the same [`crate::Client`].
//!
//! `scripts/c-header` makes `skyline.h` from this folder. What holds for all of it:
//!
//! - **Threads.** Every function may be called from any thread, at the same time, on the same
//!   handle, unless its text says otherwise. Nothing is ever called back.
//! - **Blocking.** Only the functions whose text says so wait for anything.
//! - **Ownership.** What the caller passes in is copied before the function returns. A handle that
//!   a function gives belongs to the caller, who frees it once with the function of its name. A
//!   pointer inside a struct belongs to what the text of the struct says.
//! - **Errors.** A function that can fail returns a kind, `SKYLINE_KIND_NONE` for success, or
//!   leaves a `SkylineError`. No text of an error holds a secret.
//! - **Forks.** In a child that `fork` made of a process with a client, calls are refused with
//!   `SKYLINE_KIND_FORKED`, and freeing frees nothing.
//! - **Pointers.** A null or dangling handle is undefined behaviour, except where null is allowed;
//!   a length of zero may come with any pointer.

mod answer;
mod call;
mod client;
mod error;
mod kind;
mod memory;
mod queue;
mod records;
mod waiting;
mod wake_handle;

pub use self::answer::{
    SkylineAnswer, skyline_answer_free, skyline_answer_wait, skyline_call, skyline_client_session,
};
pub use self::call::{SKYLINE_CALL_IDEMPOTENT, SKYLINE_CALL_JSON, SKYLINE_CALL_PAYLOAD};
pub use self::client::{
    SkylineClient, skyline_client_connect, skyline_client_free, skyline_client_shutdown,
};
pub use self::error::{
    SkylineError, skyline_error_code, skyline_error_details, skyline_error_details_json,
    skyline_error_free, skyline_error_kind, skyline_error_maybe_executed, skyline_error_text,
};
pub use self::kind::SkylineKind;
pub use self::queue::{
    SkylineCompletion, SkylineQueue, skyline_cancel, skyline_queue_drain, skyline_queue_free,
    skyline_queue_new, skyline_queue_wait, skyline_queue_wait_handle, skyline_submit,
    skyline_submit_many,
};
pub use self::records::SkylineCallHeader;
