//! The task that makes the calls of one queue.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::{Done, Shared};
use crate::Client;
use crate::error::Error;
use crate::ffi::c::call::Call;

/// How many completions are gathered before they are published although more may be ready: the
/// host begins with them, and the other tasks of the thread get their turn.
const BATCH: usize = 1024;

/// What the host asks of the task.
pub(super) enum Command {
    Submit { client: Client, calls: Vec<Call> },
    Cancel(u64),
}

/// Makes the calls until the queue is freed, which cancels what is in flight.
pub(super) async fn drive(shared: Arc<Shared>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut calls = FuturesUnordered::new();
    let mut flight = Flight {
        shared,
        handles: HashMap::new(),
        batch: Vec::new(),
    };
    let work = poll_fn(|context: &mut Context<'_>| {
        loop {
            match commands.poll_recv(context) {
                Poll::Ready(Some(Command::Submit {
                    client,
                    calls: submitted,
                })) => {
                    for call in submitted {
                        let (handle, registration) = AbortHandle::new_pair();
                        let id = call.id;
                        flight.handles.insert(id, handle);
                        let call = Abortable::new(call.run(client.clone()), registration);
                        calls.push(async move { (id, call.await) });
                    }
                }
                Poll::Ready(Some(Command::Cancel(id))) => {
                    if let Some(handle) = flight.handles.get(&id) {
                        handle.abort();
                    }
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        while flight.batch.len() < BATCH {
            match calls.poll_next_unpin(context) {
                Poll::Ready(Some((id, result))) => {
                    let cancelled = Err(Error::Cancelled {
                        maybe_executed: true,
                    });
                    flight.end(id, result.unwrap_or(cancelled));
                }
                Poll::Ready(None) | Poll::Pending => {
                    flight.publish();
                    return Poll::Pending;
                }
            }
        }
        flight.publish();
        context.waker().wake_by_ref();
        Poll::Pending
    });
    // The budget of a task is meant for one operation after another: many calls in one task would
    // use it up and poll each other in vain.
    tokio::task::unconstrained(work).await;
}

/// The calls that have not been published.
struct Flight {
    shared: Arc<Shared>,
    handles: HashMap<u64, AbortHandle>,
    batch: Vec<Done>,
}

impl Flight {
    fn end(&mut self, id: u64, result: crate::Result<Option<bytes::Bytes>>) {
        self.handles.remove(&id);
        self.batch.push(Done { id, result });
    }

    fn publish(&mut self) {
        self.shared.publish(&mut self.batch);
    }
}

impl Drop for Flight {
    /// Every call completes, even if its task should panic.
    fn drop(&mut self) {
        let ids: Vec<u64> = self.handles.keys().copied().collect();
        for id in ids {
            let ended = Err(Error::ShutDown {
                maybe_executed: true,
            });
            self.end(id, ended);
        }
        self.publish();
    }
}
