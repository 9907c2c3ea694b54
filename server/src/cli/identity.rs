//! `keygen` and `identity`: the keys that clients pin, and the change to the next one.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CliError, IdentityCommand, admin::output_as};
use crate::identity;

/// The public keys in JSON.
#[derive(Serialize)]
struct KeysJson {
    current: String,
    next: Option<String>,
    /// The file of the key that was the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    retired: Option<PathBuf>,
}

impl KeysJson {
    fn text(&self) -> String {
        let mut text = format!("current: {}\n", self.current);
        if let Some(next) = &self.next {
            text.push_str(&format!("next: {next}\n"));
        }
        if let Some(retired) = &self.retired {
            text.push_str(&format!("retired: {}\n", retired.display()));
        }
        text
    }
}

/// The public part of a new key in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyJson {
    public_key: String,
}

pub(super) fn keygen(file: &Path, json: bool) -> Result<(), CliError> {
    let public_key = identity::create(file)?.public().to_string();
    let text = format!("{public_key}\n");
    output_as(json, &KeyJson { public_key }, || text)
}

pub(super) fn identity(command: IdentityCommand) -> Result<(), CliError> {
    let (files, retired, json) = match command {
        IdentityCommand::Show { identity, json } => (identity.files(), None, json),
        IdentityCommand::Promote { identity, json } => {
            let files = identity.files();
            let retired = files.promote()?;
            (files, Some(retired), json)
        }
    };
    let keys = files.load()?;
    let keys = KeysJson {
        current: keys.current.public().to_string(),
        next: keys.next.map(|next| next.to_string()),
        retired,
    };
    output_as(json, &keys, || keys.text())
}
