//! `license export` and `license import`: licenses as JSON, one object a line.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader},
    path::Path,
};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use skyline_protocol::LicenseKey;

use super::{json_line, now, open_existing, output, stamp};
use crate::{
    cli::{AdminOptions, CliError, print},
    key_secret::HINT_CHARACTERS,
    model::{Activation, Device},
    store::{PortableKey, PortableLicense, Store},
};

/// Hex digits of HMAC-SHA256.
const HASH_CHARACTERS: usize = 64;

/// A license on a line. It has either `key` or the three fields after it; a vendor's existing key
/// needs nothing beside `product` and `plan`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing)]
    key: Option<LicenseKey>,
    #[serde(default)]
    key_hash: Option<String>,
    #[serde(default)]
    key_hint: Option<String>,
    /// Tells whether the hash means anything to the other database.
    #[serde(default)]
    key_check: Option<String>,
    product: String,
    plan: String,
    #[serde(default)]
    limits: BTreeMap<String, i64>,
    #[serde(default)]
    issued_at: Option<Timestamp>,
    #[serde(default)]
    suspended: bool,
    #[serde(default)]
    activation: Option<ActivationLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ActivationLine {
    date: Date,
    expiry: Date,
    serial_number: String,
    cs_product_uuid: String,
}

pub(super) async fn export(product: Option<&str>, admin: &AdminOptions) -> Result<(), CliError> {
    let store = open_existing(admin).await?;
    let licenses = store.export_licenses(product).await?;
    let check = store.key_check_value();
    store.close().await;
    let mut text = String::new();
    for license in licenses {
        text.push_str(&json_line(&line(license, &check))?);
    }
    print(&text)
}

pub(super) async fn import(file: &Path, admin: &AdminOptions) -> Result<(), CliError> {
    let failed = |error| CliError::ReadImport(file.display().to_string(), error);
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(std::fs::File::open(file).map_err(failed)?))
    };
    let lines: Vec<String> = reader.lines().collect::<Result<_, _>>().map_err(failed)?;
    let store = open_existing(admin).await?;
    let check = store.key_check_value();
    let mut licenses = Vec::new();
    for (index, text) in lines.iter().enumerate() {
        if !text.trim().is_empty() {
            let license = read(text, &check);
            licenses.push(license.map_err(|problem| CliError::ImportLine(index + 1, problem))?);
        }
    }
    store.import_licenses(&licenses, &stamp()).await?;
    store.close().await;
    let imported = licenses.len();
    output(admin, &serde_json::json!({ "imported": imported }), || {
        format!("imported: {imported}\n")
    })
}

fn line(license: PortableLicense, check: &str) -> Line {
    let (key_hash, key_hint) = match license.key {
        PortableKey::Hash { hash, hint } => (Some(hash), Some(hint)),
        PortableKey::Plain(_) => (None, None),
    };
    Line {
        key: None,
        key_hash,
        key_hint,
        key_check: Some(check.to_owned()),
        product: license.product_id,
        plan: license.plan_id,
        limits: license.limits,
        issued_at: Some(license.issued_at),
        suspended: license.suspended,
        activation: license.activation.map(|activation| ActivationLine {
            date: activation.date,
            expiry: activation.expiry,
            serial_number: activation.device.serial_number,
            cs_product_uuid: activation.device.cs_product_uuid,
        }),
    }
}

fn read(text: &str, check: &str) -> Result<PortableLicense, &'static str> {
    let line: Line = serde_json::from_str(text)
        .map_err(|_| "this is no license as `license export` prints it")?;
    Ok(PortableLicense {
        key: key(&line, check)?,
        product_id: line.product,
        plan_id: line.plan,
        limits: line.limits,
        issued_at: line.issued_at.unwrap_or_else(now),
        suspended: line.suspended,
        activation: line.activation.map(|activation| Activation {
            date: activation.date,
            expiry: activation.expiry,
            device: Device {
                serial_number: activation.serial_number,
                cs_product_uuid: activation.cs_product_uuid,
            },
        }),
    })
}

fn key(line: &Line, check: &str) -> Result<PortableKey, &'static str> {
    match (&line.key, &line.key_hash, &line.key_hint, &line.key_check) {
        (Some(key), None, None, None) => {
            // Deserializing takes any text as it came.
            let key = key.expose().parse();
            key.map(PortableKey::Plain)
                .map_err(|_| "the key is no license key")
        }
        (None, Some(hash), Some(hint), Some(other)) => {
            if other != check {
                return Err(
                    "the hash was made with another license key secret than this database's",
                );
            }
            let is_hash = hash.len() == HASH_CHARACTERS
                && hash
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !is_hash || hint.chars().count() != HINT_CHARACTERS {
                return Err("the hash or the hint of the key is malformed");
            }
            Ok(PortableKey::Hash {
                hash: hash.clone(),
                hint: hint.clone(),
            })
        }
        _ => Err("either `key`, or `keyHash`, `keyHint` and `keyCheck` are needed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let check = "check";
        let license = PortableLicense {
            key: PortableKey::Hash {
                hash: "0a".repeat(32),
                hint: "HXRB8".to_owned(),
            },
            product_id: "telepower".to_owned(),
            plan_id: "plan".to_owned(),
            limits: BTreeMap::from([("a".to_owned(), i64::MIN)]),
            issued_at: Timestamp::UNIX_EPOCH,
            suspended: true,
            activation: Some(Activation {
                date: Date::MIN,
                expiry: Date::MAX,
                device: Device {
                    serial_number: "«1»".to_owned(),
                    cs_product_uuid: String::new(),
                },
            }),
        };
        let text = json_line(&line(license.clone(), check)).unwrap();
        assert_eq!(read(&text, check), Ok(license));
        assert!(read(&text, "other").unwrap_err().contains("another"));
    }

    #[test]
    fn a_key_alone_is_enough_and_half_a_key_is_not() {
        let key = LicenseKey::generate();
        let text = format!(
            r#"{{"key":"{}","product":"a","plan":"b"}}"#,
            key.expose().to_lowercase()
        );
        let read_back = read(&text, "check").unwrap();
        assert_eq!(read_back.key, PortableKey::Plain(key));
        for wrong in [
            r#"{"product":"a","plan":"b"}"#,
            r#"{"key":"x","product":"a","plan":"b"}"#,
            r#"{"keyHash":"x","product":"a","plan":"b"}"#,
            r#"{"keyHash":"x","keyHint":"HXRB8","keyCheck":"check","product":"a","plan":"b"}"#,
            r#"{"kye":"x","product":"a","plan":"b"}"#,
            "[]",
        ] {
            assert!(read(wrong, "check").is_err(), "{wrong}");
        }
    }
}
