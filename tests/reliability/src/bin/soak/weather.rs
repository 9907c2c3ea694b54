//! What befalls a connection: a script drawn by the seed.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use skyline_fault_proxy::{Cut, Direction, Fault, Script};

/// The bytes of a session within which something happens: the upgrade, the login, and a few dozen
/// calls.
const REACH: u64 = 12_000;

/// Longest delay, in milliseconds: some exceed the deadline of a call, most do not.
const LONGEST_DELAY: u64 = 2_500;

/// Draws the script of the next connection. A third of them is sound.
pub fn draw(random: &mut StdRng) -> Script {
    let direction = if random.random() {
        Direction::ToServer
    } else {
        Direction::ToClient
    };
    // Small offsets as often as large ones: most that can break lies in the first 1500 bytes.
    let reach = random.random_range(1..=REACH);
    let at = random.random_range(0..=reach);
    let fault = match random.random_range(0..30) {
        0..10 => return Script::default(),
        10..17 => Fault::Cut {
            after: at,
            how: Cut::Reset,
        },
        17..21 => Fault::Cut {
            after: at,
            how: Cut::Finish,
        },
        21..24 => Fault::Delay {
            at,
            time: Duration::from_millis(random.random_range(1..=LONGEST_DELAY)),
        },
        24 => Fault::Stall { at },
        25..27 => Fault::Split,
        27 => Fault::Duplicate {
            at,
            length: random.random_range(1..200),
        },
        28 => Fault::Reorder {
            at,
            length: random.random_range(1..200),
        },
        _ => Fault::Corrupt {
            at,
            mask: 1 << random.random_range(0..8),
        },
    };
    Script::one(direction, fault)
}
