//! Every byte offset of a session, cut there.

use std::time::Duration;

use skyline::Error;
use skyline_fault_proxy::{Cut, Direction, Fault, Script};
use skyline_reliability::figures;

use super::stage::{self, Case, DIRECTIONS, PATIENT, Played, Sound};

/// How far apart the offsets lie at which every connection is cut: a prime, so that they fall on
/// all kinds of places.
const STEP: usize = 31;

/// The deadline of a step that cannot succeed.
const SHORT: Duration = Duration::from_millis(500);

fn fault(direction: Direction, after: usize, how: Cut) -> Script {
    let after = after as u64;
    Script::one(direction, Fault::Cut { after, how })
}

fn name(direction: Direction, after: usize, how: Cut) -> String {
    format!("{how:?} {direction:?} after {after}")
}

/// Every offset of both directions, from before the first byte to after the last.
fn every_offset(sound: &Sound, how: Cut) -> Vec<Case> {
    let offsets = |direction| (0..=sound.length(direction)).map(move |at| (direction, at));
    DIRECTIONS
        .into_iter()
        .flat_map(offsets)
        .map(|(direction, at)| {
            let script = fault(direction, at, how);
            Case::first(name(direction, at, how), PATIENT, script)
        })
        .collect()
}

/// A cut is a loss of the connection and nothing worse, and costs what cannot be sent again at the
/// most.
fn judge(played: &Played) {
    let (case, outcome) = (&played.case.name, &played.outcome);
    for error in outcome.errors() {
        assert!(
            matches!(
                error,
                Error::Connection { .. } | Error::Handshake { .. } | Error::ConnectionLost { .. }
            ),
            "{case}: {error:?}"
        );
    }
    assert!(matches!(outcome.limits, Some(Ok(_))), "{case}: {outcome:?}");
    assert!(matches!(outcome.again, Some(Ok(()))), "{case}: {outcome:?}");
    assert!(
        matches!(
            outcome.once,
            Some(
                Ok(())
                    | Err(Error::ConnectionLost {
                        maybe_executed: true,
                        ..
                    })
            )
        ),
        "{case}: {outcome:?}"
    );
}

fn cut_everywhere(how: Cut, word: &str) {
    let (sound, played) = stage::play(|sound| every_offset(sound, how));
    let struck = played.iter().filter(|played| played.connections[0].struck);
    // The last bytes are the server's answer to the client's close, for which it does not wait.
    let struck = struck.count();
    assert!(struck + 8 >= played.len(), "{struck} of {}", played.len());
    played.iter().for_each(judge);
    let lost = played.iter().filter(|played| !played.outcome.is_smooth());
    figures::tell(&format!(
        "cut by {word}: {} + {} cases (client's bytes + server's), {} seen by the application; all true, no breach, nothing left",
        sound.length(Direction::ToServer) + 1,
        sound.length(Direction::ToClient) + 1,
        lost.count(),
    ));
}

#[test]
fn a_reset_at_any_byte_is_survived_and_told_truly() {
    cut_everywhere(Cut::Reset, "RST");
}

#[test]
fn a_close_at_any_byte_is_survived_and_told_truly() {
    cut_everywhere(Cut::Finish, "FIN");
}

#[test]
fn a_connection_that_always_breaks_at_the_same_byte_is_told_truly() {
    let (_, played) = stage::play(|sound| {
        let mut cases = Vec::new();
        for direction in DIRECTIONS {
            for at in (0..=sound.length(direction)).step_by(STEP) {
                let script = fault(direction, at, Cut::Reset);
                let name = format!("always {}", name(direction, at, Cut::Reset));
                cases.push(Case::every(name, SHORT, script));
            }
        }
        cases
    });
    for played in &played {
        for error in played.outcome.errors() {
            assert!(
                matches!(
                    error,
                    Error::Connection { .. }
                        | Error::Handshake { .. }
                        | Error::ConnectionLost { .. }
                        | Error::DeadlineExceeded { .. }
                ),
                "{}: {error:?}",
                played.case.name
            );
        }
    }
    stage::assert_mostly_struck(&played);
    let connections: usize = played.iter().map(|played| played.connections.len()).sum();
    figures::tell(&format!(
        "cut of every connection: {} cases with {connections} connections; all true, no breach, nothing left",
        played.len(),
    ));
}
