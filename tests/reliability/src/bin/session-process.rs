//! A client in a process of its own, to be killed. It takes commands by the line and answers each
//! with one: `ok`, or the error's code, whether the call may have been executed, the reason of a
//! breach, and the error's text.
//!
//! | command | what it does |
//! |---|---|
//! | `connect` | logs in as the environment says |
//! | `limits` | asks for the limits |
//! | `events NAME COUNT` | sends so many events at once, `NAME.0` and so on, and answers with a line for each; without an id, so that each execution leaves a row at the server |
//! | `repeat NAME` | sends such an event by a handle whose calls may be sent again |
//! | `track NAME` | tracks an event; it is on disk with the answer |
//! | `flush` | waits until all tracked events are delivered |
//! | `counters` | what became of the tracked events |
//! | `shutdown` | closes the connection |
//!
//! It ends with its input.

use std::env;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use skyline::{Client, ClientConfig, Deadlines, DeviceIdentity, Error, EventDurability, Result};
use skyline_reliability::process::describe;

/// What everything of a login or call may take unless `SKYLINE_DEADLINE_MILLISECONDS` says
/// otherwise: the tests wait longer than that.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the delivery of all tracked events may take, at the end of a soak.
const FLUSH_DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut client = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answers = run(&line, &mut client).await;
        // In one write: a killed process has told all of it or nothing.
        let answers: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
        io::stdout().lock().write_all(answers.as_bytes())?;
    }
    Ok(())
}

async fn run(line: &str, place: &mut Option<Client>) -> Vec<String> {
    let mut words = line.split(' ');
    let (command, name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if command == "connect" {
        // The one before closes first: only one of a process delivers tracked events.
        if let Some(before) = place.take() {
            before.shutdown().await;
        }
        let connected = connect().await;
        return vec![tell(connected.map(|client| *place = Some(client)))];
    }
    let Some(client) = place else {
        let error = Error::ShutDown {
            maybe_executed: false,
        };
        return vec![describe(&error)];
    };
    let answer = match command {
        "limits" => tell(client.get_limits().await.map(drop)),
        "events" => {
            let count: usize = words.next().and_then(|word| word.parse().ok()).unwrap_or(1);
            let names: Vec<_> = (0..count).map(|index| format!("{name}.{index}")).collect();
            let calls = names
                .iter()
                .map(|name| client.send_event_raw(name, EMPTY_MAP));
            let results = futures_util::future::join_all(calls).await;
            return results.into_iter().map(tell).collect();
        }
        "repeat" => tell(client.idempotent().send_event_raw(name, EMPTY_MAP).await),
        "track" => tell(client.track_raw(name, EMPTY_MAP).await),
        "flush" => tell(client.flush_events(FLUSH_DEADLINE).await),
        "counters" => {
            let counters = client.event_counters();
            format!(
                "tracked {} recovered {} queued {} sent {} dropped {} rejected {} damaged {}",
                counters.tracked,
                counters.recovered,
                counters.queued,
                counters.sent,
                counters.dropped,
                counters.rejected,
                counters.damaged,
            )
        }
        "shutdown" => {
            client.shutdown().await;
            tell(Ok(()))
        }
        other => panic!("no such command: {other}"),
    };
    vec![answer]
}

fn tell(result: Result<()>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => describe(&error),
    }
}

async fn connect() -> Result<Client> {
    Client::connect(config()?).await
}

/// The MessagePack of a map without entries.
const EMPTY_MAP: &[u8] = &[0x80];

fn config() -> Result<ClientConfig> {
    let variable = |name| env::var(name).unwrap_or_default();
    let mut config = ClientConfig::new(
        "telepower",
        "7.0.3",
        variable("SKYLINE_LICENSE_KEY").parse()?,
        [variable("SKYLINE_IDENTITY_KEY").parse()?],
    );
    config.url = variable("SKYLINE_URL");
    config.state_folder = Some(variable("SKYLINE_STATE_FOLDER").into());
    config.device = Some(DeviceIdentity {
        serial_number: variable("SKYLINE_SERIAL_NUMBER"),
        cs_product_uuid: variable("SKYLINE_PRODUCT_UUID"),
    });
    let deadline = variable("SKYLINE_DEADLINE_MILLISECONDS")
        .parse()
        .map_or(DEADLINE, Duration::from_millis);
    config.deadlines = Deadlines {
        connect: deadline,
        handshake: deadline,
        call: deadline,
    };
    // A test meets more losses in a second than a user does in a day.
    config.reconnect.initial_delay = Duration::from_millis(20);
    config.reconnect.max_delay = Duration::from_millis(500);
    config.events.durability = EventDurability::Synced;
    Ok(config)
}
