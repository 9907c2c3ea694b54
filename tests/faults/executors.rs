//! The client brings its own runtime: it works under any executor, and under none.

use std::time::Duration;

use skyline::Client;

use crate::support::Server;

#[test]
fn the_client_works_without_tokio() {
    let server = Server::start();
    let config = server.owner().config();
    let client = pollster::block_on(Client::connect(config)).unwrap();
    pollster::block_on(client.get_limits()).unwrap();
    let hasty = client.with_deadline(Duration::from_millis(100));
    let delay = std::collections::BTreeMap::from([("milliseconds", 50_000)]);
    let error = pollster::block_on(hasty.call::<_, ()>("test.delay", &delay)).unwrap_err();
    assert_eq!(error.code(), "DEADLINE_EXCEEDED");
    pollster::block_on(client.shutdown());
}

#[test]
fn one_client_serves_many_runtimes() {
    let server = Server::start();
    let client = pollster::block_on(server.owner().connect_anywhere()).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                runtime.block_on(client.get_limits()).unwrap();
                // The client outlives the runtime that used it.
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    pollster::block_on(client.get_limits()).unwrap();
}

#[test]
fn a_connect_that_is_given_up_leaves_nothing_behind() {
    let server = Server::start();
    let owner = server.owner();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        for microseconds in [0, 100, 1000, 5000, 20_000] {
            let connect = Client::connect(owner.config());
            let _ = tokio::time::timeout(Duration::from_micros(microseconds), connect).await;
        }
        // Neither a lock nor a half-open session stands in the way of the next one.
        owner.connect().await;
    });
}
