//! Connections that are slow, or stop without a word.

use std::time::Duration;

use skyline::Error;
use skyline_fault_proxy::{Direction, Fault, Script};
use skyline_reliability::figures;

use super::stage::{self, Case, DIRECTIONS, PATIENT, Played, Sound};

/// How far apart the offsets of the delays lie: a prime, so that they fall on all kinds of places.
const DELAY_STEP: usize = 11;

/// How long a delay is: many times what a session takes without it.
const DELAY: Duration = Duration::from_millis(100);

/// How far apart the offsets of the stalls lie.
const STALL_STEP: usize = 17;

/// The deadline of each step of a session that stalls.
const STALL_DEADLINE: Duration = Duration::from_secs(1);

/// A case for every `step`th offset of both directions.
fn at_offsets(
    sound: &Sound,
    step: usize,
    case: impl Fn(Direction, usize) -> Case + Copy,
) -> Vec<Case> {
    let offsets = |direction| {
        let all = (0..sound.length(direction)).step_by(step);
        all.map(move |at| case(direction, at))
    };
    DIRECTIONS.into_iter().flat_map(offsets).collect()
}

fn is_unharmed(played: &Played) {
    assert!(
        played.outcome.is_smooth() && played.connections.len() == 1,
        "{}: {:?}",
        played.case.name,
        played.outcome
    );
}

#[test]
fn bytes_that_come_one_by_one_or_late_change_nothing() {
    let (_, played) = stage::play(|sound| {
        let split = |to_server, to_client| {
            let script = Script {
                to_server,
                to_client,
            };
            Case::first(format!("{script:?}"), PATIENT, script)
        };
        let mut cases = vec![
            split(Some(Fault::Split), None),
            split(None, Some(Fault::Split)),
            split(Some(Fault::Split), Some(Fault::Split)),
        ];
        cases.extend(at_offsets(sound, DELAY_STEP, |direction, at| {
            let name = format!("delay {direction:?} at {at}");
            let (at, time) = (at as u64, DELAY);
            Case::first(
                name,
                PATIENT,
                Script::one(direction, Fault::Delay { at, time }),
            )
        }));
        cases
    });
    played.iter().for_each(is_unharmed);
    figures::tell(&format!(
        "one byte at a time, or a delay: {} cases; no difference, nothing left",
        played.len()
    ));
}

#[test]
fn a_connection_that_stalls_ends_every_step_at_its_deadline() {
    let (_, played) = stage::play(|sound| {
        at_offsets(sound, STALL_STEP, |direction, at| {
            let name = format!("stall {direction:?} at {at}");
            let script = Script::one(direction, Fault::Stall { at: at as u64 });
            Case::first(name, STALL_DEADLINE, script)
        })
    });
    stage::assert_mostly_struck(&played);
    let mut exceeded = 0;
    for played in &played {
        for error in played.outcome.errors() {
            match error {
                Error::DeadlineExceeded { .. } => exceeded += 1,
                // The upgrade and the handshake tell their deadlines so.
                Error::Connection { .. } | Error::Handshake { .. } => {}
                other => panic!("{}: {other:?}", played.case.name),
            }
        }
    }
    assert!(exceeded > 0, "no deadline passed");
    figures::tell(&format!(
        "stall: {} cases, {exceeded} deadlines passed; all in time and true, nothing left",
        played.len()
    ));
}
