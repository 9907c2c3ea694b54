//! Calls in flight: order, late answers, bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skyline::{Client, Error};
use skyline_protocol::packet::Payload;
use skyline_protocol::status::Status;

use crate::support::peer::{Link, Peer};
use crate::support::soon;

/// A peer that answers every call with its own payload, a batch at a time and in reverse order.
async fn reversing(batch: usize) -> Peer {
    Peer::start(move |socket, identity| async move {
        let Some((mut link, _)) = Link::log_in(socket, &identity).await else {
            return;
        };
        loop {
            let mut requests = Vec::new();
            for _ in 0..batch {
                let Some(request) = link.request().await else {
                    return;
                };
                requests.push(request);
            }
            for request in requests.into_iter().rev() {
                let payload = request.payload.unwrap();
                link.respond(request.seq, Status::Ok, None, Payload::Binary(&payload))
                    .await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn answers_in_any_order_reach_their_calls() {
    const CALLS: usize = 100;
    let peer = reversing(CALLS).await;
    let client = peer.connect().await.unwrap();
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.call::<_, usize>("echo", &number).await })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(soon(call).await.unwrap().unwrap(), number);
    }
}

#[tokio::test]
async fn the_late_answer_of_a_call_that_timed_out_is_dropped() {
    let peer = reversing(2).await;
    let client = peer.connect().await.unwrap();
    let hasty = client.with_deadline(Duration::from_millis(100));
    let error = soon(hasty.call::<_, u8>("echo", &1u8)).await.unwrap_err();
    assert_eq!(error.code(), "DEADLINE_EXCEEDED");
    // The second request lets the peer answer both.
    assert_eq!(soon(client.call::<_, u8>("echo", &2u8)).await.unwrap(), 2);
}

#[tokio::test]
async fn calls_beyond_the_bound_wait_for_their_turn() {
    let (most, in_flight) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, now) = (most.clone(), in_flight.clone());
    let peer = Peer::start(move |socket, identity| {
        let (seen, now) = (seen.clone(), now.clone());
        async move {
            let (mut link, _) = Link::log_in(socket, &identity).await.unwrap();
            let mut waiting = Vec::new();
            loop {
                // What arrives within a while was in flight together.
                let next = tokio::time::timeout(Duration::from_millis(50), link.request()).await;
                match next {
                    Ok(Some(request)) => {
                        waiting.push(request.seq);
                        now.store(waiting.len(), Ordering::SeqCst);
                        seen.fetch_max(waiting.len(), Ordering::SeqCst);
                    }
                    Ok(None) => return,
                    Err(_) => {
                        for seq in waiting.drain(..) {
                            link.respond(seq, Status::Ok, None, Payload::None).await;
                        }
                    }
                }
            }
        }
    })
    .await;
    let mut config = peer.config();
    config.limits.calls_in_flight = 3;
    let client = soon(Client::connect(config)).await.unwrap();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call::<_, ()>("anything", &()).await })
        })
        .collect();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_deadline_covers_the_wait_for_a_turn() {
    let peer = Peer::start(|socket, identity| async move {
        Link::log_in(socket, &identity)
            .await
            .unwrap()
            .0
            .until_closed()
            .await;
    })
    .await;
    let mut config = peer.config();
    config.limits.calls_in_flight = 1;
    let client = soon(Client::connect(config)).await.unwrap();
    let first = client.clone();
    let first = tokio::spawn(async move { first.call::<_, ()>("anything", &()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let hasty = client.with_deadline(Duration::from_millis(100));
    let error = soon(hasty.call::<_, ()>("anything", &()))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::DeadlineExceeded {
                maybe_executed: false,
                ..
            }
        ),
        "it was never sent: {error:?}"
    );
    first.abort();
}

#[tokio::test]
async fn a_peer_that_does_not_read_cannot_fill_the_memory_nor_hang_the_caller() {
    let peer = Peer::start(|socket, identity| async move {
        let (link, _) = Link::log_in(socket, &identity).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(link);
    })
    .await;
    let mut config = peer.config();
    config.limits.bytes_in_flight = 8 << 20;
    let client = soon(Client::connect(config)).await.unwrap();
    let hasty = client.with_deadline(Duration::from_millis(500));
    let payload = serde_bytes::ByteBuf::from(vec![0; 4 << 20]);
    let mut executed = Vec::new();
    for _ in 0..8 {
        let error = soon(hasty.call::<_, ()>("anything", &payload))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "DEADLINE_EXCEEDED");
        executed.push(error.maybe_executed());
    }
    // The first ones were taken over; the last ones waited for room, in the caller's own memory.
    assert_eq!((executed[0], executed[7]), (Some(true), Some(false)));
    soon(client.shutdown()).await;
}

#[tokio::test]
async fn a_peer_that_writes_before_it_reads_is_no_deadlock() {
    const CALLS: usize = 128;
    let peer = Peer::start(|socket, identity| async move {
        let (mut link, _) = Link::log_in(socket, &identity).await.unwrap();
        // Reads one, then insists on writing its large answer before it reads the next.
        while let Some(request) = link.request().await {
            let payload = request.payload.unwrap();
            link.respond(request.seq, Status::Ok, None, Payload::Binary(&payload))
                .await;
        }
    })
    .await;
    let client = peer.connect().await.unwrap();
    let payload = Arc::new(serde_bytes::ByteBuf::from(vec![7; 256 << 10]));
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let (client, payload) = (client.clone(), payload.clone());
            tokio::spawn(async move {
                let echoed: serde_bytes::ByteBuf = client.call("echo", &*payload).await?;
                assert_eq!(echoed.len(), payload.len());
                Ok::<_, skyline::Error>(())
            })
        })
        .collect();
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
}
