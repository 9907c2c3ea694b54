//! What the client does when the peer, the network or the disk misbehave; every peer is real and
//! on a real socket.

#[path = "../support/mod.rs"]
mod support;

mod executors;
mod handshake;
mod in_flight;
mod last_login;
mod moving;
mod network;
mod packet_size;
mod packets;
mod rotation;
mod secrets;
mod tls;
