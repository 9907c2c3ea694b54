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
//! - License keys are stored as they are, since administrators must be able to look them up and to
//!   tell them to their owners: protect the database like a list of passwords.

pub mod address;
pub mod cli;
pub mod clock;
pub mod config;
mod connection;
pub mod identity;
mod in_flight;
pub mod licensing;
pub mod log;
pub mod messages;
mod methods;
pub mod model;
mod open_files;
mod peer;
pub mod rate;
pub mod serve;
mod session;
pub mod store;
mod stream;
mod test_hooks;
pub mod tls;
