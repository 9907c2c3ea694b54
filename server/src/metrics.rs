//! What the node counts and measures, for Prometheus. docs/operations.md tells what to watch.
//!
//! No label takes a text of a peer: a method that the server does not know counts as `other`, so
//! the number of series is bounded.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};
use skyline_protocol::{
    Status,
    methods::{GET_LIMITS, SEND_EVENT, START_SESSION},
};

/// The content type of what [`Metrics::encode`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What stands for a method or a status that is not the protocol's.
const OTHER: &str = "other";

/// Bounds of the latency histograms: from half a millisecond, below which nothing with a database
/// is done, in steps of two to eight seconds, beyond which clients have given up.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 15))
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HandshakeResult {
    Ok,
    /// The hello was none.
    Refused,
    /// No hello came in time.
    TimedOut,
    /// The peer, or the server, ended the connection before.
    Abandoned,
}

/// What a peer did that only a broken or changed client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// A packet did not open.
    PacketForged,
    /// A seq was not the one that was due.
    Sequence,
    /// What came is not the protocol.
    Protocol,
    /// A request had a token that is not its session's.
    Token,
    /// A login reported a last login that was never accepted, or did so too often.
    LastLogin,
}

/// A limit that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    ConnectionsOpenPerAddress,
    ConnectionsPerAddress,
    LoginsPerAddress,
    LoginsPerLicense,
    CallsPerAddress,
    CallsPerLicense,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// The methods that have series of their own, and what stands for all others.
const METHODS: [&str; 4] = [START_SESSION, GET_LIMITS, SEND_EVENT, OTHER];

/// The series of the calls of one method that are answered with OK.
struct Answered {
    method: &'static str,
    calls: Counter,
    seconds: Histogram,
}

/// All series of one node.
pub(crate) struct Metrics {
    registry: Registry,
    connections: Gauge,
    max_connections: Gauge,
    accepted: Counter,
    sessions: Gauge,
    handshakes: Family<ResultLabel, Counter>,
    handshake_seconds: Histogram,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<MethodLabel, Histogram>,
    /// The series in which nearly every call counts, found without a look-up.
    answered: [Answered; METHODS.len()],
    breaches: Family<ReasonLabel, Counter>,
    rate_limited: Family<LimitLabel, Counter>,
    events: Family<ResultLabel, Counter>,
    reloads: Family<ResultLabel, Counter>,
    draining: Gauge<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("skyline");
        let calls = Family::<CallLabels, Counter>::default();
        let call_seconds = Family::new_with_constructor(latency as fn() -> Histogram);
        let metrics = Self {
            // Made here, they begin at zero: an alert notices the step from 0 to 1, and not that
            // from nothing to 1.
            answered: METHODS.map(|method| Answered {
                method,
                calls: calls.get_or_create_owned(&CallLabels {
                    method,
                    status: status_label(&Status::Ok),
                }),
                seconds: call_seconds.get_or_create_owned(&MethodLabel { method }),
            }),
            calls,
            call_seconds,
            connections: Gauge::default(),
            max_connections: Gauge::default(),
            accepted: Counter::default(),
            sessions: Gauge::default(),
            handshakes: Family::default(),
            handshake_seconds: latency(),
            breaches: Family::default(),
            rate_limited: Family::default(),
            events: Family::default(),
            reloads: Family::default(),
            draining: Gauge::default(),
            registry: Registry::default(),
        };
        let version = env!("CARGO_PKG_VERSION");
        registry.register(
            "build",
            "The running version",
            Info::new(BuildLabels { version }),
        );
        registry.register(
            "connections",
            "Connections that are open",
            metrics.connections.clone(),
        );
        registry.register(
            "connections_max",
            "Connections that the node takes at a time",
            metrics.max_connections.clone(),
        );
        registry.register(
            "connections_accepted",
            "Connections that were accepted",
            metrics.accepted.clone(),
        );
        registry.register(
            "sessions",
            "Sessions that are open",
            metrics.sessions.clone(),
        );
        registry.register(
            "handshakes",
            "Handshakes by how they ended",
            metrics.handshakes.clone(),
        );
        registry.register(
            "handshake_duration_seconds",
            "Time from the open WebSocket to the answer to the hello",
            metrics.handshake_seconds.clone(),
        );
        registry.register(
            "calls",
            "Requests by method and status",
            metrics.calls.clone(),
        );
        registry.register(
            "call_duration_seconds",
            "Time from a request to its answer, by method",
            metrics.call_seconds.clone(),
        );
        registry.register(
            "breaches",
            "What only a broken or changed client does, by reason",
            metrics.breaches.clone(),
        );
        registry.register(
            "rate_limited",
            "What was refused because of a limit, by limit",
            metrics.rate_limited.clone(),
        );
        registry.register(
            "events",
            "Events that were recorded, and repeats",
            metrics.events.clone(),
        );
        registry.register(
            "reloads",
            "Reloads of certificates and keys by result",
            metrics.reloads.clone(),
        );
        registry.register(
            "draining",
            "1 once the node has been told to stop",
            metrics.draining.clone(),
        );
        metrics.begin_at_zero();
        Self {
            registry,
            ..metrics
        }
    }

    /// Makes the series whose labels are known: an alert notices the step from 0 to 1, and not that
    /// from nothing to 1.
    fn begin_at_zero(&self) {
        for result in HandshakeResult::ALL {
            self.handshakes.get_or_create(&result.label()).inc_by(0);
        }
        for breach in Breach::ALL {
            self.breaches.get_or_create(&breach.label()).inc_by(0);
        }
        for limit in Limit::ALL {
            self.rate_limited.get_or_create(&limit.label()).inc_by(0);
        }
        for result in ["recorded", "repeated"] {
            self.events.get_or_create(&ResultLabel { result }).inc_by(0);
        }
        for result in ["ok", "failed"] {
            self.reloads
                .get_or_create(&ResultLabel { result })
                .inc_by(0);
        }
    }

    /// The text that Prometheus reads.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Tells how many connections the node takes at a time.
    pub(crate) fn set_max_connections(&self, most: usize) {
        self.max_connections
            .set(i64::try_from(most).unwrap_or(i64::MAX));
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(&self) -> Counted {
        self.accepted.inc();
        Counted::new(&self.connections)
    }

    /// Counts a session until the guard is dropped.
    pub(crate) fn session(&self) -> Counted {
        Counted::new(&self.sessions)
    }

    pub(crate) fn handshake(&self, result: HandshakeResult, took: Duration) {
        self.handshakes.get_or_create(&result.label()).inc();
        self.handshake_seconds.observe(took.as_secs_f64());
    }

    /// Counts a call of a method, which [`method_label`] gives.
    pub(crate) fn call(&self, method: &'static str, status: &Status, took: Duration) {
        let answered = self.answered.iter().find(|series| series.method == method);
        if let (Status::Ok, Some(series)) = (status, answered) {
            series.calls.inc();
            series.seconds.observe(took.as_secs_f64());
            return;
        }
        let status = status_label(status);
        self.calls
            .get_or_create(&CallLabels { method, status })
            .inc();
        let seconds = took.as_secs_f64();
        self.call_seconds
            .get_or_create(&MethodLabel { method })
            .observe(seconds);
    }

    pub(crate) fn breach(&self, breach: Breach) {
        self.breaches.get_or_create(&breach.label()).inc();
    }

    pub(crate) fn limited(&self, limit: Limit) {
        self.rate_limited.get_or_create(&limit.label()).inc();
    }

    pub(crate) fn event(&self, recorded: bool) {
        let result = if recorded { "recorded" } else { "repeated" };
        self.events.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn reload(&self, succeeded: bool) {
        let result = if succeeded { "ok" } else { "failed" };
        self.reloads.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn drain(&self) {
        self.draining.set(1);
    }
}

impl HandshakeResult {
    const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::TimedOut, Self::Abandoned];

    fn label(self) -> ResultLabel {
        ResultLabel {
            result: match self {
                Self::Ok => "ok",
                Self::Refused => "refused",
                Self::TimedOut => "timed-out",
                Self::Abandoned => "abandoned",
            },
        }
    }
}

impl Breach {
    const ALL: [Self; 5] = [
        Self::PacketForged,
        Self::Sequence,
        Self::Protocol,
        Self::Token,
        Self::LastLogin,
    ];

    fn label(self) -> ReasonLabel {
        ReasonLabel {
            reason: match self {
                Self::PacketForged => "packet-forged",
                Self::Sequence => "sequence",
                Self::Protocol => "protocol",
                Self::Token => "token",
                Self::LastLogin => "last-login",
            },
        }
    }
}

impl Limit {
    const ALL: [Self; 6] = [
        Self::ConnectionsOpenPerAddress,
        Self::ConnectionsPerAddress,
        Self::LoginsPerAddress,
        Self::LoginsPerLicense,
        Self::CallsPerAddress,
        Self::CallsPerLicense,
    ];

    fn label(self) -> LimitLabel {
        LimitLabel {
            limit: match self {
                Self::ConnectionsOpenPerAddress => "connections-open-per-address",
                Self::ConnectionsPerAddress => "connections-per-address",
                Self::LoginsPerAddress => "logins-per-address",
                Self::LoginsPerLicense => "logins-per-license",
                Self::CallsPerAddress => "calls-per-address",
                Self::CallsPerLicense => "calls-per-license",
            },
        }
    }
}

/// Something that is counted as long as it is there.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The name of a method, if it is one of the protocol's.
pub(crate) fn method_label(method: &str) -> &'static str {
    match method {
        START_SESSION => START_SESSION,
        GET_LIMITS => GET_LIMITS,
        SEND_EVENT => SEND_EVENT,
        _ => OTHER,
    }
}

/// The protocol's name of a status; another one may be the text of a peer (`test.status`).
fn status_label(status: &Status) -> &'static str {
    match status {
        Status::Ok => "OK",
        Status::OutdatedVersion => "OUTDATED_VERSION",
        Status::KeyBoundToAnotherDevice => "KEY_BOUND_TO_ANOTHER_DEVICE",
        Status::IntegrityBreach => "INTEGRITY_BREACH",
        Status::BadRequest => "BAD_REQUEST",
        Status::UnknownMethod => "UNKNOWN_METHOD",
        Status::InvalidSession => "INVALID_SESSION",
        Status::LicenseNotFound => "LICENSE_NOT_FOUND",
        Status::LicenseExpired => "LICENSE_EXPIRED",
        Status::LicenseSuspended => "LICENSE_SUSPENDED",
        Status::RateLimited => "RATE_LIMITED",
        Status::InternalError => "INTERNAL_ERROR",
        Status::Other(_) => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_peers_make_no_series() {
        let metrics = Metrics::new();
        let lines = || metrics.encode().unwrap().lines().count();
        metrics.call(method_label("a"), &Status::from("x"), Duration::ZERO);
        let before = lines();
        for number in 0..100 {
            let text = format!("invented-{number}");
            metrics.call(
                method_label(&text),
                &Status::from(&text[..]),
                Duration::ZERO,
            );
        }
        assert_eq!(lines(), before);
        assert!(!metrics.encode().unwrap().contains("invented"));
    }

    #[test]
    fn what_is_open_is_counted_as_long_as_it_is() {
        let metrics = Metrics::new();
        let first = metrics.connection();
        drop(metrics.connection());
        let text = metrics.encode().unwrap();
        assert!(text.contains("skyline_connections 1\n"), "{text}");
        assert!(
            text.contains("skyline_connections_accepted_total 2\n"),
            "{text}"
        );
        drop(first);
        assert!(
            metrics
                .encode()
                .unwrap()
                .contains("skyline_connections 0\n")
        );
    }
}
