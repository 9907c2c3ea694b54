//! What the integration tests share: a real server process, and bounds on every wait.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod logs;
pub mod peer;

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use skyline::{Client, ClientConfig, DeviceIdentity, LicenseKey, Result};
use tempfile::TempDir;

pub const PRODUCT: &str = "telepower";
pub const VERSION: &str = "7.0.3";
pub const MONTHLY: &str = "telepower.licensePlan.release.monthly";

/// Where a server has its identity key, in its folder.
const IDENTITY_FILE: &str = "identity.key";

/// The database within the server's folder.
const DATABASE: &str = "skyline.db";

/// What no wait in a test exceeds, however slow the machine: a test that hangs is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Awaits `future`, and panics when it takes longer than any test may.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it took longer than any test may")
}

/// A licensing server in a process of its own, with its database in a temporary folder.
pub struct Server {
    process: Child,
    folder: TempDir,
    /// What `serve` was given, for the next start.
    arguments: Vec<String>,
    pub url: String,
    pub identity_key: String,
}

impl Server {
    /// A server with the test hooks and one product.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments for `serve`.
    pub fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity_key = stdout(&run(&folder, &["keygen", IDENTITY_FILE]));
        run(&folder, &["product", "set", PRODUCT]);
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let (process, url) = serve(&folder, IDENTITY_FILE, "127.0.0.1:0", &arguments);
        Self {
            process,
            folder,
            arguments,
            url,
            identity_key,
        }
    }

    /// Runs an admin command on the server's database and gives what it printed.
    pub fn admin(&self, arguments: &[&str]) -> String {
        stdout(&run(&self.folder, arguments))
    }

    /// Publishes a file of these bytes as version 7.1.0 for this system, with further arguments for
    /// `release publish`; gives what it printed.
    pub fn publish(&self, name: &str, file: &[u8], arguments: &[&str]) -> String {
        std::fs::write(self.folder.path().join(name), file).unwrap();
        let release = ["--product", PRODUCT, "--version", "7.1.0"];
        self.admin(&[&["release", "publish", name], &release[..], arguments].concat())
    }

    /// A new license of the monthly plan.
    pub fn license(&self) -> LicenseKey {
        self.license_with(&[])
    }

    /// The same with further arguments for `license issue`.
    pub fn license_with(&self, arguments: &[&str]) -> LicenseKey {
        let issue = ["license", "issue", "--product", PRODUCT, "--plan", MONTHLY];
        self.admin(&[&issue, arguments].concat()).parse().unwrap()
    }

    /// The device of a new license's owner.
    pub fn owner(&self) -> Owner {
        self.owner_of(self.license())
    }

    pub fn owner_of(&self, license_key: LicenseKey) -> Owner {
        Owner {
            url: self.url.clone(),
            identity_key: self.identity_key.clone(),
            license_key,
            state: tempfile::tempdir().unwrap(),
        }
    }

    /// Sends it a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let id = self.process_id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Kills the process at once, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Host and port, for a proxy between.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("ws://").trim_end_matches("/ws")
    }

    /// The file of the database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join(DATABASE)
    }

    /// The id of the process, for a look at it in /proc.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Starts it again on the same port and database, with the same arguments.
    pub fn restart(&mut self) {
        self.restart_with_identity(IDENTITY_FILE);
    }

    /// The same with the identity key in another file of its folder.
    pub fn restart_with_identity(&mut self, file: &str) {
        self.kill();
        let (process, url) = serve(&self.folder, file, self.address(), &self.arguments);
        assert_eq!(url, self.url);
        self.process = process;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A device with a license: what a client needs to log in, each time as the same device.
pub struct Owner {
    pub url: String,
    pub identity_key: String,
    pub license_key: LicenseKey,
    pub state: TempDir,
}

impl Owner {
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new(
            PRODUCT,
            VERSION,
            self.license_key.clone(),
            [self.identity_key.parse().unwrap()],
        );
        config.url = self.url.clone();
        config.device = Some(device("ADTFBB4112800098"));
        config.state_folder = Some(self.state.path().to_owned());
        config
    }

    pub async fn connect(&self) -> Client {
        self.try_connect().await.unwrap()
    }

    /// The same under an executor that has no timer.
    pub async fn connect_anywhere(&self) -> Result<Client> {
        Client::connect(self.config()).await
    }

    pub async fn try_connect(&self) -> Result<Client> {
        soon(Client::connect(self.config())).await
    }
}

pub fn device(serial_number: &str) -> DeviceIdentity {
    DeviceIdentity {
        serial_number: serial_number.to_owned(),
        cs_product_uuid: "20240113-E0C2-646E-FDB1-E0C2646EFDB5".to_owned(),
    }
}

fn server_program() -> PathBuf {
    if let Some(path) = std::env::var_os("SKYLINE_SERVER") {
        return path.into();
    }
    // Tests run from target/PROFILE/deps; the server is built into target/PROFILE.
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("skyline-server");
    assert!(
        path.exists(),
        "build it first: cargo build -p skyline-server"
    );
    path
}

fn command(folder: &TempDir) -> Command {
    let mut command = Command::new(server_program());
    command
        .current_dir(folder.path())
        .env("SKYLINE_DATABASE", DATABASE);
    command
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    let output = command(folder).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .trim()
        .to_owned()
}

fn serve(folder: &TempDir, identity: &str, address: &str, arguments: &[String]) -> (Child, String) {
    let mut process = command(folder)
        .args([
            "serve",
            "--identity-key",
            identity,
            "--listen",
            address,
            "--test-hooks",
        ])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (line, ready) = mpsc::channel();
    let output = BufReader::new(process.stdout.take().unwrap());
    std::thread::spawn(move || {
        for text in output.lines().map_while(std::result::Result::ok) {
            let _ = line.send(text);
        }
    });
    match ready.recv_timeout(PATIENCE) {
        Ok(text) => (process, text.trim_start_matches("listening on ").to_owned()),
        Err(_) => {
            let _ = process.kill();
            panic!("the server did not say that it is ready");
        }
    }
}
