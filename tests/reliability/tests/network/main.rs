//! Whole sessions between the real client and the real server, with a proxy between them that
//! breaks the connection at a chosen byte: for every case the outcome is typed, in time and true
//! by the server's database, and nothing is left behind.

#[path = "../../../support/mod.rs"]
mod support;

mod corrupt;
mod cut;
mod judge;
mod session;
mod slow;
mod stage;
