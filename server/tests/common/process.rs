//! The server as its users run it: the program in a process and a folder of its own.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use skyline_protocol::{IdentityPublicKey, LicenseKey};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};

use super::{Peer, Socket, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_skyline-server");

pub const PLAN: &str = "telepower.licensePlan.release.quarterly";

/// A folder with a database, an identity key and a product.
pub struct Installation {
    folder: TempDir,
    pub identity: IdentityPublicKey,
}

impl Installation {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let printed = succeed(folder.path(), &["keygen", "identity.key"]).await;
        let identity = printed.trim_end().parse().unwrap();
        assert_eq!(printed.len(), 65, "the public key in hex, one line");
        succeed(folder.path(), &["product", "set", "telepower"]).await;
        Self { folder, identity }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub async fn license(&self) -> LicenseKey {
        let issue = ["license", "issue", "--product", "telepower", "--plan", PLAN];
        succeed(self.path(), &issue)
            .await
            .trim_end()
            .parse()
            .unwrap()
    }

    pub async fn serve(&self, options: &[&str]) -> Running {
        self.start(command(self.path()), options).await
    }

    /// The same with these variables in its environment.
    pub async fn serve_with_environment(&self, variables: &[(&str, &str)]) -> Running {
        let mut program = command(self.path());
        program.envs(variables.iter().copied());
        self.start(program, &[]).await
    }

    /// The same where the system lets a process open so many files.
    pub async fn serve_with_open_files(&self, limit: u32, options: &[&str]) -> Running {
        let mut shell = prepare(Command::new("sh"), self.path());
        let limit = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        shell.args(["-c", &limit, PROGRAM]);
        self.start(shell, options).await
    }

    async fn start(&self, mut program: Command, options: &[&str]) -> Running {
        let always = ["serve", "--listen", "127.0.0.1:0", "--test-hooks"];
        let mut child = program.args(always).args(options).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        within(output.read_line(&mut ready)).await.unwrap();
        // Read all the time: a server whose log nobody takes stands still once the pipe is full.
        let mut errors = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            errors.read_to_string(&mut log).await.map(|_| log)
        });
        let url = ready
            .strip_prefix("listening on ")
            .and_then(|rest| rest.strip_suffix("/ws\n"))
            .unwrap_or_else(|| panic!("not the ready line: {ready:?}"));
        let (scheme, address) = url.split_once("://").unwrap();
        Running {
            scheme: scheme.to_owned(),
            address: address.parse().unwrap(),
            output,
            log,
            child,
        }
    }
}

/// A server process.
pub struct Running {
    pub scheme: String,
    pub address: std::net::SocketAddr,
    output: BufReader<tokio::process::ChildStdout>,
    log: tokio::task::JoinHandle<std::io::Result<String>>,
    child: Child,
}

impl Running {
    pub async fn peer(&self, installation: &Installation) -> Peer {
        let socket = Socket::open(self.address).await;
        socket.shake_hands(&installation.identity).await
    }

    /// The address of `--admin-listen`, which is printed after the ready line.
    pub async fn admin(&mut self) -> std::net::SocketAddr {
        let mut line = String::new();
        within(self.output.read_line(&mut line)).await.unwrap();
        let address = line
            .strip_prefix("metrics on http://")
            .and_then(|rest| rest.strip_suffix("/metrics\n"));
        address
            .unwrap_or_else(|| panic!("{line:?}"))
            .parse()
            .unwrap()
    }

    pub fn process_id(&self) -> u32 {
        self.child.id().expect("nobody has waited for its end")
    }

    pub async fn signal(&self, name: &str) {
        let id = self.process_id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(status.unwrap().success());
    }

    /// Waits for the end; gives the exit code and the log.
    pub async fn end(mut self) -> (Option<i32>, String) {
        let log = within(self.log).await.unwrap().unwrap();
        let status = within(self.child.wait()).await.unwrap();
        let mut rest = String::new();
        within(self.output.read_to_string(&mut rest)).await.unwrap();
        assert_eq!(rest, "", "nothing follows the ready line");
        (status.code(), log)
    }
}

pub fn command(folder: &Path) -> Command {
    prepare(Command::new(PROGRAM), folder)
}

fn prepare(mut command: Command, folder: &Path) -> Command {
    command
        .current_dir(folder)
        .env_clear()
        .env("SKYLINE_DATABASE", "skyline.db")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(folder: &Path, arguments: &[&str]) -> Output {
    within(command(folder).args(arguments).output())
        .await
        .unwrap()
}

pub async fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).unwrap()
}

pub async fn fail(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let output = run(folder, arguments).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(output.stdout.is_empty());
    errors
}
