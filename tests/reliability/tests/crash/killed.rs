//! A client process that is killed at each of its system calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skyline_reliability::figures;
use skyline_reliability::process::stored_login;
use skyline_reliability::trace::{self, Point, Traced};

use super::{Strict, command, recovers, remembers_only_what_was_accepted};
use crate::support::Owner;

const SESSION: &str = "connect\nlimits\nshutdown\n";

/// How many processes are killed at the same time.
const AT_ONCE: usize = 4;

/// How often in a row a process is killed at one point before one may live.
const IN_A_ROW: usize = 2;

async fn traced(owner: &Owner, kill_at: Option<Point>) -> Traced {
    let command = command(owner);
    // The thread that traces a process must be one and the same all the time.
    tokio::task::spawn_blocking(move || trace::run(command, SESSION, kill_at))
        .await
        .unwrap()
        .unwrap()
}

/// Kills a process of `owner` at that system call; `false` when its session had no such call.
async fn kill_at(owner: &Owner, strict: &Strict, point: Point) -> bool {
    let before = strict.settled_logins(owner).await.len();
    let traced = traced(owner, Some(point)).await;
    remembers_only_what_was_accepted(owner, strict).await;
    let logins = strict.logins(owner).await;
    assert!(logins.len() <= before + 1);
    if let Some(connected) = traced.output.first() {
        assert_eq!(connected, "ok", "{point:?}");
        assert_eq!(logins.len(), before + 1, "a forged login at {point:?}");
        let newest = logins.last().unwrap().value;
        assert_eq!(stored_login(owner.state.path()).unwrap(), Some(newest));
    }
    traced.killed
}

/// Which system calls a process was killed at, and how often.
type Kills = BTreeMap<i64, usize>;

/// Kills processes at the points of `points`. `owner_of` gives the owner for the next point, given
/// the last one.
async fn sweep(points: Arc<Vec<Point>>, owner_of: fn(&Strict, Option<Owner>) -> Owner) -> Kills {
    let next = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (points, next) = (points.clone(), next.clone());
            tokio::spawn(async move {
                // One of its own: that it has no connection tells that it has done with this worker's.
                let strict = Strict::start().await;
                let mut kills = Kills::new();
                let mut last = None;
                loop {
                    let Some(&point) = points.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return kills;
                    };
                    let owner = owner_of(&strict, last);
                    for _ in 0..IN_A_ROW {
                        if kill_at(&owner, &strict, point).await {
                            *kills.entry(point.call).or_default() += 1;
                        }
                    }
                    recovers(&owner, &strict).await;
                    last = Some(owner);
                }
            })
        })
        .collect();
    let mut sum = Kills::new();
    for worker in workers {
        for (call, times) in worker.await.unwrap() {
            *sum.entry(call).or_default() += times;
        }
    }
    sum
}

/// Shows that the sweep went through the middle of a store: between the bytes of the temporary
/// file, its fsync, its rename and the fsync of the folder.
fn covers_the_store(kills: &Kills) {
    let renames: usize = [
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename,
        libc::SYS_renameat,
        libc::SYS_renameat2,
    ]
    .iter()
    .filter_map(|call| kills.get(call))
    .sum();
    assert!(renames >= IN_A_ROW, "no kill at the rename: {kills:?}");
    let syncs = kills.get(&libc::SYS_fsync).copied().unwrap_or(0);
    assert!(syncs >= 2 * IN_A_ROW, "no kill at both fsyncs: {kills:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_system_call_of_a_login_logs_in_again() {
    let strict = Strict::start().await;
    let owner = strict.owner();
    recovers(&owner, &strict).await;
    let whole = traced(&owner, None).await;
    assert_eq!(whole.output, ["ok", "ok", "ok"]);
    let points = Arc::new(whole.points);

    let again = sweep(points.clone(), |strict, last| {
        last.unwrap_or_else(|| strict.owner())
    });
    let again = again.await;
    covers_the_store(&again);
    let first = sweep(points.clone(), |strict, _| strict.owner()).await;
    covers_the_store(&first);

    let sum = |kills: &Kills| kills.values().sum::<usize>();
    figures::tell(&format!(
        "crash: {} kills at {} system calls of a session, {} of them in a first one; no breach, no forged OK",
        sum(&again) + sum(&first),
        points.len(),
        sum(&first),
    ));
}
