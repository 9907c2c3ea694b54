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
    /// Awaits `operation` unless `cancellation` comes first; the operation is dropped then.
    pub(super) async fn guard<T>(
        cancellation: Option<Arc<Self>>,
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(cancellation) = cancellation else {
            return operation.await;
        };
        tokio::select! {
            biased;
            () = cancellation.token.cancelled() => Err(Error::Cancelled { maybe_executed: true }),
            result = operation => result,
        }
    }
}
