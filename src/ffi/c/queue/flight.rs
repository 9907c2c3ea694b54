//! The calls of one queue that are not over, and the task that goes on with them.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
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

/// The calls that were begun and not published, and what is still to be done for the host.
pub(super) struct Flight {
    commands: mpsc::UnboundedReceiver<Command>,
    calls: FuturesUnordered<BoxFuture<'static, Done>>,
    handles: HashMap<u64, AbortHandle>,
    batch: Vec<Done>,
    /// Wakes the task, whoever polled a call; none before it runs, and when it has ended.
    task: Option<Waker>,
}

impl Flight {
    pub(super) fn new(commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self {
            commands,
            calls: FuturesUnordered::new(),
            handles: HashMap::new(),
            batch: Vec::new(),
            task: None,
        }
    }

    /// Begins a call on the host's thread, so that it leaves without waking the task; gives it back
    /// where there is no task to go on with it, and where there are other calls or commands: what
    /// they have to do is not for the host's thread, and a call must not overtake the cancelling of an
    /// earlier one with its id.
    pub(super) fn begin_at_once(
        &mut self,
        client: &Client,
        call: Call,
        shared: &Shared,
    ) -> Result<(), Call> {
        let task = match &self.task {
            Some(task) if self.calls.is_empty() && self.commands.is_empty() => task.clone(),
            _ => return Err(call),
        };
        self.begin(client.clone(), call);
        if self.go_on(&mut Context::from_waker(&task), shared) {
            task.wake();
        }
        Ok(())
    }

    fn begin(&mut self, client: Client, call: Call) {
        let (handle, registration) = AbortHandle::new_pair();
        let id = call.id;
        self.handles.insert(id, handle);
        let call = Abortable::new(call.run(client), registration);
        let call = call.map(move |result| Done {
            id,
            result: result.unwrap_or(Err(Error::Cancelled {
                maybe_executed: true,
            })),
        });
        self.calls.push(call.boxed());
    }

    fn cancel(&self, id: u64) {
        if let Some(handle) = self.handles.get(&id) {
            handle.abort();
        }
    }

    /// Goes on with the calls that were woken and publishes those that are over; says whether there
    /// may be more.
    fn go_on(&mut self, context: &mut Context<'_>, shared: &Shared) -> bool {
        while self.batch.len() < BATCH {
            match self.calls.poll_next_unpin(context) {
                Poll::Ready(Some(done)) => self.end(done),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        let more = self.batch.len() == BATCH;
        shared.publish(&mut self.batch);
        more
    }

    fn end(&mut self, done: Done) {
        self.handles.remove(&done.id);
        self.batch.push(done);
    }

    /// Drops the calls; every one completes, even if the task should have panicked.
    fn close(&mut self, shared: &Shared) {
        self.task = None;
        self.calls.clear();
        let mut ended: Vec<u64> = self.handles.drain().map(|(id, _)| id).collect();
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Submit { calls, .. } = command {
                ended.extend(calls.iter().map(|call| call.id));
            }
        }
        self.batch.extend(ended.into_iter().map(|id| Done {
            id,
            result: Err(Error::ShutDown {
                maybe_executed: true,
            }),
        }));
        shared.publish(&mut self.batch);
    }
}

/// Ends the calls with the task.
struct Landing(Arc<Shared>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.flight().close(&self.0);
    }
}

/// Goes on with the calls until the queue is freed, which cancels what is in flight.
pub(super) async fn drive(shared: Arc<Shared>) {
    let landing = Landing(shared);
    let shared = &landing.0;
    let work = poll_fn(|context: &mut Context<'_>| {
        let mut flight = shared.flight();
        if !(flight.task.as_ref()).is_some_and(|task| task.will_wake(context.waker())) {
            flight.task = Some(context.waker().clone());
        }
        loop {
            match flight.commands.poll_recv(context) {
                Poll::Ready(Some(Command::Submit { client, calls })) => {
                    for call in calls {
                        flight.begin(client.clone(), call);
                    }
                }
                Poll::Ready(Some(Command::Cancel(id))) => flight.cancel(id),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if flight.go_on(context, shared) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    });
    // The budget of a task is meant for one operation after another: many calls in one task would
    // use it up and poll each other in vain.
    tokio::task::unconstrained(work).await;
}
