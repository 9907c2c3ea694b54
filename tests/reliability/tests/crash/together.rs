//! Processes that share one state folder.

use skyline_reliability::figures;
use skyline_reliability::process::{SessionProcess, stored_login};

use super::{Strict, command, whole_session};
use crate::support::soon;

/// How often two processes start at the same moment.
const STARTS: usize = 25;

/// How often two long-lived processes log in, each.
const LOGINS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_state_folder_both_work() {
    let strict = Strict::start().await;
    let owner = strict.owner();
    for _ in 0..STARTS {
        tokio::join!(whole_session(&owner), whole_session(&owner));
    }
    let mut pair = [(); 2].map(|()| SessionProcess::start(command(&owner)).unwrap());
    for _ in 0..LOGINS {
        // Both log in while the other one's session is open or its login under way.
        let [one, other] = &mut pair;
        let (one, other) = soon(async { tokio::join!(session(one), session(other)) }).await;
        assert_eq!((one, other), (Some(()), Some(())));
    }
    let logins = strict.logins(&owner).await;
    assert_eq!(logins.len(), 2 * (STARTS + LOGINS));
    let newest = logins.last().unwrap().value;
    assert_eq!(stored_login(owner.state.path()).unwrap(), Some(newest));
    figures::tell(&format!(
        "crash: {} logins of two processes at once on one state folder; every one worked",
        logins.len()
    ));
}

/// Logs in, calls and leaves; `None` when one of them failed.
async fn session(process: &mut SessionProcess) -> Option<()> {
    for line in ["connect", "limits", "shutdown"] {
        if process.ask(line).await? != "ok" {
            return None;
        }
    }
    Some(())
}
