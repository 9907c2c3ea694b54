//! Clients that are killed: what was on disk arrives, and nothing arrives twice.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::{Owner, Server, device, soon};
use crate::{LONG, check_stored, connect, name, stored, synced};

/// Names the variables of the process that tracks.
const URL: &str = "SKYLINE_EVENTS_URL";
const IDENTITY_KEY: &str = "SKYLINE_EVENTS_IDENTITY_KEY";
const LICENSE_KEY: &str = "SKYLINE_EVENTS_LICENSE_KEY";
const FOLDER: &str = "SKYLINE_EVENTS_FOLDER";

/// A process that tracks one event after the other.
struct Tracker {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Tracker {
    /// Starts it; it is connected then, and waits for the word to go on.
    fn start(owner: &Owner) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "killed::tracking_process",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(URL, &owner.url)
            .env(IDENTITY_KEY, &owner.identity_key)
            .env(LICENSE_KEY, owner.license_key.expose())
            .env(FOLDER, owner.state.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut tracker = Self { process, lines };
        tracker.until("connected");
        tracker
    }

    /// Reads what it says until it says this.
    fn until(&mut self, wanted: &str) {
        for line in self.lines.by_ref() {
            if line.unwrap().ends_with(wanted) {
                return;
            }
        }
        panic!("the process ended before it said {wanted:?}");
    }

    fn go_on(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Kills it, and gives how many events it had tracked by its own account.
    fn kill(mut self) -> usize {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let said = self.lines.by_ref().map_while(Result::ok);
        said.filter_map(|line| line.strip_prefix("tracked ")?.parse().ok())
            .last()
            .unwrap_or(0)
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not a test of its own: what [`Tracker`] starts.
#[ignore = "the process that the other tests kill"]
#[tokio::test]
async fn tracking_process() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let mut config = skyline::ClientConfig::new(
        crate::support::PRODUCT,
        crate::support::VERSION,
        variable(LICENSE_KEY).parse().unwrap(),
        [variable(IDENTITY_KEY).parse().unwrap()],
    );
    config.url = variable(URL);
    config.device = Some(device("ADTFBB4112800098"));
    config.state_folder = Some(variable(FOLDER).into());
    let client = connect(crate::hasty(config, skyline::EventDurability::Synced)).await;
    println!("connected");
    let _ = std::io::stdin().lines().next();
    for number in 0.. {
        soon(client.track_raw(&name(number), &[0x80]))
            .await
            .unwrap();
        println!("tracked {}", number + 1);
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_on_disk_and_doubles_nothing() {
    let mut server = Server::start();
    let mut cases = 0;
    for reachable in [false, true] {
        for least in [1, 2, 9, 40] {
            let owner = server.owner();
            let mut tracker = Tracker::start(&owner);
            if !reachable {
                server.kill();
            }
            tracker.go_on();
            tracker.until(&format!("tracked {least}"));
            let tracked = tracker.kill().max(least);
            if !reachable {
                server.restart();
            }
            let client = connect(synced(&owner)).await;
            soon(client.flush_events(LONG)).await.unwrap();
            // One more may have been on disk when the process was killed before it said so.
            let arrived = stored(&client).await.len();
            assert!(
                (tracked..=tracked + 1).contains(&arrived),
                "{arrived} of {tracked}"
            );
            check_stored(&client, (0..arrived).map(name)).await;
            cases += 1;
        }
    }
    println!("killed processes: {cases}");
}

#[tokio::test]
async fn killed_processes_of_one_folder_leave_all_their_events_to_the_next() {
    let mut server = Server::start();
    let owner = server.owner();
    let mut trackers = [Tracker::start(&owner), Tracker::start(&owner)];
    server.kill();
    for tracker in &mut trackers {
        tracker.go_on();
    }
    let tracked = trackers.map(|mut tracker| {
        tracker.until("tracked 20");
        tracker.kill().max(20)
    });
    server.restart();
    let client = connect(synced(&owner)).await;
    soon(client.flush_events(LONG)).await.unwrap();
    let stored = stored(&client).await;
    let ids: std::collections::HashSet<_> = stored.iter().map(|stored| &stored.id).collect();
    assert_eq!(ids.len(), stored.len());
    let sum = tracked[0] + tracked[1];
    assert!(
        (sum..=sum + 2).contains(&stored.len()),
        "{} of {sum}",
        stored.len()
    );
    assert_eq!(client.event_counters().recovered, stored.len() as u64);
}
