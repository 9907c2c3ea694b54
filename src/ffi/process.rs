//! What concerns the whole process of the host.

/// The version of this library, as semantic versioning writes it.
#[uniffi::export]
pub fn library_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Stops the library's threads for good; to be called when the host's interpreter is about to
/// end, since a callback into a finalizing interpreter kills the process.
///
/// When it returns, nothing calls into the host any more; only a log sink that has been stuck in
/// one record for two seconds is left as it is. Connections are left to the operating
/// system to close, and everything that is asked of the library later fails with `ShutDown`.
#[uniffi::export]
pub fn halt() {
    crate::logging::halt();
    crate::runtime::halt();
}
