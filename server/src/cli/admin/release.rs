//! The commands on releases.

use std::{fmt::Write, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::Serialize;
use skyline_protocol::update::{Manifest, SignedManifest};

use super::{open_existing, output, stamp};
use crate::{
    cli::{
        AdminOptions, CliError, ReleaseCommand, ReleaseFilesOptions, ReleaseName,
        ReleasePublishOptions,
    },
    identity,
    model::Release,
    release_files::ReleaseFiles,
    store::{ReleaseFilter, Store, StoreError},
};

/// A release in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseJson<'a> {
    product: &'a str,
    version: &'a str,
    platform: &'a str,
    file_name: &'a str,
    size: u64,
    /// In hex.
    sha256: String,
    /// When it was published, by RFC 3339.
    published_at: String,
    /// Base64 of the manifest and of its signature, for clients that get the file in another way.
    manifest: String,
    signature: String,
}

impl<'a> From<&'a Release> for ReleaseJson<'a> {
    fn from(release: &'a Release) -> Self {
        let manifest = &release.manifest;
        Self {
            product: &manifest.product,
            version: &manifest.version,
            platform: &manifest.platform,
            file_name: &manifest.file_name,
            size: manifest.size,
            sha256: hex::encode(manifest.sha256),
            published_at: release.published_at.to_string(),
            manifest: STANDARD.encode(release.signed.manifest()),
            signature: STANDARD.encode(release.signed.signature()),
        }
    }
}

pub(crate) async fn run(command: ReleaseCommand) -> Result<(), CliError> {
    match command {
        ReleaseCommand::Publish(options) => publish(options).await,
        ReleaseCommand::List { product, admin } => list(product, &admin).await,
        ReleaseCommand::Withdraw {
            release,
            admin,
            files,
        } => withdraw(release, &admin, &files).await,
    }
}

async fn publish(options: ReleasePublishOptions) -> Result<(), CliError> {
    let key = options.release_key.as_ref();
    let key = identity::load(key.unwrap_or(&options.identity.identity_key))?;
    let file_name = match options.file_name {
        Some(name) => name,
        None => name_of(&options.file)?,
    };
    let ReleaseName {
        product,
        version,
        platform,
    } = options.release;
    let store = open_existing(&options.admin).await?;
    if store.product(&product).await?.is_none() {
        return Err(CliError::UnknownProduct(product));
    }
    let mut manifest = Manifest {
        product,
        version,
        platform,
        file_name,
        size: 1,
        sha256: [0; _],
    };
    // What is wrong with the names is told before a large file is copied, or the release is there.
    manifest.encode()?;
    let filter = ReleaseFilter {
        product: Some(manifest.product.clone()),
        platform: Some(manifest.platform.clone()),
    };
    let releases = store.releases(&filter).await?;
    if releases
        .iter()
        .any(|release| release.manifest.version == manifest.version)
    {
        return Err(StoreError::ReleaseExists.into());
    }
    let files = files(&options.files, &options.admin)?;
    let stored = files
        .add(&options.file)
        .map_err(|error| CliError::ReleaseFile(options.file.display().to_string(), error))?;
    manifest.size = stored.size;
    manifest.sha256 = stored.sha256;
    let by = stamp();
    let release = Release {
        signed: SignedManifest::sign(&manifest, &key)?,
        manifest,
        // As the store keeps it.
        published_at: Timestamp::from_second(by.at.as_second()).unwrap_or(by.at),
    };
    store.publish_release(&release, &by).await?;
    store.close().await;
    // A withdrawal of the last other release with the same file may have removed it before this
    // release was there to be counted.
    let name = || options.file.display().to_string();
    if files.open(&stored.sha256).is_err() {
        let again = files.add(&options.file);
        let again = again.map_err(|error| CliError::ReleaseFile(name(), error))?;
        if again != stored {
            return Err(CliError::ChangedFile(name()));
        }
    }
    report(&release, "published", &options.admin)
}

/// The name of a file in its folder.
fn name_of(file: &Path) -> Result<String, CliError> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| CliError::NamelessFile(file.display().to_string()))
}

fn files(options: &ReleaseFilesOptions, admin: &AdminOptions) -> Result<ReleaseFiles, CliError> {
    let database = admin.database.database.0.clone()?;
    options.files(&database).ok_or(CliError::NoReleaseFolder)
}

async fn list(product: Option<String>, admin: &AdminOptions) -> Result<(), CliError> {
    let store = open_existing(admin).await?;
    let filter = ReleaseFilter {
        product,
        platform: None,
    };
    let releases = store.releases(&filter).await?;
    store.close().await;
    let json: Vec<_> = releases.iter().map(ReleaseJson::from).collect();
    output(admin, &json, || {
        let mut text = String::from("PRODUCT\tVERSION\tPLATFORM\tSIZE\tPUBLISHED\tFILE\n");
        for release in &releases {
            let manifest = &release.manifest;
            // Writing into memory cannot fail.
            let _ = writeln!(
                text,
                "{}\t{}\t{}\t{}\t{}\t{}",
                manifest.product,
                manifest.version,
                manifest.platform,
                manifest.size,
                release.published_at,
                manifest.file_name
            );
        }
        text
    })
}

async fn withdraw(
    name: ReleaseName,
    admin: &AdminOptions,
    files_options: &ReleaseFilesOptions,
) -> Result<(), CliError> {
    let store = open_existing(admin).await?;
    let filter = ReleaseFilter {
        product: Some(name.product),
        platform: Some(name.platform),
    };
    let releases = store.releases(&filter).await?;
    let release = releases
        .into_iter()
        .find(|release| release.manifest.version == name.version)
        .ok_or(StoreError::NoRelease)?;
    let files = files(files_options, admin)?;
    let unused = store.withdraw_release(&release.manifest, &stamp()).await?;
    store.close().await;
    if unused {
        let name = hex::encode(release.manifest.sha256);
        files
            .remove(&release.manifest.sha256)
            .map_err(|error| CliError::ReleaseFile(name, error))?;
    }
    report(&release, "withdrawn", admin)
}

fn report(release: &Release, done: &str, admin: &AdminOptions) -> Result<(), CliError> {
    output(admin, &ReleaseJson::from(release), || {
        let manifest = &release.manifest;
        format!(
            "{done}: {} {} for {}\nfile: {}\nsize: {}\nSHA-256: {}\n",
            manifest.product,
            manifest.version,
            manifest.platform,
            manifest.file_name,
            manifest.size,
            hex::encode(manifest.sha256)
        )
    })
}
