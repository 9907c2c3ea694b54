//! Cancelling by hand, for hosts whose runtime does not drop the future it gave up on.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// Cancels the operations that it was handed to. May be used once, from any thread.
///
/// Swift needs it: the generated code does not pass `Task.cancel()` on. In Python and Kotlin
/// dropping the future cancels as well.
#[derive(Debug, Default, uniffi::Object)]
pub struct Cancellation {
    token: CancellationToken,
}

#[uniffi::export]
impl Cancellation {
    /// A handle that has not been cancelled.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Ends the operations that hold this handle, and those that will be given it, with the kind
    /// `Cancelled`. Further calls change nothing.
    pub fn cancel(&self) {
        self.token.cancel();
    }
}

impl Cancellation {
    /// Awaits a request to the server unless `cancellation` comes first; it is dropped then.
    pub(super) async fn guard<T>(
        cancellation: Option<Arc<Self>>,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // What was cancelled before it began was not executed; of the rest nobody knows.
        let maybe_executed = cancellation
            .as_ref()
            .is_some_and(|handle| !handle.token.is_cancelled());
        let cancelled = Err(Error::Cancelled { maybe_executed });
        Self::unless_cancelled(cancellation, request)
            .await
            .unwrap_or(cancelled)
    }

    /// Awaits `operation`; `None` when `cancellation` came first.
    pub(super) async fn unless_cancelled<T>(
        cancellation: Option<Arc<Self>>,
        operation: impl Future<Output = T>,
    ) -> Option<T> {
        let Some(cancellation) = cancellation else {
            return Some(operation.await);
        };
        cancellation.token.run_until_cancelled(operation).await
    }
}
