//! Every setting of a serving node, its default and the reason for it.

use std::time::Duration;

use ipnet::IpNet;
use skyline_protocol::{
    KeyDerivation,
    limits::{DEFAULT_MAX_PACKET_BYTES, MAX_PACKETS_PER_KEY},
};

use crate::{
    address::ProxyHeader,
    licensing::ResyncPolicy,
    rate::{Rate, RateLimit},
    release_files::ReleaseFiles,
};

/// Calls of one connection that are worked on at a time, by default. Clients pipeline; this many
/// keep the store busy, and one client cannot queue more work than that.
pub const DEFAULT_MAX_CALLS_IN_FLIGHT: usize = 256;

/// Bytes of one connection's packets that are in memory at a time, by default: two of the largest
/// packets, so that one can be answered while the next one comes in.
pub const DEFAULT_MAX_BYTES_IN_FLIGHT: usize = 2 * DEFAULT_MAX_PACKET_BYTES;

/// Connections of one node, by default. Each takes a file descriptor and some 10 KiB.
pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// Connections of one address at a time, by default. Whole companies and mobile carriers stand
/// behind one address; still more than half of a node is left to others.
pub const DEFAULT_MAX_CONNECTIONS_PER_ADDRESS: usize = 4_000;

/// The rates of a node, by default. They are far above what clients do: thousands of them behind
/// one address may come back at once after an outage. And they are below what hurts: at these
/// rates one address can take up about a tenth of a core with its handshakes, and one license some
/// tens of transactions a second.
pub const DEFAULT_RATES: Rates = Rates {
    connections_per_address: RateLimit(Some(Rate::per_second(500, 5_000))),
    logins_per_address: RateLimit(Some(Rate::per_second(200, 5_000))),
    logins_per_license: RateLimit(Some(Rate::per_second(50, 1_000))),
    calls_per_address: RateLimit(Some(Rate::per_second(10_000, 100_000))),
    calls_per_license: RateLimit(Some(Rate::per_second(2_000, 20_000))),
};

/// Time for TLS, for the HTTP upgrade and for the client's hello, each, by default: ten round
/// trips over a bad mobile network. Until then nothing is known of the peer.
pub const DEFAULT_HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Time from the handshake to `start-session`, by default. A client has all that it needs for it.
pub const DEFAULT_SESSION_DEADLINE: Duration = Duration::from_secs(10);

/// Time without a sign of the peer after which it is pinged, by default: below the 60 seconds
/// after which common load balancers drop an idle connection, even if one ping is lost.
pub const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(25);

/// Time that calls in flight get to end when the server stops, by default: less than the 30
/// seconds that common process supervisors grant before they kill.
pub const DEFAULT_DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// How often peers may do what costs the server something. Each is kept by every node for itself.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Requests over HTTP, each of which may become a WebSocket. Default: `500/s burst 5000`.
    pub connections_per_address: RateLimit,
    /// `start-session` requests. Default: `200/s burst 5000`.
    pub logins_per_address: RateLimit,
    /// `start-session` requests with the same license key. Default: `50/s burst 1000`.
    pub logins_per_license: RateLimit,
    /// Requests in sessions. Default: `10000/s burst 100000`.
    pub calls_per_address: RateLimit,
    /// Requests in the sessions of one license. Default: `2000/s burst 20000`.
    pub calls_per_license: RateLimit,
}

/// Time that a client may leave a part of an update's file untaken, by default: longer than the
/// stalls of a mobile network between two cells, after which the client asks again by itself.
pub const DEFAULT_DOWNLOAD_STALL: Duration = Duration::from_secs(60);

/// How a node serves. `default()` is what `skyline-server serve` does without options.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// HKDF salt and info; clients must use the same. Default: no salt, empty info.
    pub key_derivation: KeyDerivation,
    /// Whether payloads are written inline rather than in a bin. Default: no.
    pub inline_payloads: bool,
    /// Largest packet, in bytes, in either direction. Default: 16 MiB.
    pub max_packet_bytes: usize,
    /// Packets that one session key may seal, both directions together. Default and maximum: 2^32.
    pub max_packets_per_key: u64,
    /// Calls of one connection that are worked on at a time; at least 1. Default: 256.
    pub max_calls_in_flight: usize,
    /// Bytes of one connection's packets after which no further packet is read until some are
    /// answered; at least 1. Default: 32 MiB.
    pub max_bytes_in_flight: usize,
    /// Connections at a time; further ones wait to be accepted. At least 1. Default: 10,000.
    pub max_connections: usize,
    /// Connections of one address (of one /64 of IPv6) at a time; further ones are refused. At
    /// least 1. Default: 4,000.
    pub max_connections_per_address: usize,
    /// How often peers may do what costs the server something.
    pub rates: Rates,
    /// Addresses of proxies that are believed when they tell the address of a client. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Where they tell it. Default: `X-Forwarded-For`.
    pub proxy_header: ProxyHeader,
    /// Time for TLS, for the HTTP upgrade and for the client's hello, each. Default: 10 s.
    pub handshake_deadline: Duration,
    /// Time from the handshake to `start-session`. Default: 10 s.
    pub session_deadline: Duration,
    /// Silence after which a peer is pinged; two unanswered pings end the connection.
    /// More than zero. Default: 25 s.
    pub ping_interval: Duration,
    /// Time between the order to stop, from which on the server says that it is not ready, and the
    /// moment from which on it takes no new connection: for load balancers to notice. Default: none.
    pub drain_delay: Duration,
    /// Time for the calls in flight when the server stops. Default: 5 s.
    pub drain_deadline: Duration,
    /// Silence of a client that downloads an update after which its connection ends. More than
    /// zero. Default: 60 s.
    pub download_stall: Duration,
    /// Where the files of the releases are; `None`: no updates are offered, the default.
    pub releases: Option<ReleaseFiles>,
    /// How often a login may report another value than the expected one. Default: 3 in 30 days.
    pub resync: ResyncPolicy,
    /// Whether the methods `test.*` exist. Never in production: they let a client forge answers
    /// and delete the history of its logins. Default: no.
    pub test_hooks: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            key_derivation: KeyDerivation::default(),
            inline_payloads: false,
            max_packet_bytes: DEFAULT_MAX_PACKET_BYTES,
            max_packets_per_key: MAX_PACKETS_PER_KEY,
            max_calls_in_flight: DEFAULT_MAX_CALLS_IN_FLIGHT,
            max_bytes_in_flight: DEFAULT_MAX_BYTES_IN_FLIGHT,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_connections_per_address: DEFAULT_MAX_CONNECTIONS_PER_ADDRESS,
            rates: DEFAULT_RATES,
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
            handshake_deadline: DEFAULT_HANDSHAKE_DEADLINE,
            session_deadline: DEFAULT_SESSION_DEADLINE,
            ping_interval: DEFAULT_PING_INTERVAL,
            drain_delay: Duration::ZERO,
            drain_deadline: DEFAULT_DRAIN_DEADLINE,
            download_stall: DEFAULT_DOWNLOAD_STALL,
            releases: None,
            resync: ResyncPolicy::default(),
            test_hooks: false,
        }
    }
}
