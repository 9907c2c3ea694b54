//! The options of `serve`, their defaults, and how their values are read.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgAction, Args};
use ipnet::IpNet;
use skyline_protocol::{KeyDerivation, limits::MAX_PACKETS_PER_KEY};

use super::{DatabaseOptions, IdentityOptions, ReleaseFilesOptions, at_least_one};
use crate::{
    address::ProxyHeader,
    config::{
        DEFAULT_MAX_BYTES_IN_FLIGHT, DEFAULT_MAX_CALLS_IN_FLIGHT, DEFAULT_MAX_CONNECTIONS,
        DEFAULT_MAX_CONNECTIONS_PER_ADDRESS, DEFAULT_RATES, Rates, ServerConfig,
    },
    licensing::ResyncPolicy,
    log::LogFormat,
    rate::RateLimit,
};

/// Smallest packet limit that may be set, in bytes: `start-session` fits into it with room.
const MIN_MAX_PACKET_BYTES: u64 = 4096;

/// Largest packet limit that may be set, in bytes: beyond it one packet is a gibibyte of memory.
const MAX_MAX_PACKET_BYTES: u64 = 1 << 30;

/// How to serve. Durations are written like `10s`, `500ms` or `2m`, rates like `20/s burst 100`.
///
/// Every option with an environment variable may stand in the file of `--config` too, under its
/// name with `_` for `-`. What is said on the command line goes before the environment, and that
/// before the file.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// Where the files of the releases are.
    #[command(flatten)]
    pub releases: ReleaseFilesOptions,
    /// The identity key, and the one to come.
    #[command(flatten)]
    pub identity: IdentityOptions,
    /// Address to listen on; port 0: any free one
    #[arg(
        long,
        env = "SKYLINE_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    #[arg(value_parser = address)]
    pub listen: SocketAddr,
    /// Address for /metrics, /healthz and /readyz, not for strangers [default: no metrics]
    #[arg(long, env = "SKYLINE_ADMIN_LISTEN", value_name = "ADDR", value_parser = address)]
    pub admin_listen: Option<SocketAddr>,
    /// Certificate chain, PEM: speak TLS (wss://)
    #[arg(long, env = "SKYLINE_TLS_CERTIFICATE", value_name = "PEM")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, env = "SKYLINE_TLS_KEY", value_name = "PEM")]
    pub tls_key: Option<PathBuf>,
    /// How often to look whether the certificate was renewed
    #[arg(long, env = "SKYLINE_TLS_RELOAD_INTERVAL", value_name = "TIME")]
    #[arg(default_value = "1m", value_parser = duration)]
    pub tls_reload_interval: Duration,
    /// Network of proxies that tell the client's address, such as 10.0.0.0/8; may be repeated
    #[arg(
        long,
        env = "SKYLINE_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    #[arg(value_parser = network)]
    pub trusted_proxy: Vec<IpNet>,
    /// The header in which they tell it
    #[arg(long, env = "SKYLINE_PROXY_HEADER", value_name = "HEADER", value_enum)]
    #[arg(default_value = "x-forwarded-for")]
    pub proxy_header: ProxyHeader,
    /// Salt of the key derivation, in hex; clients must use the same [default: none]
    #[arg(long, env = "SKYLINE_HKDF_SALT", value_name = "HEX", value_parser = hex_bytes)]
    pub hkdf_salt: Option<HexBytes>,
    /// Info of the key derivation, in hex; clients must use the same [default: empty]
    #[arg(long, env = "SKYLINE_HKDF_INFO", value_name = "HEX", value_parser = hex_bytes)]
    pub hkdf_info: Option<HexBytes>,
    /// Write payloads inline instead of in a bin
    #[arg(long, env = "SKYLINE_INLINE_PAYLOADS", value_name = "true|false")]
    #[arg(default_value = "false", default_missing_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub inline_payloads: bool,
    /// What peers may take up.
    #[command(flatten)]
    pub bounds: BoundOptions,
    /// Time for TLS, for the HTTP upgrade and for the hello, each
    #[arg(long, env = "SKYLINE_HANDSHAKE_DEADLINE", value_name = "TIME")]
    #[arg(default_value = "10s", value_parser = duration)]
    pub handshake_deadline: Duration,
    /// Time from the handshake to start-session
    #[arg(long, env = "SKYLINE_SESSION_DEADLINE", value_name = "TIME")]
    #[arg(default_value = "10s", value_parser = duration)]
    pub session_deadline: Duration,
    /// Silence after which a peer is pinged; two unanswered pings end the connection
    #[arg(long, env = "SKYLINE_PING_INTERVAL", value_name = "TIME")]
    #[arg(default_value = "25s", value_parser = duration)]
    pub ping_interval: Duration,
    /// Time that a client may leave a part of an update untaken before its download ends
    #[arg(long, env = "SKYLINE_DOWNLOAD_STALL", value_name = "TIME")]
    #[arg(default_value = "60s", value_parser = duration)]
    pub download_stall: Duration,
    /// Time from SIGTERM, when /readyz turns, to the last new connection
    #[arg(long, env = "SKYLINE_DRAIN_DELAY", value_name = "TIME")]
    #[arg(default_value = "0s", value_parser = duration_or_none)]
    pub drain_delay: Duration,
    /// Time that calls in flight get when the server stops
    #[arg(long, env = "SKYLINE_DRAIN_DEADLINE", value_name = "TIME")]
    #[arg(default_value = "5s", value_parser = duration)]
    pub drain_deadline: Duration,
    /// Logins of a license within the window that may report another last login than the newest
    #[arg(
        long,
        env = "SKYLINE_RESYNC_BUDGET",
        value_name = "N",
        default_value_t = 3
    )]
    pub resync_budget: u32,
    /// The window of the resync budget, in days
    #[arg(
        long,
        env = "SKYLINE_RESYNC_WINDOW_DAYS",
        value_name = "DAYS",
        default_value_t = 30
    )]
    pub resync_window_days: u32,
    /// What to log to the standard error, such as `debug` or `warn,skyline_server=debug`
    #[arg(
        long,
        env = "SKYLINE_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,
    /// How to log
    #[arg(long, env = "SKYLINE_LOG_FORMAT", value_name = "FORMAT", value_enum)]
    #[arg(default_value = "text")]
    pub log_format: LogFormat,
    /// Print the settings that hold and where each comes from, and end
    #[arg(long)]
    pub print_config: bool,
    /// Offer the methods test.*; never in production: clients may forge answers with them
    #[arg(long)]
    pub test_hooks: bool,
}

/// What peers may take up.
#[derive(Debug, Args)]
pub struct BoundOptions {
    /// Largest packet in either direction, in bytes
    #[arg(long, env = "SKYLINE_MAX_PACKET_BYTES", value_name = "N", default_value_t = 16 << 20)]
    #[arg(value_parser = clap::value_parser!(u64).range(MIN_MAX_PACKET_BYTES..=MAX_MAX_PACKET_BYTES))]
    pub max_packet_bytes: u64,
    /// Packets that one session key may seal before the connection is closed
    #[arg(long, env = "SKYLINE_MAX_PACKETS_PER_KEY", value_name = "N")]
    #[arg(default_value_t = MAX_PACKETS_PER_KEY)]
    #[arg(value_parser = clap::value_parser!(u64).range(2..=MAX_PACKETS_PER_KEY))]
    pub max_packets_per_key: u64,
    /// Calls of one connection that are worked on at a time
    #[arg(long, env = "SKYLINE_MAX_CALLS_IN_FLIGHT", value_name = "N")]
    #[arg(default_value_t = DEFAULT_MAX_CALLS_IN_FLIGHT, value_parser = at_least_one::<usize>)]
    pub max_calls_in_flight: usize,
    /// Bytes of one connection's packets after which it is not read until some are answered
    #[arg(long, env = "SKYLINE_MAX_BYTES_IN_FLIGHT", value_name = "N")]
    #[arg(default_value_t = DEFAULT_MAX_BYTES_IN_FLIGHT, value_parser = at_least_one::<usize>)]
    pub max_bytes_in_flight: usize,
    /// Connections at a time; further ones wait
    #[arg(long, env = "SKYLINE_MAX_CONNECTIONS", value_name = "N")]
    #[arg(default_value_t = DEFAULT_MAX_CONNECTIONS, value_parser = at_least_one::<usize>)]
    pub max_connections: usize,
    /// Connections of one address at a time; further ones are refused
    #[arg(long, env = "SKYLINE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    #[arg(default_value_t = DEFAULT_MAX_CONNECTIONS_PER_ADDRESS, value_parser = at_least_one::<usize>)]
    pub max_connections_per_address: usize,
    /// HTTP requests of one address, each of which may become a connection
    #[arg(long, env = "SKYLINE_CONNECTION_RATE_PER_ADDRESS", value_name = "RATE")]
    #[arg(default_value_t = DEFAULT_RATES.connections_per_address)]
    pub connection_rate_per_address: RateLimit,
    /// Logins of one address
    #[arg(long, env = "SKYLINE_LOGIN_RATE_PER_ADDRESS", value_name = "RATE")]
    #[arg(default_value_t = DEFAULT_RATES.logins_per_address)]
    pub login_rate_per_address: RateLimit,
    /// Logins with one license key
    #[arg(long, env = "SKYLINE_LOGIN_RATE_PER_LICENSE", value_name = "RATE")]
    #[arg(default_value_t = DEFAULT_RATES.logins_per_license)]
    pub login_rate_per_license: RateLimit,
    /// Calls of one address
    #[arg(long, env = "SKYLINE_CALL_RATE_PER_ADDRESS", value_name = "RATE")]
    #[arg(default_value_t = DEFAULT_RATES.calls_per_address)]
    pub call_rate_per_address: RateLimit,
    /// Calls of one license
    #[arg(long, env = "SKYLINE_CALL_RATE_PER_LICENSE", value_name = "RATE")]
    #[arg(default_value_t = DEFAULT_RATES.calls_per_license)]
    pub call_rate_per_license: RateLimit,
}

/// Bytes written in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl ServeOptions {
    /// The settings of the node.
    pub fn config(&self) -> ServerConfig {
        ServerConfig {
            key_derivation: KeyDerivation {
                salt: self.hkdf_salt.clone().map(|bytes| bytes.0),
                info: self
                    .hkdf_info
                    .clone()
                    .map(|bytes| bytes.0)
                    .unwrap_or_default(),
            },
            inline_payloads: self.inline_payloads,
            max_packet_bytes: usize::try_from(self.bounds.max_packet_bytes).unwrap_or(usize::MAX),
            max_packets_per_key: self.bounds.max_packets_per_key,
            max_calls_in_flight: self.bounds.max_calls_in_flight,
            max_bytes_in_flight: self.bounds.max_bytes_in_flight,
            max_connections: self.bounds.max_connections,
            max_connections_per_address: self.bounds.max_connections_per_address,
            rates: Rates {
                connections_per_address: self.bounds.connection_rate_per_address,
                logins_per_address: self.bounds.login_rate_per_address,
                logins_per_license: self.bounds.login_rate_per_license,
                calls_per_address: self.bounds.call_rate_per_address,
                calls_per_license: self.bounds.call_rate_per_license,
            },
            trusted_proxies: self.trusted_proxy.clone(),
            proxy_header: self.proxy_header,
            handshake_deadline: self.handshake_deadline,
            session_deadline: self.session_deadline,
            ping_interval: self.ping_interval,
            download_stall: self.download_stall,
            // It takes the database's address, which may be none.
            releases: None,
            drain_delay: self.drain_delay,
            drain_deadline: self.drain_deadline,
            resync: ResyncPolicy {
                budget: self.resync_budget,
                window_days: self.resync_window_days,
            },
            test_hooks: self.test_hooks,
        }
    }
}

fn hex_bytes(text: &str) -> Result<HexBytes, String> {
    hex::decode(text)
        .map(HexBytes)
        .map_err(|_| "an even number of hex digits is expected".to_owned())
}

/// A time of more than zero and of a day at most: no wait of a server has a reason to be longer.
fn duration(text: &str) -> Result<Duration, String> {
    duration_or_none(text)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "a time such as 10s, 500ms or 2m is expected, up to 24h".to_owned())
}

fn duration_or_none(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    let parsed: Option<jiff::SignedDuration> = text.parse().ok();
    parsed
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| *duration <= DAY)
        .ok_or_else(|| "a time such as 0s, 10s, 500ms or 2m is expected, up to 24h".to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an address such as 127.0.0.1:8080 or [::]:8080 is expected".to_owned())
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse().map(IpAddr::into))
        .map_err(|_| "a network such as 10.0.0.0/8 or 2001:db8::/32 is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::{Cli, Command};

    fn serve(arguments: &[&str]) -> Result<ServeOptions, clap::Error> {
        let all = ["skyline-server", "serve"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.command {
            Command::Serve(options) => Ok(*options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_options_the_defaults_of_the_library_hold() {
        let config = serve(&[]).unwrap().config();
        assert_eq!(
            format!("{config:?}"),
            format!("{:?}", ServerConfig::default())
        );
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for arguments in [
            ["--max-packet-bytes", "4095"],
            ["--max-packet-bytes", "1073741825"],
            ["--max-packets-per-key", "1"],
            ["--max-packets-per-key", "4294967297"],
            ["--max-calls-in-flight", "0"],
            ["--max-bytes-in-flight", "0"],
            ["--max-connections", "0"],
            ["--handshake-deadline", "0s"],
            ["--handshake-deadline", "-1s"],
            ["--ping-interval", "25"],
            ["--drain-deadline", "25h"],
            ["--hkdf-salt", "abc"],
            ["--listen", "nowhere"],
            ["--admin-listen", "8081"],
            ["--max-connections-per-address", "0"],
            ["--login-rate-per-license", "often"],
            ["--trusted-proxy", "everybody"],
            ["--proxy-header", "x-real-ip"],
            ["--log-format", "xml"],
        ] {
            assert!(serve(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
    }
}
