//! What the operator of a node relies on: limits, metrics, draining, certificates and keys that are
//! renewed (docs/operations.md).

#[path = "../common/mod.rs"]
mod common;

mod draining;
mod http;
mod keys;
mod limits;
mod logs;
mod monitoring;
mod proxies;
mod tls;
