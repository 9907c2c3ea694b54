//! What a process holds: threads, descriptors, sockets, by its folder in /proc.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long it may take until all is given back: a blocking thread of tokio waits 10 s for
/// work, a connection of the server 2 s for the peer's close, twice.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process under watch.
pub struct Held {
    folder: PathBuf,
    before: Count,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    threads: usize,
    descriptors: usize,
    sockets: usize,
}

impl Held {
    /// What this process holds now.
    ///
    /// # Panics
    ///
    /// As everything here, where there is no /proc.
    pub fn by_this_process() -> Self {
        Self::by("self")
    }

    /// What the process of that id holds now.
    pub fn by_process(id: u32) -> Self {
        Self::by(&id.to_string())
    }

    fn by(process: &str) -> Self {
        let folder = PathBuf::from("/proc").join(process);
        let before = count(&folder);
        Self { folder, before }
    }

    /// Waits until no more threads, descriptors and sockets are there than before.
    pub async fn is_given_back(&self) {
        self.until("threads, descriptors or sockets", |now, before| {
            now.threads <= before.threads
                && now.descriptors <= before.descriptors
                && now.sockets <= before.sockets
        })
        .await;
    }

    /// The same for sockets alone: a server opens files of its database when it needs them.
    pub async fn sockets_are_given_back(&self) {
        self.until("sockets", |now, before| now.sockets <= before.sockets)
            .await;
    }

    async fn until(&self, what: &str, is_fulfilled: fn(Count, Count) -> bool) {
        let begun = Instant::now();
        loop {
            let now = count(&self.folder);
            if is_fulfilled(now, self.before) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} left: {now:?}, before {:?}",
                self.before
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn count(folder: &std::path::Path) -> Count {
    let descriptors: Vec<_> = fs::read_dir(folder.join("fd"))
        .unwrap()
        // One may be closed between being listed and being looked at, the one of the listing too.
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .collect();
    let is_socket = |target: &&PathBuf| target.to_string_lossy().starts_with("socket:");
    Count {
        threads: fs::read_dir(folder.join("task")).unwrap().count(),
        descriptors: descriptors.len(),
        sockets: descriptors.iter().filter(is_socket).count(),
    }
}
