//! Updates an outdated program: refused as 7.0.3, it downloads the new version and logs in as that.
//!
//! Reads SKYLINE_URL, SKYLINE_IDENTITY_KEY, SKYLINE_LICENSE_KEY, SKYLINE_STATE_FOLDER, and
//! SKYLINE_DOWNLOADS, the folder where the download is to be.

use std::env;
use std::error::Error;
use std::process::ExitCode;

use skyline::{Client, ClientConfig, UpdateProgress, download_update};

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
    let mut config = config("7.0.3")?;
    match Client::connect(config.clone()).await {
        Err(error @ skyline::Error::OutdatedVersion { .. }) => {
            println!("{}: {error}", error.code());
        }
        Err(error) => return Err(error.into()),
        Ok(client) => {
            client.shutdown().await;
            println!("this version is still served: nothing to do");
            return Ok(());
        }
    }

    let download = download_update(config.clone(), setting("SKYLINE_DOWNLOADS")?)?;
    let mut progress = download.progress();
    while let Some(progress) = progress.next().await {
        show(&progress);
    }
    let update = download.finish().await?;
    println!(
        "\nverified: {}, version {}, {} bytes",
        update.file_name, update.version, update.size
    );

    // A real program would install the file and start again here.
    config.product_version = update.version;
    let client = Client::connect(config.clone()).await?;
    let until = client.session().expiry_date;
    println!(
        "logged in as {} - licensed until {until}",
        config.product_version
    );
    client.shutdown().await;
    Ok(())
}

fn show(progress: &UpdateProgress) {
    const BAR_WIDTH: u64 = 40;
    let done = progress.bytes * BAR_WIDTH / progress.total;
    let bar: String = (0..BAR_WIDTH)
        .map(|at| if at < done { '#' } else { '.' })
        .collect();
    let (bytes, total) = (progress.bytes, progress.total);
    let speed = progress.bytes_per_second as f64 / f64::from(1 << 20);
    print!("\r[{bar}] {bytes}/{total} bytes, {speed:.1} MiB/s ");
}

fn config(version: &str) -> Result<ClientConfig, Box<dyn Error>> {
    let license_key = setting("SKYLINE_LICENSE_KEY")?.parse();
    let identity_key = setting("SKYLINE_IDENTITY_KEY")?.parse();
    let mut config = ClientConfig::new(
        "telepower",
        version,
        license_key.map_err(skyline::Error::from)?,
        [identity_key.map_err(skyline::Error::from)?],
    );
    config.url = setting("SKYLINE_URL")?;
    config.state_folder = Some(setting("SKYLINE_STATE_FOLDER")?.into());
    config.language = "russian".to_owned();
    Ok(config)
}

fn setting(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("set {name}"))
}
