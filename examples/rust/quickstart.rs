//! Activates a license and uses the session: the quick start in Rust.
//!
//! Reads SKYLINE_URL, SKYLINE_IDENTITY_KEY, SKYLINE_LICENSE_KEY and SKYLINE_STATE_FOLDER.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::process::ExitCode;

use skyline::{Client, ClientConfig};

fn main() -> ExitCode {
    // The client has a runtime of its own: any executor will do.
    let Err(error) = pollster::block_on(run()) else {
        return ExitCode::SUCCESS;
    };
    match error.downcast_ref::<skyline::Error>() {
        // The sentence is meant for the user; the code is for programs.
        Some(error) => eprintln!("{}: {error}", error.code()),
        None => eprintln!("{error}"),
    }
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let license_key = setting("SKYLINE_LICENSE_KEY")?.parse();
    let identity_key = setting("SKYLINE_IDENTITY_KEY")?.parse();
    let mut config = ClientConfig::new(
        "telepower",
        "7.0.3",
        license_key.map_err(skyline::Error::from)?,
        [identity_key.map_err(skyline::Error::from)?],
    );
    config.url = setting("SKYLINE_URL")?;
    config.state_folder = Some(setting("SKYLINE_STATE_FOLDER")?.into());

    let client = Client::connect(config).await?;
    let session = client.session();
    let activated_now = if session.is_activated_now {
        "yes"
    } else {
        "no"
    };
    println!("activated now: {activated_now}");
    println!("plan: {}", session.license_plan);
    println!("activated on: {}", session.activation_date);
    println!("expires on: {}", session.expiry_date);

    for (name, value) in client.get_limits().await? {
        println!("limit {name}: {value}");
    }

    let data = BTreeMap::from([("to", "/account-manager")]);
    client.send_event("app.navigation", &data).await?;
    println!("event reported: app.navigation");

    client.shutdown().await;
    Ok(())
}

fn setting(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("set {name}"))
}
