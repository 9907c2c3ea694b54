//! The host's settings, on their way to [`ClientConfig`].

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::{EventDurability, EventOverflow, Failure};
use crate::config::ClientConfig;
use crate::error::{Error, Result};

/// A text that no log, description or debugger dump of the host shows.
#[derive(uniffi::Object)]
pub struct SecretText {
    text: Zeroizing<String>,
}

#[uniffi::export]
impl SecretText {
    /// Takes the text over; it is wiped when the object goes.
    #[uniffi::constructor]
    pub fn new(text: String) -> Arc<Self> {
        Arc::new(Self {
            text: Zeroizing::new(text),
        })
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(redacted)")
    }
}

/// Which proxy leads to the server.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum Proxy {
    /// That of the environment: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// This one: `http://`, `socks5://` or `socks5h://`, with user and password where it wants them.
    Url {
        /// The proxy's URL; an object because it may hold a password.
        url: Arc<SecretText>,
    },
}

/// What tells this device from others.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceIdentity {
    /// The serial number of the system.
    pub serial_number: String,
    /// The UUID of the computer system product (SMBIOS type 1).
    pub cs_product_uuid: String,
}

impl From<crate::DeviceIdentity> for DeviceIdentity {
    fn from(device: crate::DeviceIdentity) -> Self {
        Self {
            serial_number: device.serial_number,
            cs_product_uuid: device.cs_product_uuid,
        }
    }
}

impl From<DeviceIdentity> for crate::DeviceIdentity {
    fn from(device: DeviceIdentity) -> Self {
        Self {
            serial_number: device.serial_number,
            cs_product_uuid: device.cs_product_uuid,
        }
    }
}

/// The settings of a client; `None` stands for the default, which
/// [`ClientConfig`] documents field by field.
///
/// The C interface takes the same settings, by the same names, as a MessagePack map.
#[derive(Debug, Clone, uniffi::Record, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The product's id, as the licensing server knows it.
    pub product_id: String,
    /// The product's version.
    pub product_version: String,
    /// The license key.
    #[serde(deserialize_with = "secret")]
    pub license_key: Arc<SecretText>,
    /// The identity keys of the server that are trusted, each in hex or base64; at least one.
    pub identity_keys: Vec<String>,
    /// The server's URL.
    #[uniffi(default = None)]
    pub url: Option<String>,
    /// The language of the server's sentences: `english`, `russian`.
    #[uniffi(default = None)]
    pub language: Option<String>,
    /// This device's identity; detected when absent.
    #[uniffi(default = None)]
    pub device: Option<DeviceIdentity>,
    /// The folder of the client's state.
    #[uniffi(default = None)]
    pub state_folder: Option<String>,
    /// How long TCP, proxy, TLS and the WebSocket may take together.
    #[uniffi(default = None)]
    #[serde(default, deserialize_with = "seconds")]
    pub connect_deadline: Option<Duration>,
    /// How long the handshake and the login may take together.
    #[uniffi(default = None)]
    #[serde(default, deserialize_with = "seconds")]
    pub handshake_deadline: Option<Duration>,
    /// How long a call may take when it names no deadline of its own.
    #[uniffi(default = None)]
    #[serde(default, deserialize_with = "seconds")]
    pub call_deadline: Option<Duration>,
    /// The longest wait before the first attempt to reconnect.
    #[uniffi(default = None)]
    #[serde(default, deserialize_with = "seconds")]
    pub reconnect_initial_delay: Option<Duration>,
    /// The longest wait before any attempt to reconnect.
    #[uniffi(default = None)]
    #[serde(default, deserialize_with = "seconds")]
    pub reconnect_max_delay: Option<Duration>,
    /// How long a connection must last before the waits start again with the shortest.
    #[uniffi(default = None)]
    #[serde(default, deserialize_with = "seconds")]
    pub reconnect_stable_after: Option<Duration>,
    /// The largest packet, in bytes, in either direction.
    #[uniffi(default = None)]
    pub max_packet_bytes: Option<u64>,
    /// How many calls may be in flight; further ones wait.
    #[uniffi(default = None)]
    pub max_calls_in_flight: Option<u32>,
    /// How many bytes of payload may be in flight; further calls wait.
    #[uniffi(default = None)]
    pub max_bytes_in_flight: Option<u64>,
    /// After how many packets the client moves to a fresh connection and key.
    #[uniffi(default = None)]
    pub max_packets_per_connection: Option<u64>,
    /// How many tracked events may wait for their delivery.
    #[uniffi(default = None)]
    pub max_queued_events: Option<u32>,
    /// How many bytes they may take.
    #[uniffi(default = None)]
    pub max_queued_event_bytes: Option<u64>,
    /// When tracking an event is done.
    #[uniffi(default = None)]
    pub event_durability: Option<EventDurability>,
    /// What happens to an event for which there is no room.
    #[uniffi(default = None)]
    pub event_overflow: Option<EventOverflow>,
    /// The address of the product's updates; by default on the host of `url`.
    #[uniffi(default = None)]
    pub update_url: Option<String>,
    /// The keys that may sign a release, each in hex or base64; the identity keys when there are
    /// none.
    #[uniffi(default = [])]
    #[serde(default)]
    pub release_keys: Vec<String>,
    /// The largest update that is downloaded, in bytes.
    #[uniffi(default = None)]
    pub max_update_bytes: Option<u64>,
    /// Root certificates that are trusted beside the system's, each in PEM or DER.
    #[uniffi(default = [])]
    #[serde(default, deserialize_with = "certificates")]
    pub extra_root_certificates: Vec<Vec<u8>>,
    /// Which proxy leads to the server; that of the environment when absent.
    #[uniffi(default = None)]
    #[serde(default, deserialize_with = "proxy")]
    pub proxy: Option<Proxy>,
    /// Whether `ws://` is allowed to an address that is not loopback.
    #[uniffi(default = false)]
    #[serde(default)]
    pub allow_plaintext: bool,
    /// The salt of the key derivation, where the deployment uses one.
    #[uniffi(default = None)]
    #[serde(default, with = "serde_bytes")]
    pub hkdf_salt: Option<Vec<u8>>,
    /// The info of the key derivation, where the deployment uses one.
    #[uniffi(default = None)]
    #[serde(default, with = "serde_bytes")]
    pub hkdf_info: Option<Vec<u8>>,
    /// Whether payloads are sent inline instead of as `bin`.
    #[uniffi(default = false)]
    #[serde(default)]
    pub inline_payloads: bool,
}

/// What identifies this device: serial number and system UUID, or a stand-in derived from the
/// machine's id. `state_folder` is where the choice is remembered; the default folder when `None`.
///
/// Fails with `InvalidConfiguration` (field `device`) where nothing usable is found, as on
/// phones: the application must supply its own there.
#[uniffi::export]
pub fn detect_device_identity(state_folder: Option<String>) -> Result<DeviceIdentity, Failure> {
    let device = crate::DeviceIdentity::detect(state_folder.as_deref().map(Path::new))?;
    Ok(device.into())
}

impl Configuration {
    /// Reads the settings from a MessagePack map; see `skyline_client_connect`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfiguration`] for the argument `configuration`, which says which setting
    /// is missing, unknown or of another type. It never holds a value, for one may be a secret.
    pub(crate) fn from_message_pack(map: &[u8]) -> Result<Self> {
        let mut reader = rmp_serde::Deserializer::from_read_ref(map);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let cause = error.inner().to_string();
            let said = ["missing field", "unknown field"]
                .iter()
                .any(|known| cause.starts_with(known));
            let expected = "a MessagePack map of the settings, each of its type";
            Error::invalid(
                "configuration",
                if said {
                    format!("{expected} ({cause})")
                } else {
                    format!("{expected} (wrong at {})", error.path())
                },
            )
        })
    }
}

fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Arc<SecretText>, D::Error> {
    String::deserialize(deserializer).map(SecretText::new)
}

fn seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Duration>, D::Error> {
    let Some(seconds) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    Duration::try_from_secs_f64(seconds)
        .map(Some)
        .map_err(D::Error::custom)
}

fn proxy<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Proxy>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| match text.as_str() {
        "environment" => Proxy::Environment,
        "direct" => Proxy::Direct,
        _ => Proxy::Url {
            url: SecretText::new(text),
        },
    }))
}

fn certificates<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<Vec<u8>>, D::Error> {
    let certificates = Vec::<serde_bytes::ByteBuf>::deserialize(deserializer)?;
    Ok(certificates
        .into_iter()
        .map(serde_bytes::ByteBuf::into_vec)
        .collect())
}

impl TryFrom<Configuration> for ClientConfig {
    type Error = Error;

    fn try_from(configuration: Configuration) -> Result<Self> {
        let Configuration {
            product_id,
            product_version,
            license_key,
            identity_keys,
            url,
            language,
            device,
            state_folder,
            connect_deadline,
            handshake_deadline,
            call_deadline,
            reconnect_initial_delay,
            reconnect_max_delay,
            reconnect_stable_after,
            max_packet_bytes,
            max_calls_in_flight,
            max_bytes_in_flight,
            max_packets_per_connection,
            max_queued_events,
            max_queued_event_bytes,
            event_durability,
            event_overflow,
            update_url,
            release_keys,
            max_update_bytes,
            extra_root_certificates,
            proxy,
            allow_plaintext,
            hkdf_salt,
            hkdf_info,
            inline_payloads,
        } = configuration;
        let identity_keys = identity_keys
            .iter()
            .map(|key| Ok(key.parse()?))
            .collect::<Result<Vec<_>>>()?;
        let mut config = Self::new(
            product_id,
            product_version,
            license_key.text.parse()?,
            identity_keys,
        );
        replace(&mut config.url, url);
        replace(&mut config.language, language);
        config.device = device.map(Into::into);
        config.state_folder = state_folder.map(Into::into);
        replace(&mut config.deadlines.connect, connect_deadline);
        replace(&mut config.deadlines.handshake, handshake_deadline);
        replace(&mut config.deadlines.call, call_deadline);
        let reconnect = &mut config.reconnect;
        replace(&mut reconnect.initial_delay, reconnect_initial_delay);
        replace(&mut reconnect.max_delay, reconnect_max_delay);
        replace(&mut reconnect.stable_after, reconnect_stable_after);
        // What does not fit is out of bounds on this machine, and is refused as such later.
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        replace(&mut config.limits.packet_bytes, max_packet_bytes.map(size));
        replace(
            &mut config.limits.calls_in_flight,
            max_calls_in_flight.map(|n| size(n.into())),
        );
        replace(
            &mut config.limits.bytes_in_flight,
            max_bytes_in_flight.map(size),
        );
        replace(
            &mut config.limits.packets_per_connection,
            max_packets_per_connection,
        );
        replace(
            &mut config.events.max_events,
            max_queued_events.map(|n| size(n.into())),
        );
        replace(
            &mut config.events.max_bytes,
            max_queued_event_bytes.map(size),
        );
        replace(
            &mut config.events.durability,
            event_durability.map(Into::into),
        );
        replace(&mut config.events.overflow, event_overflow.map(Into::into));
        config.update.url = update_url;
        config.update.release_keys = release_keys
            .iter()
            .map(|key| {
                let expected = |error| format!("public keys in hex or base64 ({error})");
                key.parse()
                    .map_err(|error| Error::invalid("release_keys", expected(error)))
            })
            .collect::<Result<_>>()?;
        replace(&mut config.update.max_bytes, max_update_bytes);
        config.extra_root_certificates = extra_root_certificates;
        replace(&mut config.proxy, proxy.map(Into::into));
        config.allow_plaintext = allow_plaintext;
        config.key_derivation.salt = hkdf_salt;
        replace(&mut config.key_derivation.info, hkdf_info);
        config.inline_payloads = inline_payloads;
        Ok(config)
    }
}

fn replace<T>(default: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *default = value;
    }
}

impl From<Proxy> for crate::Proxy {
    fn from(proxy: Proxy) -> Self {
        match proxy {
            Proxy::Environment => Self::Environment,
            Proxy::Direct => Self::Direct,
            Proxy::Url { url } => Self::Url(url.text.clone()),
        }
    }
}
