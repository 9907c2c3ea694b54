//! Room for connections among the file descriptors of the process.
//!
//! Most systems grant a process some thousand descriptors and let it ask for many more. A server
//! that runs out of them can neither accept nor open its database, so it asks, and takes no more
//! connections than what it got has room for.

/// Descriptors that are not connections: the database and its log on each connection of the pool,
/// the listener, the standard streams, the runtime's own, and a certificate being read.
#[cfg(unix)]
const OTHER_DESCRIPTORS: u64 = 64;

/// Raises the process's limit on open files as far as the system lets it. Gives how many of
/// `wanted` connections there is room for, at least one, and logs a warning if that is fewer.
#[cfg(unix)]
pub fn make_room(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let granted = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit on open files stays as it was");
            limit.current
        }
    };
    // `None` is no limit at all.
    let Some(granted) = granted else {
        return wanted;
    };
    let room = granted.saturating_sub(OTHER_DESCRIPTORS).max(1);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if room < wanted {
        tracing::warn!(
            open_files = granted,
            connections = room,
            "the limit on open files has room for fewer connections than configured"
        );
    }
    room.min(wanted)
}

/// Systems without such a limit have room for all of them.
#[cfg(not(unix))]
pub fn make_room(wanted: usize) -> usize {
    wanted
}
