//! The command line: `skyline-server serve` and the admin commands.

mod admin;
mod identity;
mod options;
mod serve;
mod settings;
mod signals;

use std::io::{self, Write};

use clap::{Parser, Subcommand};
use skyline_protocol::LicenseKeyError;

use crate::{
    identity::IdentityFileError,
    store::{DatabaseAddressError, StoreError},
    tls::TlsError,
};

pub use options::{
    AdminOptions, AuditOptions, BackupOptions, DatabaseOptions, EventCommand, Extent,
    IdentityCommand, IdentityOptions, LicenseCommand, LicenseIssueOptions, LicenseName, OneLicense,
    PlanCommand, PlanSetOptions, ProductCommand, ProductSetOptions, ReleaseCommand,
    ReleaseFilesOptions, ReleaseName, ReleasePublishOptions, RestoreOptions, ServeOptions,
    TypedAddress, TypedKey, TypedLicense,
};
pub use settings::{Invocation, SettingsError};

/// The licensing server of the Skyline protocol, and its admin commands.
#[derive(Debug, Parser)]
#[command(name = "skyline-server", version)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, the reason is on the standard error; 2 wrong usage."
)]
pub struct Cli {
    /// File of settings (TOML), which the command line and the environment go before
    #[arg(long, global = true, env = "SKYLINE_CONFIG", value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an identity key: writes the private key to FILE, prints the public one in hex
    Keygen {
        /// File to make; an existing one is never overwritten
        file: std::path::PathBuf,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Identity keys: which there are, and the change to the next one
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Products that licenses are issued for
    #[command(subcommand)]
    Product(ProductCommand),
    /// Plans: the period of a license and its limits
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Licenses
    #[command(subcommand)]
    License(LicenseCommand),
    /// Events that clients sent
    #[command(subcommand)]
    Event(EventCommand),
    /// Print the audit log: every change and every refusal, oldest first
    Audit(AuditOptions),
    /// Copy a SQLite database into a new file, also while a server works on it
    Backup(BackupOptions),
    /// Put a backup into the place of the database, and let its clients go on
    Restore(RestoreOptions),
    /// Bring the database up to date, or make it; `serve` does so too
    Migrate {
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
    /// New versions of products, which clients update to
    #[command(subcommand)]
    Release(Box<ReleaseCommand>),
    /// Serve clients until SIGTERM or SIGINT
    Serve(Box<ServeOptions>),
}

/// Why a command failed, said to the administrator.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The database file is missing where the command needs one.
    #[error("there is no database at {0}: `skyline-server migrate` makes one")]
    NoDatabase(String),
    /// The database could not be opened.
    #[error("the database {0} cannot be opened: {1}")]
    OpenDatabase(String, StoreError),
    /// The store failed, or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no usable identity key.
    #[error(transparent)]
    Identity(#[from] IdentityFileError),
    /// What to log is not said in the language of `tracing`.
    #[error("the log filter is not valid: {0}")]
    LogFilter(tracing_subscriber::filter::ParseError),
    /// A certificate without its key, or the reverse.
    #[error("for TLS both tls-certificate and tls-key are needed")]
    HalfTls,
    /// There is no usable certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database is named by something else than a file or a PostgreSQL URL.
    #[error(transparent)]
    DatabaseAddress(#[from] DatabaseAddressError),
    /// No product of that name.
    #[error("there is no product `{0}`: make it with `skyline-server product set {0}`")]
    UnknownProduct(String),
    /// No plan of that name.
    #[error("there is no plan `{0}`; the plans are: {1}")]
    UnknownPlan(String, String),
    /// The text is no license key.
    #[error(transparent)]
    LicenseKey(#[from] LicenseKeyError),
    /// No license of that key or number.
    #[error("there is no license with this {0}")]
    UnknownLicense(&'static str),
    /// A file of licenses cannot be read.
    #[error("{0} cannot be read: {1}")]
    ReadImport(String, io::Error),
    /// A line of a file of licenses is not as it should be. What it is may be a key: only its
    /// place is told.
    #[error("line {0}: {1}")]
    ImportLine(usize, &'static str),
    /// What is said of a release cannot stand in a manifest.
    #[error(transparent)]
    Manifest(#[from] skyline_protocol::update::ManifestError),
    /// A file without a name that clients could be told.
    #[error("{0} has no name in UTF-8: name the file with --file-name")]
    NamelessFile(String),
    /// A database server has no place for files.
    #[error("name the folder of the releases' files with --releases")]
    NoReleaseFolder,
    /// A release's file could not be taken in or removed.
    #[error("the file {0} cannot be used: {1}")]
    ReleaseFile(String, io::Error),
    /// Another file took the place of the one that was published.
    #[error("{0} has changed while it was published: withdraw the release, and publish it again")]
    ChangedFile(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, io::Error),
    /// The operating system refused something else.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

/// Carries out a command.
///
/// # Errors
/// What the administrator is to be told.
pub async fn run(invocation: Invocation) -> Result<(), CliError> {
    let settings =
        matches!(&invocation.cli.command, Command::Serve(options) if options.print_config)
            .then(|| invocation.effective_settings());
    if let Some(settings) = settings {
        return print(&settings);
    }
    match invocation.cli.command {
        Command::Keygen { file, json } => identity::keygen(&file, json),
        Command::Identity(command) => identity::identity(command),
        Command::Product(command) => admin::catalogue::product(command).await,
        Command::Plan(command) => admin::catalogue::plan(command).await,
        Command::License(command) => admin::license::run(command).await,
        Command::Event(command) => admin::journal::event(command).await,
        Command::Audit(options) => admin::journal::audit(options).await,
        Command::Backup(options) => admin::database::back_up(options).await,
        Command::Restore(options) => admin::database::restore(options).await,
        Command::Migrate { admin } => admin::database::migrate(admin).await,
        Command::Release(command) => admin::release::run(*command).await,
        Command::Serve(options) => serve::serve(*options).await,
    }
}

/// Writes to the standard output. `println!` would panic when nobody reads it any more.
fn print(text: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|error| CliError::System("cannot write to the standard output", error))
}
