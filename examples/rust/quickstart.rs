//! Logs in, shows the session and the limits, and reports an event.
//!
//! Settings come from the environment: `SKYLINE_URL`, `SKYLINE_IDENTITY_KEY`,
//! `SKYLINE_LICENSE_KEY` and `SKYLINE_STATE_FOLDER`.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;

use skyline::{Client, ClientConfig};

fn main() -> Result<(), Box<dyn Error>> {
    // The client has a runtime of its own: any executor will do.
    pollster::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut config = ClientConfig::new(
        "telepower",
        "7.0.3",
        setting("SKYLINE_LICENSE_KEY")?.parse()?,
        [setting("SKYLINE_IDENTITY_KEY")?.parse()?],
    );
    config.url = setting("SKYLINE_URL")?;
    config.state_folder = Some(setting("SKYLINE_STATE_FOLDER")?.into());

    let client = Client::connect(config).await?;
    let session = client.session();
    println!("activated now: {}", session.is_activated_now);
    println!("plan: {}", session.license_plan);
    println!(
        "active from {} to {}",
        session.activation_date, session.expiry_date
    );

    for (name, value) in client.get_limits().await? {
        println!("{name}: {value}");
    }

    let data = BTreeMap::from([("to", "/account-manager")]);
    client.send_event("app.navigation", &data).await?;
    println!("event reported");

    client.shutdown().await;
    Ok(())
}

fn setting(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("set {name}"))
}
