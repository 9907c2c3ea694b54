//! The C interface as a program in C uses it, against a real server. examples/c/quickstart.c runs it
//! under AddressSanitizer and valgrind, too.

mod support;

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::ptr;

use rmpv::Value;
use skyline::ffi::c::*;
use support::{Owner, PRODUCT, Server, VERSION};

/// Stands for the client's own deadline, and for patience without end.
const NONE: u64 = u64::MAX;

/// What no wait of a test exceeds, in milliseconds.
const PATIENCE: u64 = 60_000;

/// A client, shut down and freed at the end.
struct Client(*mut SkylineClient);

// SAFETY: the interface says that handles may be used by every thread.
unsafe impl Sync for Client {}

impl Client {
    fn connect(owner: &Owner) -> Self {
        Self::try_connect(&configuration(owner)).unwrap()
    }

    fn try_connect(configuration: &Value) -> Result<Self, Failure> {
        let configuration = pack(configuration);
        let (mut client, mut error) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the arguments are as the function wants them.
        let kind = unsafe {
            skyline_client_connect(
                configuration.as_ptr(),
                configuration.len(),
                &raw mut client,
                &raw mut error,
            )
        };
        if kind == 0 {
            return Ok(Self(client));
        }
        let failure = Failure::of(error);
        assert_eq!(failure.kind, kind);
        // SAFETY: it was left by the function above.
        unsafe { skyline_error_free(error) };
        Err(failure)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: the client is live, and freed once.
        unsafe {
            skyline_client_shutdown(self.0);
            skyline_client_free(self.0);
        }
    }
}

/// A queue, freed at the end.
struct Queue(*mut SkylineQueue);

// SAFETY: the interface says that handles may be used by every thread.
unsafe impl Sync for Queue {}

impl Queue {
    fn new() -> Self {
        // SAFETY: the error is not wanted.
        let queue = unsafe { skyline_queue_new(ptr::null_mut()) };
        assert!(!queue.is_null());
        Self(queue)
    }

    fn submit(&self, client: &Client, id: u64, method: &str, payload: &[u8]) -> i32 {
        // SAFETY: the handles are live, and the pointers have their lengths.
        unsafe {
            skyline_submit(
                client.0,
                self.0,
                id,
                method.as_ptr(),
                method.len(),
                payload.as_ptr(),
                payload.len(),
                NONE,
                SKYLINE_CALL_PAYLOAD,
            )
        }
    }

    fn submit_many(&self, client: &Client, records: &[u8]) -> i32 {
        // SAFETY: the handles are live, and the pointer has its length.
        unsafe { skyline_submit_many(client.0, self.0, records.as_ptr(), records.len()) }
    }

    /// The ends of `count` calls by their ids.
    fn drain(&self, count: usize) -> BTreeMap<u64, Result<Vec<u8>, Failure>> {
        let mut ends = BTreeMap::new();
        while ends.len() < count {
            // SAFETY: the queue is live.
            assert_eq!(unsafe { skyline_queue_wait(self.0, PATIENCE) }, 1);
            // Fewer than there may be, so that several rounds are needed.
            let mut completions = [SkylineCompletion {
                id: 0,
                error: ptr::null(),
                payload: ptr::null(),
                payload_len: 0,
            }; 7];
            // SAFETY: the queue is live, and the array has its length.
            let drained =
                unsafe { skyline_queue_drain(self.0, completions.as_mut_ptr(), completions.len()) };
            assert!(drained > 0);
            for completion in &completions[..drained] {
                let end = if completion.error.is_null() {
                    // SAFETY: it lives until the next drain.
                    Ok(unsafe { bytes(completion.payload, completion.payload_len) })
                } else {
                    Err(Failure::of(completion.error))
                };
                assert!(
                    ends.insert(completion.id, end).is_none(),
                    "{}",
                    completion.id
                );
            }
        }
        assert_eq!(ends.len(), count);
        ends
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue is live, and freed once.
        unsafe { skyline_queue_free(self.0) };
    }
}

/// What an error says.
#[derive(Debug)]
struct Failure {
    kind: i32,
    code: String,
    text: String,
    maybe_executed: i32,
}

impl Failure {
    fn of(error: *const SkylineError) -> Self {
        // SAFETY: the error is live, and so are its texts.
        unsafe {
            let (mut details, mut length) = (ptr::null(), 0);
            skyline_error_details(error, &raw mut details, &raw mut length);
            let details = rmpv::decode::read_value(&mut &bytes(details, length)[..]).unwrap();
            let failure = Self {
                kind: skyline_error_kind(error),
                code: text(skyline_error_code(error)),
                text: text(skyline_error_text(error)),
                maybe_executed: skyline_error_maybe_executed(error),
            };
            let json: serde_json::Value =
                serde_json::from_str(&text(skyline_error_details_json(error))).unwrap();
            for (name, expected) in [("code", &failure.code), ("text", &failure.text)] {
                assert_eq!(json[name], **expected);
                let entry = details.as_map().unwrap().iter();
                let entry = entry.clone().find(|(key, _)| key.as_str() == Some(name));
                assert_eq!(entry.unwrap().1.as_str(), Some(&**expected));
            }
            failure
        }
    }
}

unsafe fn text(text: *const c_char) -> String {
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

unsafe fn bytes(start: *const u8, length: usize) -> Vec<u8> {
    if start.is_null() {
        return Vec::new();
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(start, length) }.to_vec()
}

/// The settings that the test's client has.
fn configuration(owner: &Owner) -> Value {
    let state_folder = owner.state.path().to_str().unwrap();
    map([
        ("product_id", PRODUCT.into()),
        ("product_version", VERSION.into()),
        ("license_key", owner.license_key.expose().into()),
        (
            "identity_keys",
            Value::Array(vec![owner.identity_key.as_str().into()]),
        ),
        ("url", owner.url.as_str().into()),
        ("state_folder", state_folder.into()),
    ])
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.map(|(name, value)| (name.into(), value));
    Value::Map(entries.into())
}

fn pack(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

fn number(number: u64) -> Vec<u8> {
    pack(&number.into())
}

/// A call that outlives every test, unless something ends it.
const DELAY: &str = "test.delay";

fn long() -> Vec<u8> {
    pack(&map([("milliseconds", 50_000.into())]))
}

/// A call as `skyline_submit_many` takes it.
fn record(id: u64, method: &str, payload: &[u8]) -> Vec<u8> {
    let lengths = [method.len(), payload.len()].map(|length| u32::try_from(length).unwrap());
    let mut record = Vec::new();
    for long in [id, NONE] {
        record.extend(long.to_ne_bytes());
    }
    for short in [lengths[0], lengths[1], SKYLINE_CALL_PAYLOAD, 0] {
        record.extend(short.to_ne_bytes());
    }
    record.extend(method.as_bytes());
    record.extend(payload);
    record
}

/// Whether the queue's handle is readable within `patience` milliseconds.
#[cfg(unix)]
fn is_readable(queue: &Queue, patience: u64) -> bool {
    // SAFETY: the queue is live.
    let handle = unsafe { skyline_queue_wait_handle(queue.0) };
    let mut watched = libc::pollfd {
        fd: handle.try_into().unwrap(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor.
    unsafe { libc::poll(&raw mut watched, 1, patience.try_into().unwrap()) == 1 }
}

/// A blocking call, and whether it is done after `patience` milliseconds.
fn call(client: &Client, method: &str, payload: &[u8], patience: u64) -> (SkylineAnswer, bool) {
    let mut answer = SkylineAnswer {
        error: ptr::null(),
        payload: ptr::null(),
        payload_len: 0,
        owner: ptr::null_mut(),
    };
    // SAFETY: the client is live, and the pointers have their lengths.
    let done = unsafe {
        skyline_call(
            client.0,
            method.as_ptr(),
            method.len(),
            payload.as_ptr(),
            payload.len(),
            NONE,
            SKYLINE_CALL_PAYLOAD,
            patience,
            &raw mut answer,
        )
    };
    (answer, done == 1)
}

#[test]
fn lone_calls_and_batches_complete_once_each() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    // Lone calls, each begun on this thread, and a batch that is not.
    for id in 0..10 {
        assert_eq!(queue.submit(&client, id, "test.echo", &number(id)), 0);
    }
    let batch: Vec<u8> = (10..300)
        .flat_map(|id| record(id, "test.echo", &number(id)))
        .collect();
    assert_eq!(queue.submit_many(&client, &batch), 0);
    for (id, end) in queue.drain(300) {
        assert_eq!(end.unwrap(), number(id));
    }
    // One after the other: a call that has the connection for itself leaves at once.
    for id in 0..50 {
        assert_eq!(queue.submit(&client, id, "test.echo", &number(id)), 0);
        assert_eq!(queue.drain(1).remove(&id).unwrap().unwrap(), number(id));
    }
}

#[test]
fn threads_may_share_a_queue() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (client, queue) = (&client, &queue);
            scope.spawn(move || {
                for id in (thread * 1000..).take(100) {
                    assert_eq!(queue.submit(client, id, "test.echo", &number(id)), 0);
                }
            });
        }
        for (id, end) in queue.drain(400) {
            assert_eq!(end.unwrap(), number(id));
        }
    });
}

#[test]
fn a_failed_call_tells_its_kind_its_code_and_a_sentence() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    queue.submit(&client, 1, "no-such-method", &number(1));
    queue.submit(&client, 2, "test.echo", b"\xc1");
    let mut ends = queue.drain(2);
    let unknown = ends.remove(&1).unwrap().unwrap_err();
    assert_eq!(unknown.kind, SkylineKind::UnknownMethod as i32);
    assert_eq!(unknown.code, "UNKNOWN_METHOD");
    assert!(!unknown.text.is_empty());
    assert_eq!(
        unknown.maybe_executed, -1,
        "the server says that it was not"
    );
    let malformed = ends.remove(&2).unwrap().unwrap_err();
    assert_eq!(malformed.kind, SkylineKind::Payload as i32);
}

#[test]
fn a_cancelled_call_completes_as_cancelled_and_hurts_no_other() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    queue.submit(&client, 1, DELAY, &long());
    queue.submit_many(&client, &record(2, DELAY, &long()));
    // SAFETY: the queue is live; an id that is not in flight is ignored.
    unsafe {
        skyline_cancel(queue.0, 1);
        skyline_cancel(queue.0, 2);
        skyline_cancel(queue.0, 3);
    }
    for (_, end) in queue.drain(2) {
        assert_eq!(end.unwrap_err().kind, SkylineKind::Cancelled as i32);
    }
    queue.submit(&client, 3, "test.echo", &number(3));
    assert_eq!(queue.drain(1).remove(&3).unwrap().unwrap(), number(3));
}

#[test]
fn a_malformed_batch_is_refused_whole() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    let mut records = record(1, "test.echo", &number(1));
    records.extend(record(2, "test.echo", &number(2)));
    records.pop();
    let kind = queue.submit_many(&client, &records);
    assert_eq!(kind, SkylineKind::InvalidConfiguration as i32);
    queue.submit(&client, 3, "test.echo", &number(3));
    assert_eq!(queue.drain(1).into_keys().collect::<Vec<_>>(), [3]);
}

#[cfg(unix)]
#[test]
fn the_handle_is_readable_while_completions_wait() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    queue.submit(&client, 1, "test.echo", &number(1));
    // SAFETY: the queue is live.
    assert_eq!(unsafe { skyline_queue_wait(queue.0, PATIENCE) }, 1);
    assert!(
        is_readable(&queue, 0),
        "asked for after the completion came"
    );
    queue.drain(1);
    assert!(!is_readable(&queue, 0));
    queue.submit(&client, 2, "test.echo", &number(2));
    assert!(is_readable(&queue, PATIENCE), "asked for before");
    assert!(is_readable(&queue, 0), "it is not drained");
    // SAFETY: the queue is live.
    assert_eq!(unsafe { skyline_queue_wait(queue.0, 0) }, 1);
    queue.drain(1);
    assert!(!is_readable(&queue, 0));
}

#[cfg(unix)]
#[test]
fn the_handle_tells_of_nothing_once_at_the_most() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    assert!(!is_readable(&queue, 0));
    for id in 0..2000 {
        queue.submit(&client, id, "test.echo", &number(id));
        // Without a look at the handle, which may be told only now.
        queue.drain(1);
        let mut times = 0;
        while is_readable(&queue, 0) {
            let mut none: [SkylineCompletion; 0] = [];
            // SAFETY: the queue is live, and there is room for nothing.
            let drained = unsafe { skyline_queue_drain(queue.0, none.as_mut_ptr(), 0) };
            assert_eq!(drained, 0);
            times += 1;
            assert!(times <= 1, "call {id}");
        }
    }
}

#[test]
fn a_drained_id_may_be_used_again_although_it_was_cancelled() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    for round in 0..2000 {
        queue.submit(&client, 1, "test.echo", &number(round));
        // SAFETY: the queue is live.
        assert_eq!(unsafe { skyline_queue_wait(queue.0, PATIENCE) }, 1);
        // SAFETY: the queue is live.
        unsafe { skyline_cancel(queue.0, 1) };
        assert_eq!(queue.drain(1).remove(&1).unwrap().unwrap(), number(round));
    }
}

#[test]
fn a_session_tells_its_facts() {
    let server = Server::start();
    let client = Client::connect(&server.owner());
    // SAFETY: an answer that owns nothing is zeroed.
    let mut answer: SkylineAnswer = unsafe { std::mem::zeroed() };
    // SAFETY: the client is live, and the answer may be written to and is freed once.
    let facts = unsafe {
        assert_eq!(skyline_client_session(client.0, &raw mut answer), 0);
        let facts = bytes(answer.payload, answer.payload_len);
        skyline_answer_free(&raw mut answer);
        facts
    };
    let facts = rmpv::decode::read_value(&mut &facts[..]).unwrap();
    let fact = |name: &str| {
        let mut facts = facts.as_map().unwrap().iter();
        facts
            .find(|(key, _)| key.as_str() == Some(name))
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(fact("is_activated_now"), true.into());
    assert_eq!(fact("license_plan"), support::MONTHLY.into());
    assert_eq!(fact("expiry_date").as_str().map(str::len), Some(10));
}

#[test]
fn waiting_for_nothing_ends_in_time() {
    let _server = Server::start();
    let queue = Queue::new();
    // SAFETY: the queue is live.
    assert_eq!(unsafe { skyline_queue_wait(queue.0, 10) }, 0);
}

#[test]
fn calls_end_with_their_client_and_later_ones_are_refused() {
    let server = Server::start();
    let (client, queue) = (Client::connect(&server.owner()), Queue::new());
    queue.submit(&client, 1, DELAY, &long());
    // SAFETY: the client is live.
    unsafe { skyline_client_shutdown(client.0) };
    queue.submit(&client, 2, "test.echo", &number(2));
    for (id, end) in queue.drain(2) {
        let failure = end.unwrap_err();
        assert_eq!(failure.kind, SkylineKind::ShutDown as i32);
        assert_eq!(failure.maybe_executed, i32::from(id == 1), "call {id}");
    }
}

#[test]
fn a_queue_may_be_freed_with_calls_in_flight() {
    let server = Server::start();
    let client = Client::connect(&server.owner());
    let queue = Queue::new();
    queue.submit(&client, 1, DELAY, &long());
    drop(queue);
    let queue = Queue::new();
    queue.submit(&client, 1, "test.echo", &number(1));
    assert_eq!(queue.drain(1).remove(&1).unwrap().unwrap(), number(1));
}

#[test]
fn a_blocking_call_may_be_waited_for_in_steps() {
    let server = Server::start();
    let client = Client::connect(&server.owner());
    let short = pack(&map([("milliseconds", 3000.into())]));
    let (mut answer, done) = call(&client, DELAY, &short, 1);
    assert!(!done, "the server answers after 3 s");
    // SAFETY: the answer was filled by a call.
    unsafe {
        assert_eq!(skyline_answer_wait(&raw mut answer, PATIENCE), 1);
        assert!(answer.error.is_null());
        skyline_answer_free(&raw mut answer);
    }
    let (mut answer, done) = call(&client, "test.echo", &number(7), PATIENCE);
    assert!(done);
    // SAFETY: the answer was filled by a call.
    unsafe {
        assert_eq!(bytes(answer.payload, answer.payload_len), number(7));
        skyline_answer_free(&raw mut answer);
        assert!(answer.payload.is_null());
    }
    // Given up while it is pending.
    let (mut answer, done) = call(&client, DELAY, &long(), 1);
    assert!(!done);
    // SAFETY: the answer was filled by a call.
    unsafe { skyline_answer_free(&raw mut answer) };
}

#[test]
fn a_wrong_configuration_is_named() {
    let server = Server::start();
    let owner = server.owner();
    let without = |name: &str| {
        let Value::Map(mut entries) = configuration(&owner) else {
            unreachable!()
        };
        entries.retain(|(key, _)| key.as_str() != Some(name));
        Value::Map(entries)
    };
    let key = owner.license_key.expose();
    for name in ["product_id", "license_key", "identity_keys"] {
        let failure = Client::try_connect(&without(name)).err().unwrap();
        assert_eq!(failure.kind, SkylineKind::InvalidConfiguration as i32);
        assert!(failure.text.contains(name), "{failure:?}");
        assert!(!format!("{failure:?}").contains(key));
    }
}
