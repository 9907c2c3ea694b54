//! A client in a process of its own, to be killed. It takes commands by the line and answers each
//! with one: `ok`, or the error's code, whether the call may have been executed, the reason of a
//! breach, and the error's text.
//!
//! | command | what it does |
//! |---|---|
//! | `connect` | logs in as the environment says |
//! | `limits` | asks for the limits |
//! | `event NAME` | sends an event without an id: each execution leaves a row at the server |
//! | `shutdown` | closes the connection |
//!
//! It ends with its input.

use std::env;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use skyline::{Client, ClientConfig, DeviceIdentity, Error, Result};
use skyline_reliability::process::describe;

/// What everything of a login or call may take: the tests wait longer than that.
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut client = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let result = run(&line, &mut client).await;
        let mut output = io::stdout().lock();
        match result {
            Ok(()) => writeln!(output, "ok")?,
            Err(error) => writeln!(output, "{}", describe(&error))?,
        }
        output.flush()?;
    }
    Ok(())
}

async fn run(line: &str, place: &mut Option<Client>) -> Result<()> {
    let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
    if command == "connect" {
        *place = Some(Client::connect(config()?).await?);
        return Ok(());
    }
    let Some(client) = place else {
        return Err(Error::ShutDown {
            maybe_executed: false,
        });
    };
    match command {
        "limits" => client.get_limits().await.map(drop),
        "event" => client.send_event_raw(argument, EMPTY_MAP).await,
        "shutdown" => {
            client.shutdown().await;
            Ok(())
        }
        other => panic!("no such command: {other}"),
    }
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
    config.deadlines.connect = DEADLINE;
    config.deadlines.handshake = DEADLINE;
    config.deadlines.call = DEADLINE;
    Ok(config)
}
