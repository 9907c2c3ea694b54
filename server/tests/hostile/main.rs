//! Clients that attack the server process, all at once, while others want to be served: each test
//! bounds how long these wait, what the server's memory grows to and what it keeps afterwards
//! (docs/reliability.md has the figures; `--nocapture` prints them).

// What is watched is what /proc tells.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod floods;
mod siege;
mod silence;
mod sizes;
