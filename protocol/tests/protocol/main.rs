//! The protocol as another implementation would see it: only the crate's public interface.

mod cipher;
mod handshake;
mod hello;
mod identity;
mod methods;
mod packets;
mod rfc;
mod robustness;
mod round_trips;
mod support;
mod update;
mod validity;
mod vectors;
