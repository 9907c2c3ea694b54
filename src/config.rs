//! Every setting of a client, its default and the reason for it.

use std::path::PathBuf;
use std::time::Duration;

use skyline_protocol::handshake::KeyDerivation;
use skyline_protocol::identity::IdentityPublicKey;
use skyline_protocol::license_key::LicenseKey;
use skyline_protocol::limits::{DEFAULT_MAX_PACKET_BYTES, MAX_PACKETS_PER_KEY};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::device::DeviceIdentity;
use crate::error::{Error, Result};
use crate::event_queue::EventQueueConfig;
use crate::update::UpdateConfig;

/// The production server (docs/protocol.md, section 1).
pub const DEFAULT_URL: &str = "wss://skyline-prod.k8s.telepower.pro/ws";

/// The language of the server's sentences unless the product names one: the server falls back to
/// English too (docs/protocol.md, section 5).
pub const DEFAULT_LANGUAGE: &str = "english";

/// Packets kept back below the bound of 2^32 per key: those of the calls in flight when the
/// client moves to a fresh connection, in both directions, and then some.
const PACKETS_KEPT_BACK: u64 = 1 << 20;

/// A login needs three packets' worth of room; fewer than this per connection would only
/// reconnect.
const MIN_PACKETS_PER_CONNECTION: u64 = 4;

/// The smallest packet that the handshake and a login always fit into.
const MIN_PACKET_BYTES: usize = 4096;

/// The largest packet that can be configured. tungstenite and MessagePack carry lengths of 32
/// bits, and both ends hold a packet in memory.
const MAX_PACKET_BYTES: usize = 1 << 30;

/// The bound of the calls in flight: each may leave two packets to count after the client has
/// decided to change keys, which [`PACKETS_KEPT_BACK`] must cover.
const MAX_CALLS_IN_FLIGHT: usize = 1 << 18;

/// The bound of the bytes in flight, 512 MiB: the semaphore that counts them takes no more than
/// 2^29 at once on a system of 32 bits.
const MAX_BYTES_IN_FLIGHT: usize = (u32::MAX >> 3) as usize;

/// The longest wait between two attempts that can be configured, a day: beyond it a client is as
/// good as shut down.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of a [`Client`](crate::Client).
///
/// [`ClientConfig::new`] takes what has no sensible default; every other field has one and may be
/// changed before [`Client::connect`](crate::Client::connect), which checks them all and names
/// the first that is wrong.
///
/// | setting | default |
/// |---|---|
/// | `url` | [`DEFAULT_URL`] |
/// | `language` | `english` |
/// | `device` | detected |
/// | `state_folder` | `skyline` in the user's local data folder |
/// | `deadlines` | connect 10 s, handshake 10 s, call 30 s |
/// | `reconnect` | waits of 500 ms doubling up to 60 s, from the start after 60 s of connection |
/// | `limits` | packets of 16 MiB, 1024 calls and 64 MiB in flight |
/// | `events` | 10 000 events and 16 MiB, buffered, the oldest dropped when full |
/// | `update` | from the server's host, signed by its identity key, at most 2 GiB |
/// | `extra_root_certificates` | none beside the system's |
/// | `proxy` | that of the environment |
/// | `allow_plaintext` | no |
/// | `key_derivation` | no salt, empty info |
/// | `inline_payloads` | no |
/// | `runtime` | the library's own, on a thread of its own |
///
/// ```
/// # fn main() -> skyline::Result<()> {
/// use skyline::ClientConfig;
///
/// # let identity_key = "35a5906d5222589d0c91f286c94d18030b005ba210002356c68a384a9b72c8cb";
/// # let license_key = "WDGQX-WC2Y3-4R966-TK3H3-HXRB8";
/// let mut config = ClientConfig::new(
///     "telepower",
///     "7.0.3",
///     license_key.parse()?,
///     [identity_key.parse()?],
/// );
/// config.url = "ws://127.0.0.1:8080/ws".to_owned();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The server's URL, `wss://` or, to loopback addresses, `ws://`.
    pub url: String,
    /// The identity keys of the server that are trusted; at least one. Several let the key be
    /// rotated without breaking old installs. A key is parsed from hex or base64, or made from
    /// bytes.
    pub identity_keys: Vec<IdentityPublicKey>,
    /// The product's id, as the licensing server knows it. Not empty.
    pub product_id: String,
    /// The product's version, for example `7.0.3`. Not empty.
    pub product_version: String,
    /// The language in which the server words its messages: `english`, `russian`.
    pub language: String,
    /// The license key.
    pub license_key: LicenseKey,
    /// This device's identity. `None`: [`DeviceIdentity::detect`]. On phones the application
    /// must supply its own.
    pub device: Option<DeviceIdentity>,
    /// The folder where the client keeps its last login and the source of the device's identity.
    /// Created when absent. `None`: `skyline` in the user's local data folder.
    pub state_folder: Option<PathBuf>,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// How long to wait before the client connects again.
    pub reconnect: Reconnect,
    /// How much of things there may be.
    pub limits: Limits,
    /// The queue of the events that are tracked.
    pub events: EventQueueConfig,
    /// Where updates come from, and who may sign them.
    pub update: UpdateConfig,
    /// Root certificates that are trusted beside those of the operating system, each one or more
    /// in PEM, or one in DER.
    pub extra_root_certificates: Vec<Vec<u8>>,
    /// Which proxy leads to the server.
    pub proxy: Proxy,
    /// Whether `ws://` is allowed to an address that is not loopback. The packets are encrypted
    /// all the same; what is lost is the second layer and the hiding of the traffic's shape.
    pub allow_plaintext: bool,
    /// Salt and info of the key derivation, for deployments that use values of their own
    /// (docs/protocol.md, section 2).
    pub key_derivation: KeyDerivation,
    /// Whether payloads are sent inline instead of as `bin` (docs/protocol.md, section 3).
    pub inline_payloads: bool,
    /// The tokio runtime that the client lives on. `None`: the library's own, which is there under
    /// any executor, or none. A program that has a current-thread runtime and gives its handle
    /// saves two thread switches in each call; calls may be awaited anywhere all the same.
    ///
    /// It must have I/O and time enabled, as by `enable_all`: tokio panics without. When it ends
    /// its clients end with it: calls fail with [`Error::ShutDown`]. After a fork it is the
    /// application that must not use it.
    pub runtime: Option<tokio::runtime::Handle>,
}

/// How long things may take. None may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Name resolution, TCP, proxy, TLS and the WebSocket together. Default 10 s: three
    /// retransmissions of a lost first packet fit in.
    pub connect: Duration,
    /// The handshake and the login together, waiting for another process of the same product
    /// included. Default 10 s: two round trips on the worst link.
    pub handshake: Duration,
    /// A whole call, waiting for its turn included. Default 30 s, the common patience of a
    /// person and of HTTP clients.
    pub call: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            call: Duration::from_secs(30),
        }
    }
}

/// How long the client waits before it connects again: exponential back-off with full jitter. The
/// wait before attempt n is drawn evenly between zero and `initial_delay` × 2^(n-1), but at most
/// `max_delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// The longest wait before the first attempt. Default 500 ms: a short hiccup is over by then,
    /// and a person does not notice it. Not zero.
    pub initial_delay: Duration,
    /// The longest wait before any attempt; a server that asks for more (`RATE_LIMITED`) gets it.
    /// Default 60 s: a service that comes back is found within a minute, at a cost that no
    /// battery feels. At least `initial_delay`.
    pub max_delay: Duration,
    /// How long a connection must last before the count of attempts starts again at the first.
    /// Default 60 s: a server that drops its clients right after the login is not stormed.
    pub stable_after: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(60),
            stable_after: Duration::from_secs(60),
        }
    }
}

/// How much of things there may be. None may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest packet in bytes, in either direction. Default 16 MiB, the protocol's; between
    /// 4 KiB and 1 GiB.
    pub packet_bytes: usize,
    /// Calls in flight; further ones wait for their turn. Default 1024: enough to fill any link,
    /// few enough that a server that stopped answering is noticed soon.
    pub calls_in_flight: usize,
    /// Bytes of request payload in flight; further calls wait. Default 64 MiB: four of the
    /// largest packets.
    pub bytes_in_flight: usize,
    /// After how many packets, both directions together, the client moves to a fresh connection
    /// and key. Default: just below the 2^32 of docs/protocol.md, section 3. Lower it to change
    /// keys more often.
    pub packets_per_connection: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes: DEFAULT_MAX_PACKET_BYTES,
            calls_in_flight: 1024,
            bytes_in_flight: 64 << 20,
            packets_per_connection: MAX_PACKETS_PER_KEY - PACKETS_KEPT_BACK,
        }
    }
}

/// Which proxy leads to the server.
#[derive(Clone, Default)]
pub enum Proxy {
    /// That of the environment: `HTTPS_PROXY` (or `ALL_PROXY`), unless `NO_PROXY` names the host.
    /// Loopback addresses are always reached directly.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// The one at this URL: `http://`, `socks5://` (names resolved here) or `socks5h://` (names
    /// resolved by the proxy), with `user:password@` where it wants them.
    Url(Zeroizing<String>),
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Direct => "Direct",
            // A proxy's URL may hold a password.
            Self::Url(_) => "Url(redacted)",
        })
    }
}

impl ClientConfig {
    /// A configuration with the defaults for everything that has one.
    pub fn new(
        product_id: impl Into<String>,
        product_version: impl Into<String>,
        license_key: LicenseKey,
        identity_keys: impl IntoIterator<Item = IdentityPublicKey>,
    ) -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            identity_keys: identity_keys.into_iter().collect(),
            product_id: product_id.into(),
            product_version: product_version.into(),
            language: DEFAULT_LANGUAGE.to_owned(),
            license_key,
            device: None,
            state_folder: None,
            deadlines: Deadlines::default(),
            reconnect: Reconnect::default(),
            limits: Limits::default(),
            events: EventQueueConfig::default(),
            update: UpdateConfig::default(),
            extra_root_certificates: Vec::new(),
            proxy: Proxy::default(),
            allow_plaintext: false,
            key_derivation: KeyDerivation::default(),
            inline_payloads: false,
            runtime: None,
        }
    }

    /// Checks every setting; the URL is returned parsed, since nobody should parse it twice.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfiguration`] with the name of the first field that is wrong. What only
    /// the system can tell (the state folder, the device) is found out on connecting.
    pub(crate) fn validate(&self) -> Result<Url> {
        let url = self.validate_url()?;
        for (field, text) in [
            ("product_id", &self.product_id),
            ("product_version", &self.product_version),
            ("language", &self.language),
        ] {
            if text.trim().is_empty() {
                return Err(Error::invalid(field, "a text that is not empty"));
            }
        }
        if self.identity_keys.is_empty() {
            return Err(Error::invalid(
                "identity_keys",
                "at least one key of the server",
            ));
        }
        if let Some(device) = &self.device {
            device.validate()?;
        }
        for (field, deadline) in [
            ("connect_deadline", self.deadlines.connect),
            ("handshake_deadline", self.deadlines.handshake),
            ("call_deadline", self.deadlines.call),
        ] {
            if deadline.is_zero() {
                return Err(Error::invalid(field, "a time longer than zero"));
            }
        }
        self.validate_reconnect()?;
        self.validate_limits()?;
        self.events.validate()?;
        self.update.validate()?;
        crate::transport::check_root_certificates(&self.extra_root_certificates)?;
        crate::transport::check_proxy(&self.proxy)?;
        Ok(url)
    }

    fn validate_url(&self) -> Result<Url> {
        let expected = "an address like wss://host/ws";
        let url = Url::parse(&self.url)
            .map_err(|error| Error::invalid("url", format!("{expected} ({error})")))?;
        let Some(host) = url.host() else {
            return Err(Error::invalid("url", expected));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid(
                "url",
                "no user name or password in the address",
            ));
        }
        match url.scheme() {
            "wss" => Ok(url),
            "ws" if self.allow_plaintext || is_loopback(&host) => Ok(url),
            "ws" => Err(Error::invalid(
                "url",
                "wss:// for a host that is not loopback (or allow plaintext explicitly)",
            )),
            _ => Err(Error::invalid("url", expected)),
        }
    }

    fn validate_reconnect(&self) -> Result<()> {
        let reconnect = &self.reconnect;
        if reconnect.initial_delay.is_zero() {
            return Err(Error::invalid(
                "reconnect_initial_delay",
                "a time longer than zero",
            ));
        }
        if !(reconnect.initial_delay..=MAX_RECONNECT_DELAY).contains(&reconnect.max_delay) {
            return Err(Error::invalid(
                "reconnect_max_delay",
                format!("at least reconnect_initial_delay, at most {MAX_RECONNECT_DELAY:?}"),
            ));
        }
        Ok(())
    }

    fn validate_limits(&self) -> Result<()> {
        let limits = &self.limits;
        if !(MIN_PACKET_BYTES..=MAX_PACKET_BYTES).contains(&limits.packet_bytes) {
            return Err(Error::invalid(
                "max_packet_bytes",
                format!("between {MIN_PACKET_BYTES} and {MAX_PACKET_BYTES} bytes"),
            ));
        }
        if !(1..=MAX_CALLS_IN_FLIGHT).contains(&limits.calls_in_flight) {
            return Err(Error::invalid(
                "max_calls_in_flight",
                format!("between 1 and {MAX_CALLS_IN_FLIGHT}"),
            ));
        }
        if !(1..=MAX_BYTES_IN_FLIGHT).contains(&limits.bytes_in_flight) {
            return Err(Error::invalid(
                "max_bytes_in_flight",
                format!("between 1 and {MAX_BYTES_IN_FLIGHT}"),
            ));
        }
        let most = MAX_PACKETS_PER_KEY - PACKETS_KEPT_BACK;
        if !(MIN_PACKETS_PER_CONNECTION..=most).contains(&limits.packets_per_connection) {
            return Err(Error::invalid(
                "max_packets_per_connection",
                format!("between {MIN_PACKETS_PER_CONNECTION} and {most}"),
            ));
        }
        Ok(())
    }
}

/// Whether `host` is this machine, reached without a network.
pub(crate) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        // RFC 6761, section 6.3: "localhost" and names below it are loopback.
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use skyline_protocol::identity::IdentityKeyPair;

    use super::*;

    fn config() -> ClientConfig {
        let identity = IdentityKeyPair::generate().public();
        ClientConfig::new("telepower", "7.0.3", LicenseKey::generate(), [identity])
    }

    fn rejected_field(change: impl FnOnce(&mut ClientConfig)) -> &'static str {
        let mut config = config();
        change(&mut config);
        match config.validate() {
            Err(Error::InvalidConfiguration { field, .. }) => field,
            other => panic!("not rejected: {other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        config().validate().unwrap();
    }

    #[test]
    fn plaintext_is_for_loopback_unless_it_is_allowed() {
        let with = |url: &str, allow| {
            let mut config = config();
            config.url = url.to_owned();
            config.allow_plaintext = allow;
            config.validate().is_ok()
        };
        for loopback in [
            "ws://127.0.0.1:8080/ws",
            "ws://127.9.9.9/ws",
            "ws://[::1]/ws",
            "ws://localhost/ws",
        ] {
            assert!(with(loopback, false), "{loopback}");
        }
        for elsewhere in [
            "ws://10.0.0.1/ws",
            "ws://localhost.example/ws",
            "ws://[::2]/ws",
        ] {
            assert!(!with(elsewhere, false), "{elsewhere}");
            assert!(with(elsewhere, true), "{elsewhere}");
        }
        for nonsense in [
            "",
            "host",
            "http://host/ws",
            "wss://",
            "wss://user:password@host/ws",
        ] {
            assert!(!with(nonsense, true), "{nonsense}");
        }
    }

    #[test]
    fn each_bound_holds_on_both_sides() {
        type Set = fn(&mut ClientConfig, u64);
        let bounds: [(&str, Set, u64, u64); 4] = [
            (
                "max_packet_bytes",
                |config, n| config.limits.packet_bytes = n as usize,
                MIN_PACKET_BYTES as u64,
                MAX_PACKET_BYTES as u64,
            ),
            (
                "max_calls_in_flight",
                |config, n| config.limits.calls_in_flight = n as usize,
                1,
                MAX_CALLS_IN_FLIGHT as u64,
            ),
            (
                "max_bytes_in_flight",
                |config, n| config.limits.bytes_in_flight = n as usize,
                1,
                MAX_BYTES_IN_FLIGHT as u64,
            ),
            (
                "max_packets_per_connection",
                |config, n| config.limits.packets_per_connection = n,
                MIN_PACKETS_PER_CONNECTION,
                MAX_PACKETS_PER_KEY - PACKETS_KEPT_BACK,
            ),
        ];
        for (field, set, least, most) in bounds {
            for good in [least, most] {
                let mut config = config();
                set(&mut config, good);
                config.validate().unwrap();
            }
            for bad in [least - 1, most + 1] {
                assert_eq!(rejected_field(|config| set(config, bad)), field);
            }
        }
    }

    #[test]
    fn each_field_that_is_wrong_is_named() {
        assert_eq!(rejected_field(|c| c.product_id = " ".into()), "product_id");
        assert_eq!(
            rejected_field(|c| c.product_version.clear()),
            "product_version"
        );
        assert_eq!(rejected_field(|c| c.language.clear()), "language");
        assert_eq!(rejected_field(|c| c.identity_keys.clear()), "identity_keys");
        assert_eq!(
            rejected_field(|c| c.deadlines.connect = Duration::ZERO),
            "connect_deadline"
        );
        assert_eq!(
            rejected_field(|c| c.deadlines.handshake = Duration::ZERO),
            "handshake_deadline"
        );
        assert_eq!(
            rejected_field(|c| c.deadlines.call = Duration::ZERO),
            "call_deadline"
        );
        assert_eq!(
            rejected_field(|c| c.reconnect.initial_delay = Duration::ZERO),
            "reconnect_initial_delay"
        );
        for bad in [Duration::from_millis(499), MAX_RECONNECT_DELAY * 2] {
            assert_eq!(
                rejected_field(|c| c.reconnect.max_delay = bad),
                "reconnect_max_delay"
            );
        }
        for nonsense in [&b""[..], b"no certificate", b"\x30\x03\x02\x01\x00"] {
            let field = rejected_field(|c| c.extra_root_certificates = vec![nonsense.to_vec()]);
            assert_eq!(field, "extra_root_certificates");
        }
        for nonsense in ["", "host:8080", "ftp://host:21", "http://"] {
            let proxy = Proxy::Url(nonsense.to_owned().into());
            assert_eq!(rejected_field(|c| c.proxy = proxy), "proxy", "{nonsense}");
        }
        for filler in ["", "Default string", "00000000-0000-0000-0000-000000000000"] {
            let device = DeviceIdentity {
                serial_number: filler.into(),
                cs_product_uuid: "20240113-E0C2-646E-FDB1-E0C2646EFDB5".into(),
            };
            assert_eq!(
                rejected_field(|c| c.device = Some(device)),
                "device",
                "{filler}"
            );
        }
    }

    #[test]
    fn no_secret_is_in_the_debug_output() {
        let mut config = config();
        config.proxy = Proxy::Url("http://user:hunter2@proxy:3128".to_owned().into());
        let shown = format!("{config:?}");
        assert!(!shown.contains(config.license_key.expose()));
        assert!(!shown.contains("hunter2"));
    }
}
