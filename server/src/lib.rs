//! The Skyline licensing server (docs/protocol.md is the protocol that it speaks).
//!
//! A node keeps its connections in memory and everything else behind one [`store::Store`].
//! [`licensing`] decides who may log in, without I/O; [`serve`] listens.
//!
//! What the protocol leaves to a server is decided so:
//!
//! - A refused `start-session`, a request before it, a request with a wrong token and a wrong seq
//!   are answered (with the refusal, `INVALID_SESSION`, `INVALID_SESSION`, `INTEGRITY_BREACH`),
//!   then the connection is closed: no later request could succeed on it.
//! - A packet that does not open or is no request, a text message and an oversize packet close the
//!   connection without an answer.
//! - The calendar is UTC's; a license is good until the day before its expiry date.
//! - Logins beyond the resync budget are refused like logins that report a value that was never
//!   accepted: `INTEGRITY_BREACH` with code LL.
//! - License keys are stored as hashes under a secret that is kept outside the database
//!   ([`key_secret`]), and shown once, when they are issued.
//! - Every change and every refusal is in the audit log, which nothing in the database can be made
//!   to change; equal refusals of one minute are one entry ([`refusals`]).

pub mod address;
mod admission;
pub mod cli;
pub mod clock;
pub mod config;
mod connection;
pub mod http;
pub mod identity;
mod in_flight;
pub mod key_secret;
pub mod licensing;
pub mod log;
pub mod messages;
mod methods;
mod metrics;
pub mod model;
mod open_files;
mod peer;
pub mod rate;
mod readiness;
pub mod refusals;
pub mod release_files;
pub mod serve;
mod session;
pub mod store;
mod stream;
mod test_hooks;
pub mod tls;
mod updates;
