//! Deliveries over restarts of the server and of the client, and by several clients.

use skyline::Error;

use crate::support::{Server, soon};
use crate::{LONG, buffered, check_stored, connect, logs, name, synced, track};

#[tokio::test]
async fn events_arrive_in_order_over_a_restart_of_the_server() {
    let mut server = Server::start();
    let owner = server.owner();
    let client = connect(buffered(&owner)).await;
    track(&client, 0..20).await;
    server.kill();
    track(&client, 20..40).await;
    server.restart();
    track(&client, 40..60).await;
    soon(client.flush_events(LONG)).await.unwrap();
    check_stored(&client, (0..60).map(name)).await;
    let sums = client.event_counters();
    assert_eq!((sums.tracked, sums.sent, sums.queued), (60, 60, 0));
    soon(client.shutdown()).await;
    assert!(logs(owner.state.path()).is_empty());
}

#[tokio::test]
async fn events_that_a_client_could_not_deliver_are_delivered_by_the_next() {
    let mut server = Server::start();
    let owner = server.owner();
    let first = connect(buffered(&owner)).await;
    server.kill();
    track(&first, 0..10).await;
    // Neither does this wait for the network.
    soon(first.shutdown()).await;
    assert_eq!(logs(owner.state.path()).len(), 1);
    server.restart();
    let second = connect(buffered(&owner)).await;
    track(&second, 10..20).await;
    soon(second.flush_events(LONG)).await.unwrap();
    check_stored(&second, (0..20).map(name)).await;
    let sums = second.event_counters();
    assert_eq!((sums.recovered, sums.tracked, sums.sent), (10, 10, 20));
    soon(second.shutdown()).await;
    assert!(logs(owner.state.path()).is_empty());
}

#[tokio::test]
async fn a_client_that_is_just_dropped_leaves_its_events_to_the_next() {
    let mut server = Server::start();
    let owner = server.owner();
    let first = connect(synced(&owner)).await;
    server.kill();
    track(&first, 0..10).await;
    let log = logs(owner.state.path()).remove(0);
    drop(first);
    soon(async {
        // Its file is free soon.
        loop {
            let file = std::fs::File::open(&log).unwrap();
            if file.try_lock().is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    server.restart();
    let second = connect(synced(&owner)).await;
    soon(second.flush_events(LONG)).await.unwrap();
    check_stored(&second, (0..10).map(name)).await;
}

#[tokio::test]
async fn clients_that_share_a_folder_each_deliver_their_own_events() {
    let server = Server::start();
    let owner = server.owner();
    let clients = [
        connect(buffered(&owner)).await,
        connect(synced(&owner)).await,
    ];
    let [first, second] = &clients;
    tokio::join!(track(first, 0..50), track(second, 100..150));
    for client in &clients {
        soon(client.flush_events(LONG)).await.unwrap();
        let sums = client.event_counters();
        assert_eq!((sums.tracked, sums.recovered, sums.sent), (50, 0, 50));
    }
    let stored = crate::stored(first).await;
    let of = |range: std::ops::Range<usize>| {
        let names: Vec<_> = range.map(name).collect();
        let of_one = stored.iter().map(|stored| &stored.event);
        assert_eq!(
            of_one
                .filter(|name| names.contains(name))
                .collect::<Vec<_>>(),
            names.iter().collect::<Vec<_>>()
        );
    };
    of(0..50);
    of(100..150);
    assert_eq!(stored.len(), 100);
}

#[tokio::test]
async fn a_flush_waits_for_what_was_tracked_before_and_gives_up_at_its_deadline() {
    let mut server = Server::start();
    let client = connect(buffered(&server.owner())).await;
    server.kill();
    soon(client.flush_events(LONG)).await.unwrap();
    track(&client, 0..3).await;
    let hasty = client.flush_events(std::time::Duration::from_millis(100));
    let error = soon(hasty).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::DeadlineExceeded {
                maybe_executed: false,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(client.event_counters().queued, 3);
    let flush = client.flush_events(LONG);
    let (flushed, ()) = soon(async {
        tokio::join!(flush, async {
            server.restart();
        })
    })
    .await;
    flushed.unwrap();
    check_stored(&client, (0..3).map(name)).await;
}

#[tokio::test]
async fn a_client_that_was_shut_down_takes_no_events() {
    let mut server = Server::start();
    let client = connect(buffered(&server.owner())).await;
    server.kill();
    track(&client, 0..1).await;
    let flush = client.flush_events(LONG);
    let (flushed, ()) = soon(async { tokio::join!(flush, client.shutdown()) }).await;
    assert_eq!(flushed.unwrap_err().code(), "SHUT_DOWN");
    let late = soon(client.track_raw("late", &[0x80]));
    assert_eq!(late.await.unwrap_err().code(), "SHUT_DOWN");
    let sums = client.event_counters();
    assert_eq!((sums.tracked, sums.queued), (1, 1));
}
