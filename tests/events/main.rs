//! The durable event queue over real connections, real files and real processes: what is tracked
//! arrives, in order and once.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod disk;
mod killed;
mod restarts;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rmpv::Value;
use serde::Deserialize;
use skyline::{Client, ClientConfig, EventDurability};

use support::{Owner, soon};

/// The bound of a flush in a test, below that of [`soon`]: its error says more.
const LONG: Duration = Duration::from_secs(50);

/// What `test.events` gives.
#[derive(Debug, Deserialize)]
struct Stored {
    event: String,
    data: Value,
    id: Option<String>,
}

/// The events that the server has of this client's license, in their order.
async fn stored(client: &Client) -> Vec<Stored> {
    soon(client.idempotent().call("test.events", &()))
        .await
        .unwrap()
}

/// Checks that the server has these events, each once and in this order.
async fn check_stored(client: &Client, expected: impl IntoIterator<Item = String>) {
    let stored = stored(client).await;
    let names: Vec<_> = stored.iter().map(|stored| stored.event.clone()).collect();
    assert_eq!(names, expected.into_iter().collect::<Vec<_>>());
    let ids: std::collections::HashSet<_> = stored.iter().map(|stored| &stored.id).collect();
    assert_eq!(ids.len(), stored.len());
    assert!(stored.iter().all(|stored| stored.id.is_some()));
    assert!(stored.iter().all(|stored| stored.data.is_map()));
}

fn name(number: usize) -> String {
    format!("event.{number}")
}

/// Tracks events of these numbers.
async fn track(client: &Client, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let data = [("number", number)];
        let data: std::collections::HashMap<_, _> = data.into_iter().collect();
        soon(client.track(&name(number), &data)).await.unwrap();
    }
}

/// The owner's configuration with waits that suit a test, and events that are on disk when they
/// are tracked.
fn synced(owner: &Owner) -> ClientConfig {
    hasty(owner.config(), EventDurability::Synced)
}

fn buffered(owner: &Owner) -> ClientConfig {
    hasty(owner.config(), EventDurability::Buffered)
}

fn hasty(mut config: ClientConfig, durability: EventDurability) -> ClientConfig {
    config.reconnect.initial_delay = Duration::from_millis(20);
    config.reconnect.max_delay = Duration::from_millis(200);
    config.events.durability = durability;
    config
}

async fn connect(config: ClientConfig) -> Client {
    soon(Client::connect(config)).await.unwrap()
}

/// The log files in a state folder.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "events"))
        .collect()
}
