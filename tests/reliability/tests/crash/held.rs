//! A client process that is killed while its login is at a known place between the two ends.

use skyline_fault_proxy::{Direction, Fault, FaultProxy, Gate, Record, Script};
use skyline_reliability::process::SessionProcess;
use skyline_reliability::{figures, layout};

use super::{Strict, command, recovers, remembers_only_what_was_accepted, whole_session};
use crate::support::{Owner, Server, soon};

/// How often each place is gone through.
const ROUNDS: usize = 8;

/// Where a login is when its process is killed.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The request is on its way and has not reached the server.
    RequestOnItsWay,
    /// The server has half of the request.
    HalfOfTheRequest,
    /// The server has the request, and may have committed or not.
    RequestThere,
    /// The server has committed; the client has nothing of the answer.
    AnswerOnItsWay,
    /// The client has half of the answer.
    HalfOfTheAnswer,
}

const PLACES: [Place; 5] = [
    Place::RequestOnItsWay,
    Place::HalfOfTheRequest,
    Place::RequestThere,
    Place::AnswerOnItsWay,
    Place::HalfOfTheAnswer,
];

/// Where request and answer of the login lie in the bytes of a session.
struct Login {
    request: std::ops::Range<usize>,
    answer: std::ops::Range<usize>,
}

impl Login {
    fn of(record: &Record) -> Self {
        // After the HTTP head and the hello.
        Self {
            request: layout::parts(&record.from_client)[2].clone(),
            answer: layout::parts(&record.from_server)[2].clone(),
        }
    }

    /// Which byte is the first that is held.
    fn held(&self, place: Place) -> (Direction, usize) {
        let half = |range: &std::ops::Range<usize>| usize::midpoint(range.start, range.end);
        match place {
            Place::RequestOnItsWay => (Direction::ToServer, self.request.start),
            Place::HalfOfTheRequest => (Direction::ToServer, half(&self.request)),
            Place::RequestThere | Place::AnswerOnItsWay => (Direction::ToClient, self.answer.start),
            Place::HalfOfTheAnswer => (Direction::ToClient, half(&self.answer)),
        }
    }

    /// Whether the login has come to its place.
    fn is_at(&self, place: Place, record: &Record) -> bool {
        match place {
            Place::RequestOnItsWay => record.from_client.len() >= self.request.end,
            Place::HalfOfTheRequest => {
                record.struck && record.from_client.len() >= self.request.end
            }
            Place::RequestThere => record.to_server >= self.request.end as u64,
            Place::AnswerOnItsWay | Place::HalfOfTheAnswer => {
                record.struck && record.from_server.len() >= self.answer.end
            }
        }
    }
}

/// An owner whose way to the server leads through a proxy.
async fn owner_behind_proxy(server: &Server) -> (Owner, FaultProxy) {
    let proxy = FaultProxy::start(server.address().parse().unwrap())
        .await
        .unwrap();
    let mut owner = server.owner();
    owner.url = format!("ws://{}/ws", proxy.address());
    (owner, proxy)
}

async fn kill_at(place: Place, owner: &Owner, proxy: &FaultProxy, login: &Login, strict: &Strict) {
    let (direction, at) = login.held(place);
    proxy.play(move |_| {
        let (at, gate) = (at as u64, Gate::new());
        Script::one(direction, Fault::Hold { at, gate })
    });
    let before = strict.settled_logins(owner).await.len();
    let mut process = SessionProcess::start(command(owner)).unwrap();
    process.begin("connect").await.unwrap();
    let there = proxy.until(|records| records.first().is_some_and(|it| login.is_at(place, it)));
    soon(there).await;
    process.kill().await.unwrap();
    let after = strict.logins(owner).await.len();
    match place {
        Place::RequestOnItsWay | Place::HalfOfTheRequest => assert_eq!(after, before, "{place:?}"),
        Place::RequestThere => assert!(after <= before + 1, "{place:?}"),
        // One more if the server committed the one before only now.
        Place::AnswerOnItsWay | Place::HalfOfTheAnswer => assert!(after > before, "{place:?}"),
    }
    remembers_only_what_was_accepted(owner, strict).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_while_its_login_is_under_way_logs_in_again() {
    let strict = Strict::start().await;
    let (owner, proxy) = owner_behind_proxy(&strict.server).await;
    whole_session(&owner).await;
    proxy.play(|_| Script::default());
    whole_session(&owner).await;
    soon(proxy.until(|records| records[0].over)).await;
    let login = Login::of(&proxy.connections()[0]);
    for round in 0..ROUNDS {
        for place in PLACES {
            // In the later rounds several in a row, at the same place.
            for _ in 0..=round % 3 {
                kill_at(place, &owner, &proxy, &login, &strict).await;
            }
            settle(&owner, &proxy, &strict).await;
        }
    }
    // And through all the places without a login that lives in between.
    for _ in 0..ROUNDS {
        for place in PLACES {
            kill_at(place, &owner, &proxy, &login, &strict).await;
        }
    }
    settle(&owner, &proxy, &strict).await;
    let in_a_row: usize = (0..ROUNDS).map(|round| round % 3 + 1).sum();
    figures::tell(&format!(
        "crash: {} kills at {} places of a login between client and server; no breach, no forged OK",
        (in_a_row + ROUNDS) * PLACES.len(),
        PLACES.len(),
    ));
}

/// A login that lives, once the server has done with the one before.
async fn settle(owner: &Owner, proxy: &FaultProxy, strict: &Strict) {
    proxy.play(|_| Script::default());
    whole_session(owner).await;
    recovers(owner, strict).await;
}
