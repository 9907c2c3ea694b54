//! Downloads of updates: what is refused, and what a bad network, a kill or a second download does
//! to them (docs/protocol.md, section 8).

#[path = "../support/mod.rs"]
mod support;

mod failing;
#[cfg(unix)]
mod folder;
mod headers;
mod interrupted;
mod killed;
mod network;
mod redirects;
mod refusals;
mod site;
mod together;
mod verifying;
