//! A TCP proxy on loopback for tests: it stands between a client and a server, forwards what each
//! sends, and does to a connection what a [`Script`] says, at the byte that it says.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use skyline_fault_proxy::{Cut, Fault, FaultProxy, Script};
//!
//! let proxy = FaultProxy::start("127.0.0.1:8080".parse().unwrap()).await?;
//! // The first connection breaks after the client's 700th byte, the later ones are sound.
//! proxy.play(|connection| match connection {
//!     0 => Script::to_server(Fault::Cut { after: 700, how: Cut::Reset }),
//!     _ => Script::default(),
//! });
//! // … let the client connect to proxy.address() …
//! assert!(proxy.connections()[0].struck);
//! # Ok(())
//! # }
//! ```

mod connection;
mod fault;
mod proxy;
mod pump;

pub use self::fault::{Cut, Direction, Fault, Gate, Script};
pub use self::proxy::{FaultProxy, Record};
