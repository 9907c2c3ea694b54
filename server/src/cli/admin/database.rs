//! `migrate`, `backup` and `restore`.

use serde_json::json;

use super::{open, open_existing, output, stamp};
use crate::{
    cli::{AdminOptions, BackupOptions, CliError, RestoreOptions},
    store::{Store, restore_sqlite},
};

pub(crate) async fn migrate(admin: AdminOptions) -> Result<(), CliError> {
    open(&admin.database, true).await?.close().await;
    let name = admin.database.store(true)?.address.to_string();
    output(&admin, &json!({ "database": name }), || {
        format!("up to date: {name}\n")
    })
}

pub(crate) async fn back_up(options: BackupOptions) -> Result<(), CliError> {
    let store = open_existing(&options.admin).await?;
    let done = store.back_up(&options.file).await;
    store.close().await;
    done?;
    let file = options.file.display().to_string();
    output(&options.admin, &json!({ "file": file }), || {
        format!("backup: {file}\n")
    })
}

pub(crate) async fn restore(options: RestoreOptions) -> Result<(), CliError> {
    let licenses = match &options.file {
        Some(file) => {
            let target = options.admin.database.store(false)?;
            restore_sqlite(file, &target, options.force, &stamp()).await?
        }
        None => {
            let store = open_existing(&options.admin).await?;
            let licenses = store.mark_restored(&stamp()).await?;
            store.close().await;
            licenses
        }
    };
    output(&options.admin, &json!({ "licenses": licenses }), || {
        format!("restored; licenses whose next login may report a newer last login: {licenses}\n")
    })
}
