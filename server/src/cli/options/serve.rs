//! The options of `serve`, their defaults, and how their values are read.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueHint};
use skyline_protocol::{KeyDerivation, limits::MAX_PACKETS_PER_KEY};

use super::DatabaseOptions;
use crate::{
    config::{
        DEFAULT_MAX_BYTES_IN_FLIGHT, DEFAULT_MAX_CALLS_IN_FLIGHT, DEFAULT_MAX_CONNECTIONS,
        ServerConfig,
    },
    licensing::ResyncPolicy,
};

/// Smallest packet limit that may be set, in bytes: `start-session` fits into it with room.
const MIN_MAX_PACKET_BYTES: u64 = 4096;

/// Largest packet limit that may be set, in bytes: beyond it one packet is a gibibyte of memory.
const MAX_MAX_PACKET_BYTES: u64 = 1 << 30;

/// How to serve. Durations are written like `10s`, `500ms` or `2m`.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// File of the identity key, made by `skyline-server keygen`
    #[arg(long, env = "SKYLINE_IDENTITY_KEY", value_name = "FILE")]
    #[arg(default_value = "identity.key", value_hint = ValueHint::FilePath)]
    pub identity_key: PathBuf,
    /// Address to listen on; port 0: any free one
    #[arg(
        long,
        env = "SKYLINE_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub listen: SocketAddr,
    /// Certificate chain, PEM: speak TLS (wss://)
    #[arg(
        long,
        env = "SKYLINE_TLS_CERTIFICATE",
        value_name = "PEM",
        requires = "tls_key"
    )]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(
        long,
        env = "SKYLINE_TLS_KEY",
        value_name = "PEM",
        requires = "tls_certificate"
    )]
    pub tls_key: Option<PathBuf>,
    /// Salt of the key derivation, in hex; clients must use the same [default: none]
    #[arg(long, env = "SKYLINE_HKDF_SALT", value_name = "HEX", value_parser = hex_bytes)]
    pub hkdf_salt: Option<HexBytes>,
    /// Info of the key derivation, in hex; clients must use the same [default: empty]
    #[arg(long, env = "SKYLINE_HKDF_INFO", value_name = "HEX", value_parser = hex_bytes)]
    pub hkdf_info: Option<HexBytes>,
    /// Write payloads inline instead of in a bin
    #[arg(long, env = "SKYLINE_INLINE_PAYLOADS")]
    pub inline_payloads: bool,
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
    #[arg(default_value_t = DEFAULT_MAX_CALLS_IN_FLIGHT, value_parser = at_least_one)]
    pub max_calls_in_flight: usize,
    /// Bytes of one connection's packets after which it is not read until some are answered
    #[arg(long, env = "SKYLINE_MAX_BYTES_IN_FLIGHT", value_name = "N")]
    #[arg(default_value_t = DEFAULT_MAX_BYTES_IN_FLIGHT, value_parser = at_least_one)]
    pub max_bytes_in_flight: usize,
    /// Connections at a time; further ones wait
    #[arg(long, env = "SKYLINE_MAX_CONNECTIONS", value_name = "N")]
    #[arg(default_value_t = DEFAULT_MAX_CONNECTIONS, value_parser = at_least_one)]
    pub max_connections: usize,
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
    /// Offer the methods test.*; never in production: clients may forge answers with them
    #[arg(long)]
    pub test_hooks: bool,
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
            max_packet_bytes: usize::try_from(self.max_packet_bytes).unwrap_or(usize::MAX),
            max_packets_per_key: self.max_packets_per_key,
            max_calls_in_flight: self.max_calls_in_flight,
            max_bytes_in_flight: self.max_bytes_in_flight,
            max_connections: self.max_connections,
            handshake_deadline: self.handshake_deadline,
            session_deadline: self.session_deadline,
            ping_interval: self.ping_interval,
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

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("a whole number of at least 1 is expected".to_owned()),
    }
}

/// A time of more than zero and of a day at most: no wait of a server has a reason to be longer.
fn duration(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    let parsed: Option<jiff::SignedDuration> = text.parse().ok();
    parsed
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| !duration.is_zero() && *duration <= DAY)
        .ok_or_else(|| "a time such as 10s, 500ms or 2m is expected, up to 24h".to_owned())
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
        ] {
            assert!(serve(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn a_certificate_needs_its_key_and_the_reverse() {
        assert!(serve(&["--tls-certificate", "a"]).is_err());
        assert!(serve(&["--tls-key", "a"]).is_err());
        assert!(serve(&["--tls-key", "a", "--tls-certificate", "b"]).is_ok());
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
    }
}
