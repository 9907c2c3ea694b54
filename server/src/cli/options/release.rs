//! The options of the commands on releases.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use skyline_protocol::{
    update::{check_platform, this_platform},
    version,
};

use super::{AdminOptions, IdentityOptions};
use crate::{release_files::ReleaseFiles, store::DatabaseAddress};

/// Extension that is appended to the name of a SQLite file for the default folder of its releases.
const FOLDER_EXTENSION: &str = ".releases";

/// Where the files of the releases are.
#[derive(Clone, Debug, Args)]
pub struct ReleaseFilesOptions {
    /// Folder of the releases' files; nodes that share a database share it, or have copies
    /// [default: the SQLite file's name with .releases appended; PostgreSQL has none]
    #[arg(long = "releases", env = "SKYLINE_RELEASES", value_name = "DIR")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}

impl ReleaseFilesOptions {
    /// The folder; `None` when none is named and the database is no file.
    pub fn files(&self, database: &DatabaseAddress) -> Option<ReleaseFiles> {
        let folder = match (&self.folder, database.file()) {
            (Some(folder), _) => folder.clone(),
            (None, Some(file)) => {
                let mut name = file.as_os_str().to_owned();
                name.push(FOLDER_EXTENSION);
                name.into()
            }
            (None, None) => return None,
        };
        Some(ReleaseFiles::new(folder))
    }
}

/// Commands on releases.
#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Sign a file and offer it as an update
    Publish(ReleasePublishOptions),
    /// Print the releases that are offered
    List {
        /// Only those of this product
        #[arg(long, value_name = "ID")]
        product: Option<String>,
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
    },
    /// Offer a release no longer; downloads that go on may end
    Withdraw {
        /// Which release.
        #[command(flatten)]
        release: ReleaseName,
        /// Where the database is.
        #[command(flatten)]
        admin: AdminOptions,
        /// Where the files are.
        #[command(flatten)]
        files: ReleaseFilesOptions,
    },
}

/// Which release is meant.
#[derive(Debug, Args)]
pub struct ReleaseName {
    /// The product
    #[arg(long, value_name = "ID")]
    pub product: String,
    /// Its version
    #[arg(long, value_parser = full_version)]
    pub version: String,
    /// The system that it is for [default: that of this machine]
    #[arg(long, value_name = "NAME", value_parser = platform)]
    #[arg(default_value_t = this_platform(), hide_default_value = true)]
    pub platform: String,
}

/// A release to be published.
#[derive(Debug, Args)]
pub struct ReleasePublishOptions {
    /// File that clients are to download
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Which release it is.
    #[command(flatten)]
    pub release: ReleaseName,
    /// Name that the file is to have at the client [default: the one it has]
    #[arg(long, value_name = "NAME")]
    pub file_name: Option<String>,
    /// Key that signs, made by `skyline-server keygen`; clients must know it as a release key
    /// [default: the identity key]
    #[arg(long, env = "SKYLINE_RELEASE_KEY", value_name = "FILE")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub release_key: Option<PathBuf>,
    /// The key that signs when no release key is named.
    #[command(flatten)]
    pub identity: IdentityOptions,
    /// Where the database is.
    #[command(flatten)]
    pub admin: AdminOptions,
    /// Where the files are.
    #[command(flatten)]
    pub files: ReleaseFilesOptions,
}

/// Releases are told apart by their versions, so each is written in one way: `7.1` as `7.1.0`.
fn full_version(text: &str) -> Result<String, String> {
    version::parse(text)
        .map(|version| version.to_string())
        .ok_or_else(|| "a version such as 7.1.0 is expected".to_owned())
}

fn platform(text: &str) -> Result<String, String> {
    check_platform(text)
        .map(|()| text.to_owned())
        .map_err(|error| error.to_string())
}
