//! The methods `test.*` of `serve --test-hooks`, by which tests of clients in any language make
//! the server do what it does rarely or never. Not for production: a client may forge its answers
//! and delete the history of its logins.
//!
//! Each needs a session, as any method does:
//!
//! | method | payload | what it does |
//! |---|---|---|
//! | `test.echo` | any | answers with the same payload, byte for byte |
//! | `test.status` | `status` str, `message` str or nil, optional `retryAfterSeconds` int | answers with that status and message |
//! | `test.delay` | `milliseconds` int, at most 60000 | answers after that time; other requests go on |
//! | `test.events` | none | gives the events stored for the session's license, oldest first: `event`, `data`, `id` |
//! | `test.forget-logins` | none | deletes the login history of the license: what the next login reports was then never accepted |
//! | `test.drop-connection` | none | drops the TCP connection without an answer |

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use skyline_protocol::{
    Status,
    methods::{RateLimit, decode},
};

use crate::{
    methods::{Call, Fault, Outcome, Reply, Session, encode},
    model::Event,
    serve::Server,
    store::{EventFilter, StoredEvent},
};

/// Longest delay that may be asked for, in milliseconds: tests wait no longer than a minute.
const MAX_DELAY_MILLISECONDS: u64 = 60_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusRequest {
    status: String,
    message: Option<String>,
    #[serde(default)]
    retry_after_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct DelayRequest {
    milliseconds: u64,
}

#[derive(Serialize)]
struct EventResponse {
    event: String,
    data: rmpv::Value,
    id: Option<String>,
}

/// Answers a call of a method that is none of the protocol's.
pub(crate) async fn answer(
    server: &Server,
    session: &Session,
    call: Call,
) -> Result<Outcome, Fault> {
    let payload = match call.method.as_str() {
        "test.echo" => call.payload,
        "test.status" => return status(&call).map(Outcome::Reply),
        "test.delay" => {
            delay(&call).await?;
            None
        }
        "test.events" => Some(events(server, session).await?),
        "test.forget-logins" => {
            server.store.forget_logins(session.license).await?;
            None
        }
        "test.drop-connection" => return Ok(Outcome::Drop),
        _ => return Err(Fault::UnknownMethod(call.method)),
    };
    Ok(Outcome::Reply(Reply::ok(call.seq, payload)))
}

fn status(call: &Call) -> Result<Reply, Fault> {
    let request: StatusRequest = decode(call.payload.as_deref().unwrap_or_default())?;
    let payload = match request.retry_after_seconds {
        Some(_) => Some(encode(&RateLimit {
            retry_after_seconds: request.retry_after_seconds,
        })?),
        None => None,
    };
    Ok(Reply {
        seq: call.seq,
        status: Status::from(request.status.as_str()),
        message: request.message,
        payload,
    })
}

async fn delay(call: &Call) -> Result<(), Fault> {
    let request: DelayRequest = decode(call.payload.as_deref().unwrap_or_default())?;
    if request.milliseconds > MAX_DELAY_MILLISECONDS {
        return Err(Fault::BadRequest("milliseconds"));
    }
    tokio::time::sleep(Duration::from_millis(request.milliseconds)).await;
    Ok(())
}

async fn events(server: &Server, session: &Session) -> Result<Bytes, Fault> {
    let filter = EventFilter {
        license: Some(session.license),
        ..EventFilter::default()
    };
    let mut events = Vec::new();
    loop {
        let after = events.last().map_or(0, |event: &StoredEvent| event.number);
        let page = server.store.events(&filter, after).await?;
        if page.is_empty() {
            break;
        }
        events.extend(page);
    }
    let events: Vec<EventResponse> = events
        .into_iter()
        .map(|stored| event_response(stored.event))
        .collect::<Result<_, _>>()?;
    encode(&events)
}

fn event_response(event: Event) -> Result<EventResponse, Fault> {
    // What is stored was checked when it came in.
    let data = rmpv::decode::read_value(&mut event.data.as_ref()).map_err(|error| {
        tracing::error!(%error, "a stored event is not MessagePack");
        Fault::Internal
    })?;
    Ok(EventResponse {
        event: event.name,
        data,
        id: event.id,
    })
}
