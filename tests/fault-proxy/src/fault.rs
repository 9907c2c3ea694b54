//! What can be done to a connection.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Both ends are sent an RST: what was on its way back is lost.
    Reset,
    /// Both ends are sent a FIN, as by a peer that closes in order.
    Finish,
}

/// One fault of one direction. Offsets count the bytes of that direction from 0, as its sender
/// sent them.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Forwards `after` bytes, then ends the connection, both directions of it.
    Cut {
        /// How many bytes still pass.
        after: u64,
        /// How it ends.
        how: Cut,
    },
    /// Waits once, before byte `at`.
    Delay {
        /// The byte that waits.
        at: u64,
        /// How long.
        time: Duration,
    },
    /// Forwards nothing from byte `at` on, and keeps the connection open.
    Stall {
        /// The first byte that does not pass.
        at: u64,
    },
    /// As [`Fault::Stall`], until the gate is opened.
    Hold {
        /// The first byte that waits.
        at: u64,
        /// What lets it pass.
        gate: Gate,
    },
    /// Writes every byte by itself.
    Split,
    /// Sends `length` bytes from `at` on twice.
    Duplicate {
        /// The first byte of them.
        at: u64,
        /// How many.
        length: u64,
    },
    /// Sends `length` bytes from `at` on after the ones that follow them, as many at the most.
    /// When none follow soon, the order stays as it was: the receiver waits for these. It has come
    /// to pass when the bytes that arrive are others than without it.
    Reorder {
        /// The first byte of them.
        at: u64,
        /// How many.
        length: u64,
    },
    /// Flips the bits of `mask` in byte `at`.
    Corrupt {
        /// The byte.
        at: u64,
        /// The bits.
        mask: u8,
    },
}

/// What is done to one connection: one fault a direction at the most.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The fault of what the client sends.
    pub to_server: Option<Fault>,
    /// The fault of what the server sends.
    pub to_client: Option<Fault>,
}

impl Script {
    /// A fault of what the client sends.
    pub fn to_server(fault: Fault) -> Self {
        Self::one(Direction::ToServer, fault)
    }

    /// A fault of what the server sends.
    pub fn to_client(fault: Fault) -> Self {
        Self::one(Direction::ToClient, fault)
    }

    /// A fault of either direction.
    pub fn one(direction: Direction, fault: Fault) -> Self {
        let mut script = Self::default();
        match direction {
            Direction::ToServer => script.to_server = Some(fault),
            Direction::ToClient => script.to_client = Some(fault),
        }
        script
    }
}

/// What a [`Fault::Hold`] waits for. A clone is the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(CancellationToken);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.0.cancel();
    }

    pub(crate) async fn opened(&self) {
        self.0.cancelled().await;
    }
}
