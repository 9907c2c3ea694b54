//! `skyline-server identity`: the keys that clients pin, and the change to the next one.

use super::{CliError, IdentityCommand, print};

pub(super) fn identity(command: IdentityCommand) -> Result<(), CliError> {
    match command {
        IdentityCommand::Show(options) => {
            let keys = options.files().load()?;
            let mut text = format!("current: {}\n", keys.current.public());
            if let Some(next) = keys.next {
                text.push_str(&format!("next: {next}\n"));
            }
            print(&text)
        }
        IdentityCommand::Promote(options) => {
            let files = options.files();
            let retired = files.promote()?;
            let keys = files.load()?;
            let current = keys.current.public();
            print(&format!(
                "current: {current}\nretired: {}\n",
                retired.display()
            ))
        }
    }
}
