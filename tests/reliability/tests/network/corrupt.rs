//! Every byte of a session, corrupted; and ranges of it, sent twice or in another order.

use std::collections::BTreeMap;
use std::time::Duration;

use skyline::Error;
use skyline_fault_proxy::{Direction, Fault, Script};
use skyline_reliability::figures;

use super::stage::{self, Case, DIRECTIONS, Part, Played, Sound};

/// The deadline of each step: a length that was corrupted makes the receiver wait for bytes that
/// never come.
const DEADLINE: Duration = Duration::from_millis(1500);

/// How far apart the ranges begin that are duplicated or reordered: a prime, so that they fall on
/// all kinds of places.
const STEP: usize = 13;

/// How long those ranges are: one byte, some, and more than most frames.
const LENGTHS: [u64; 3] = [1, 8, 96];

/// The first connection is broken at `at`.
struct Broken {
    direction: Direction,
    at: usize,
    fault: Fault,
    name: String,
}

fn play(broken_of: impl FnOnce(&Sound) -> Vec<Broken>, word: &str) {
    let mut places = Vec::new();
    let (sound, played) = stage::play(|sound| {
        broken_of(sound)
            .into_iter()
            .map(|broken| {
                places.push((broken.direction, broken.at));
                let script = Script::one(broken.direction, broken.fault);
                Case::first(broken.name, DEADLINE, script)
            })
            .collect()
    });
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    let mut struck = 0;
    for (played, (direction, at)) in played.iter().zip(places) {
        if !played.connections.first().is_some_and(|first| first.struck) {
            continue;
        }
        struck += 1;
        let part = sound.part(direction, at);
        *tally.entry(judge(played, part)).or_default() += 1;
    }
    stage::assert_mostly_struck(&played);
    let outcomes: Vec<_> = tally
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    figures::tell(&format!(
        "{word}: {struck} cases: {}; all true, nothing left",
        outcomes.join(", ")
    ));
}

/// Names what came of a case, and fails the test if it may not have.
fn judge(played: &Played, part: Part) -> &'static str {
    let (case, outcome) = (&played.case.name, &played.outcome);
    let mut worst = "recovered unseen";
    for error in outcome.errors() {
        match error {
            Error::IntegrityBreach { .. } => return "breach",
            Error::DeadlineExceeded { .. } => worst = "deadline",
            Error::Connection { .. } | Error::Handshake { .. } | Error::ConnectionLost { .. } => {
                worst = "connection error";
            }
            other => panic!("{case}: {other:?}"),
        }
    }
    if outcome.is_smooth() && played.connections.len() == 1 {
        assert!(
            matches!(part, Part::Upgrade | Part::Close),
            "{case}: nobody noticed it in the {part:?}"
        );
        return "without effect (HTTP of the upgrade, close frame)";
    }
    worst
}

#[test]
fn a_corrupted_byte_is_never_taken_for_an_answer() {
    let every_byte = |sound: &Sound| {
        let bytes = |direction| (0..sound.length(direction)).map(move |at| (direction, at));
        let cases = DIRECTIONS.into_iter().flat_map(bytes);
        cases
            .map(|(direction, at)| {
                // One bit, each time another: the smallest change there is.
                let mask = 1 << (at * 5 % 8);
                Broken {
                    direction,
                    at,
                    fault: Fault::Corrupt {
                        at: at as u64,
                        mask,
                    },
                    name: format!("corrupt {direction:?} byte {at} by {mask:#04x}"),
                }
            })
            .collect()
    };
    play(every_byte, "corrupt byte");
}

#[test]
fn bytes_that_come_twice_or_in_another_order_are_noticed() {
    let ranges = |sound: &Sound| {
        let mut cases = Vec::new();
        for direction in DIRECTIONS {
            for (index, at) in (0..sound.length(direction)).step_by(STEP).enumerate() {
                let length = LENGTHS[index % LENGTHS.len()];
                let begin = at as u64;
                let (twice, swapped) = (
                    Fault::Duplicate { at: begin, length },
                    Fault::Reorder { at: begin, length },
                );
                for (word, fault) in [("twice", twice), ("swapped", swapped)] {
                    cases.push(Broken {
                        direction,
                        at,
                        fault,
                        name: format!("{length} bytes {word} {direction:?} from {at}"),
                    });
                }
            }
        }
        cases
    };
    play(ranges, "duplicate or reorder");
}
