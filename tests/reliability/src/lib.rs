//! What the tests of reliability share: the server's database as the truth that outcomes are
//! compared with, clients in processes of their own that can be killed, what processes hold, and the
//! figures that a run ends with.

pub mod database;
pub mod figures;
pub mod layout;
pub mod leaks;
pub mod process;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod trace;
