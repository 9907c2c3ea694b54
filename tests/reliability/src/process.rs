//! Clients in processes of their own (`session-process`), driven by lines of text.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use skyline::{ClientConfig, Error};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// An outcome in one line: `CODE maybe_executed reason text`, with `-` for what there is not.
pub fn describe(error: &Error) -> String {
    let maybe_executed = match error {
        Error::ConnectionLost { maybe_executed, .. }
        | Error::DeadlineExceeded { maybe_executed, .. }
        | Error::Cancelled { maybe_executed }
        | Error::ShutDown { maybe_executed } => {
            if *maybe_executed {
                "maybe-executed"
            } else {
                "not-executed"
            }
        }
        _ => "-",
    };
    let reason = match error {
        Error::IntegrityBreach { reason, .. } => reason.as_str(),
        _ => "-",
    };
    format!("{} {maybe_executed} {reason} {error}", error.code())
}

/// The command that starts a client process of that configuration.
///
/// # Panics
///
/// When the configuration names no device or no state folder: a test's client has both.
pub fn command(program: &Path, config: &ClientConfig) -> std::process::Command {
    let device = config.device.as_ref().expect("the device is given");
    let mut command = std::process::Command::new(program);
    command
        .env("SKYLINE_URL", &config.url)
        .env("SKYLINE_IDENTITY_KEY", config.identity_keys[0].to_string())
        .env("SKYLINE_LICENSE_KEY", config.license_key.expose())
        .env(
            "SKYLINE_STATE_FOLDER",
            config.state_folder.as_ref().expect("the folder is given"),
        )
        .env("SKYLINE_SERIAL_NUMBER", &device.serial_number)
        .env("SKYLINE_PRODUCT_UUID", &device.cs_product_uuid)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// A running client process; dropping it kills it.
#[derive(Debug)]
pub struct SessionProcess {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl SessionProcess {
    /// Starts `command`, made by [`command`] and perhaps wrapped in another program.
    ///
    /// # Errors
    ///
    /// When the system does not start it.
    pub fn start(command: std::process::Command) -> io::Result<Self> {
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        let pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        let input = child.stdin.take().ok_or_else(pipe)?;
        let output = child.stdout.take().ok_or_else(pipe)?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    /// Gives a command without waiting for its answer.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub async fn begin(&mut self, line: &str) -> io::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await
    }

    /// The next answer; `None` when the process has ended.
    pub async fn answer(&mut self) -> Option<String> {
        self.output.next_line().await.ok().flatten()
    }

    /// Gives a command and waits for its answer.
    pub async fn ask(&mut self, line: &str) -> Option<String> {
        self.begin(line).await.ok()?;
        self.answer().await
    }

    /// Kills it by SIGKILL and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When the system cannot tell what became of it.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.start_kill()?;
        self.child.wait().await.map(drop)
    }
}

/// Where the last login of a state folder is kept, if it has one.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn login_file(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "login") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The time in the last-login file of a folder, if it has one.
///
/// # Errors
///
/// When it cannot be read.
///
/// # Panics
///
/// When the file has another length than the client gives it.
pub fn stored_login(folder: &Path) -> io::Result<Option<i64>> {
    /// A line that names the layout, the time as an i64 in big-endian order, an HMAC-SHA256.
    const TIME: std::ops::Range<usize> = 17..25;
    let Some(path) = login_file(folder)? else {
        return Ok(None);
    };
    let bytes = std::fs::read(path)?;
    assert_eq!(bytes.len(), TIME.end + 32, "not a whole last-login file");
    let time = bytes[TIME].try_into().expect("eight bytes");
    Ok(Some(i64::from_be_bytes(time)))
}
