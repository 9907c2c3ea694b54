//! What the benchmark programs share.
//!
//! Each of them is a worker: a program that takes its task from the environment ([`Task`]), does
//! it, and prints one line of JSON ([`Report`]). benches/README.md has the contract, which workers
//! in other languages keep too.

mod load;
mod pace;
mod peer;
mod process;
mod report;
mod task;

pub use self::load::run;
pub use self::peer::{Licensee, Session};
pub use self::process::Process;
pub use self::report::{Latency, Report, conclude};
pub use self::task::{
    Access, Licenses, Task, TaskError, connections, message_pack_bin, server_process,
};
