//! Client of the Skyline licensing protocol: an encrypted MessagePack RPC over WebSocket.
//!
//! [`Client::connect`] gives a session with the licensing server; [`ClientConfig`] holds every
//! setting with its default, [`Error`] every way in which things can go wrong. The client runs on
//! a thread of its own and works under any executor, or on the application's tokio runtime
//! ([`ClientConfig::runtime`]).
//!
//! The feature `ring` takes the cipher of the packets from ring instead of RustCrypto: faster, and no
//! longer Rust alone.
//!
//! A build may leave out what a product does not need (docs/adr/0026): without the feature `events`
//! there is no queue of events, without `update` no download of new versions. Every function is
//! there all the same; those concerned fail with [`Error::InvalidConfiguration`]. The feature `ring`
//! has the packets encrypted by ring instead of RustCrypto (docs/adr/0025).
//!
//! The protocol is described in docs/protocol.md of the repository; `skyline-protocol` implements
//! it for both ends. The packages for Python, Kotlin and Swift stand on the module `ffi`.

uniffi::setup_scaffolding!();

mod client;
mod config;
mod connection;
mod device;
mod error;
mod event_queue;
pub mod ffi;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod logging;
mod login_record;
mod runtime;
mod session;
mod state;
mod transport;
mod update;
mod wake;

pub use bytes::Bytes;
pub use jiff::civil::Date;
pub use skyline_protocol::handshake::KeyDerivation;
pub use skyline_protocol::identity::IdentityPublicKey;
pub use skyline_protocol::license_key::LicenseKey;

pub use self::client::Client;
pub use self::config::{
    ClientConfig, DEFAULT_LANGUAGE, DEFAULT_URL, Deadlines, Limits, Proxy, Reconnect,
};
pub use self::device::DeviceIdentity;
pub use self::error::{BreachReason, ConnectionFailure, Error, Result};
pub use self::event_queue::{EventCounters, EventDurability, EventOverflow, EventQueueConfig};
pub use self::session::{ConnectionState, SessionInfo, StateStream};
pub use self::update::{
    ProgressStream, Update, UpdateConfig, UpdateDownload, UpdateFailure, UpdateProgress,
    download_update, verify_update,
};
