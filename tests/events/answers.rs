//! What the queue does about the server's answers.

use std::time::{Duration, Instant};

use skyline::{Client, ClientConfig, EventDurability};
use skyline_protocol::methods::{self, RateLimit, SendEvent};
use skyline_protocol::packet::Payload;
use skyline_protocol::status::Status;

use crate::support::peer::{Link, Peer, Told};
use crate::support::soon;
use crate::{LONG, connect, hasty, logs};

/// An event that reached the peer: when, its name and its id.
type Seen = (Instant, String, String);

/// What the peer does about an event.
#[derive(Clone, Copy)]
enum Answer {
    Status(&'static str),
    RetryAfter(u64),
    /// Ends the connection.
    Drop,
}

/// A peer that tells which events come and gives these answers, one after the other; `OK` when
/// none is left.
async fn answering(answers: Vec<Answer>) -> (Peer, Told<Seen>) {
    let told: Told<Seen> = Told::default();
    let seen = told.clone();
    let peer = Peer::start(move |socket, identity| {
        let (seen, answers) = (seen.clone(), answers.clone());
        async move {
            let Some((mut link, _)) = Link::log_in(socket, &identity).await else {
                return;
            };
            while let Some(request) = link.request().await {
                assert_eq!(request.method, methods::SEND_EVENT);
                let payload = request.payload.unwrap();
                let event = SendEvent::decode(&payload).unwrap();
                let id = event.id.unwrap().to_owned();
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push((Instant::now(), event.event.to_owned(), id));
                    seen.len() - 1
                };
                let (status, payload) = match answers.get(number) {
                    None => (Status::Ok, None),
                    Some(Answer::Status(status)) => (Status::from(*status), None),
                    Some(Answer::RetryAfter(seconds)) => {
                        let limit = RateLimit {
                            retry_after_seconds: Some(*seconds),
                        };
                        (Status::RateLimited, Some(methods::encode(&limit).unwrap()))
                    }
                    Some(Answer::Drop) => return,
                };
                let payload = payload.as_deref().map_or(Payload::None, Payload::Binary);
                link.respond(request.seq, status, None, payload).await;
            }
        }
    })
    .await;
    (peer, told)
}

fn config(peer: &Peer) -> ClientConfig {
    hasty(peer.config(), EventDurability::Synced)
}

async fn track(client: &Client, names: &[&str]) {
    for name in names {
        soon(client.track_raw(name, &[0x80])).await.unwrap();
    }
}

/// The names of the events that came, each marked when it had come before under the same id.
fn names(seen: &Told<Seen>) -> Vec<String> {
    let seen = seen.lock().unwrap();
    let came_before = |at: usize| seen[..at].iter().any(|earlier| earlier.2 == seen[at].2);
    (0..seen.len())
        .map(|at| match came_before(at) {
            true => format!("{} again", seen[at].1),
            false => seen[at].1.clone(),
        })
        .collect()
}

#[tokio::test]
async fn an_event_that_the_server_refuses_is_given_up_and_the_next_goes_on() {
    let (peer, seen) = answering(vec![Answer::Status("BAD_REQUEST")]).await;
    let client = connect(config(&peer)).await;
    track(&client, &["bad", "good"]).await;
    soon(client.flush_events(LONG)).await.unwrap();
    assert_eq!(names(&seen), ["bad", "good"]);
    let sums = client.event_counters();
    assert_eq!((sums.rejected, sums.sent, sums.dropped), (1, 1, 0));
    soon(client.shutdown()).await;
    assert!(logs(peer.state.path()).is_empty());
}

#[tokio::test]
async fn an_event_larger_than_a_packet_is_given_up_and_the_next_goes_on() {
    let (peer, seen) = answering(Vec::new()).await;
    let mut config = config(&peer);
    config.limits.packet_bytes = 4096;
    let client = connect(config).await;
    let mut data = vec![0x81, 0xa0, 0xc5, 0x20, 0x00];
    data.resize(5 + 0x2000, 7);
    soon(client.track_raw("large", &data)).await.unwrap();
    track(&client, &["small"]).await;
    soon(client.flush_events(LONG)).await.unwrap();
    assert_eq!(names(&seen), ["small"]);
    assert_eq!(client.event_counters().rejected, 1);
}

#[tokio::test]
async fn an_event_is_sent_again_after_any_other_refusal() {
    let answers = [
        "INTERNAL_ERROR",
        "LICENSE_SUSPENDED",
        "LICENSE_EXPIRED",
        "UNKNOWN_METHOD",
        "A_STATUS_OF_THE_FUTURE",
        "RATE_LIMITED",
    ];
    let (peer, seen) = answering(answers.map(Answer::Status).to_vec()).await;
    let client = connect(config(&peer)).await;
    track(&client, &["first", "second"]).await;
    soon(client.flush_events(LONG)).await.unwrap();
    let mut expected = vec!["first"];
    expected.extend(["first again"; 6]);
    expected.push("second");
    assert_eq!(names(&seen), expected);
    assert_eq!(client.event_counters().sent, 2);
}

#[tokio::test]
async fn a_rate_limit_is_waited_out() {
    let (peer, seen) = answering(vec![Answer::RetryAfter(1)]).await;
    let client = connect(config(&peer)).await;
    track(&client, &["first"]).await;
    soon(client.flush_events(LONG)).await.unwrap();
    assert_eq!(names(&seen), ["first", "first again"]);
    let seen = seen.lock().unwrap();
    let waited = seen[1].0 - seen[0].0;
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
}

#[tokio::test]
async fn an_event_whose_answer_was_lost_is_sent_again_under_its_id() {
    let (peer, seen) = answering(vec![Answer::Drop, Answer::Drop]).await;
    let client = connect(config(&peer)).await;
    track(&client, &["first", "second"]).await;
    soon(client.flush_events(LONG)).await.unwrap();
    let expected = ["first", "first again", "first again", "second"];
    assert_eq!(names(&seen), expected);
}

#[tokio::test]
async fn a_breach_keeps_the_events_for_the_next_client() {
    let (peer, seen) = answering(vec![Answer::Status("INTEGRITY_BREACH")]).await;
    let client = connect(config(&peer)).await;
    track(&client, &["first", "second"]).await;
    let error = soon(client.flush_events(LONG)).await.unwrap_err();
    assert_eq!(error.code(), "INTEGRITY_BREACH");
    track(&client, &["third"]).await;
    assert_eq!(client.event_counters().queued, 3);
    soon(client.shutdown()).await;
    let next = connect(config(&peer)).await;
    soon(next.flush_events(LONG)).await.unwrap();
    assert_eq!(names(&seen), ["first", "first again", "second", "third"]);
    assert_eq!(next.event_counters().recovered, 3);
}
