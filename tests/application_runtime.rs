//! Clients on a runtime of the application's. No other client is in this process.

mod support;

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use skyline::{Client, Result};
use support::{Server, soon};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn connect(server: &Server) -> Client {
    let mut config = server.owner().config();
    config.runtime = Some(tokio::runtime::Handle::current());
    soon(Client::connect(config)).await.unwrap()
}

/// The names of this process's threads.
#[cfg(target_os = "linux")]
fn threads() -> Vec<String> {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap())
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_on_the_runtime_of_the_application_has_no_thread_of_its_own() {
    let server = Server::start();
    runtime().block_on(async {
        let client = connect(&server).await;
        let answer: u64 = soon(client.call("test.echo", &7)).await.unwrap();
        assert_eq!(answer, 7);
        soon(client.track_raw("event", &[0x80])).await.unwrap();
        soon(client.flush_events(Duration::from_secs(10)))
            .await
            .unwrap();
        assert!(!threads().iter().any(|name| name.starts_with("skyline-io")));
        soon(client.shutdown()).await;
    });
}

#[test]
fn calls_may_be_awaited_outside_of_the_runtime_of_the_application() {
    let server = Server::start();
    let runtime = runtime();
    let client = runtime.block_on(connect(&server));
    let caller = thread::spawn(move || pollster::block_on(client.call::<_, u64>("test.echo", &7)));
    let driven = async {
        while !caller.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    runtime.block_on(soon(driven));
    assert_eq!(caller.join().unwrap().unwrap(), 7);
}

#[test]
fn a_client_ends_with_the_runtime_of_the_application() {
    let server = Server::start();
    let runtime = runtime();
    let client = runtime.block_on(connect(&server));
    let waiting = client.clone();
    let (begun, begins) = std::sync::mpsc::channel();
    let caller = thread::spawn(move || {
        let long = HashMap::from([("milliseconds", 50_000)]);
        let call = waiting.call::<_, ()>("test.delay", &long);
        pollster::block_on(async {
            let mut call = std::pin::pin!(call);
            // The first poll writes the request.
            std::future::poll_fn(|context| {
                let polled = call.as_mut().poll(context);
                let _ = begun.send(());
                polled
            })
            .await
        })
    });
    begins.recv().unwrap();
    drop(runtime);
    for ended in [caller.join().unwrap(), call(&client)] {
        assert_eq!(ended.unwrap_err().code(), "SHUT_DOWN");
    }
}

fn call(client: &Client) -> Result<()> {
    pollster::block_on(client.call("test.echo", &()))
}
