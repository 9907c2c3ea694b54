//! Randomness for keys and secrets.

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

/// The operating system's generator: keys and tokens come from it and not from a generator in this
/// process, so that no copy of them lies in the generator's buffer.
///
/// It panics where the system gives no random bytes: there is no safe way to go on without them.
pub(crate) fn system() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
