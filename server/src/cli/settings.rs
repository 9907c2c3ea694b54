//! The layers of the settings: the command line, the environment, a TOML file, the defaults.
//!
//! clap's options are the one list of settings. What a file says becomes the default of its option,
//! so that it is read and checked by the same code as everything else, and clap's own precedence
//! (command line, environment, default) holds.

use std::{collections::BTreeMap, error::Error as _, ffi::OsString, io, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};

use super::Cli;
use crate::store::DatabaseAddress;

/// The command whose options are the settings.
const SERVE: &str = "serve";

/// What stands for a secret where settings are printed.
const REDACTED: &str = "redacted";

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The command line or the environment is not as it should be, or help was asked for.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file cannot be read.
    #[error("the settings in {} cannot be read: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// The file is no TOML.
    #[error("{}, line {line}: {problem}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The file has a key that means nothing.
    #[error(
        "{}: there is no setting `{key}`; `skyline-server serve --help` tells the settings, \
         in which the file writes _ for -", .path.display()
    )]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A value in the file is not what its setting takes.
    #[error("{}: {key}: {expected}", .path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: String,
        /// What it takes.
        expected: String,
    },
}

/// A command line with everything that goes into its settings.
#[derive(Debug)]
pub struct Invocation {
    /// What is to be done.
    pub cli: Cli,
    matches: ArgMatches,
    file: Option<File>,
}

/// The settings of a file, as texts: what each would be on the command line.
#[derive(Debug)]
struct File {
    path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

impl Invocation {
    /// Reads the command line, the environment and, if either names one, the file of settings.
    ///
    /// # Errors
    /// [`SettingsError`]; its `Usage` also when only help or the version was asked for.
    pub fn parse<T>(arguments: impl IntoIterator<Item = T>) -> Result<Self, SettingsError>
    where
        T: Into<OsString> + Clone,
    {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let mut matches = Cli::command().try_get_matches_from(&arguments)?;
        let file = config_path(&matches).map(File::read).transpose()?;
        if let Some(file) = &file {
            matches =
                with_defaults(Cli::command(), &file.values).try_get_matches_from(arguments)?;
        }
        Ok(Self {
            cli: Cli::from_arg_matches(&matches)?,
            matches,
            file,
        })
    }

    /// The settings of `serve` that hold, as a file of settings that says the same, with the
    /// origin of each as a comment. Secrets are left out.
    pub fn effective_settings(&self) -> String {
        let serve = serve_command();
        let Some(matches) = self.matches.subcommand_matches(SERVE) else {
            return String::new();
        };
        let mut text = String::new();
        for arg in settings(&serve) {
            let key = key(arg);
            let id = arg.get_id().as_str();
            let line = match matches.get_raw(id) {
                None => format!("# {key} is not set\n"),
                Some(values) => {
                    let values = values.map(|value| value.to_string_lossy());
                    let values: Vec<_> = values.map(|value| redact(&key, &value)).collect();
                    let value = match (&values[..], takes_many(arg)) {
                        ([value], false) => toml_value(value),
                        _ => toml::Value::from(values).to_string(),
                    };
                    let origin = self.origin(arg, &key, matches.value_source(id));
                    format!("{key} = {value} # {origin}\n")
                }
            };
            text.push_str(&line);
        }
        text
    }

    fn origin(&self, arg: &Arg, key: &str, source: Option<ValueSource>) -> String {
        match (source, &self.file) {
            (Some(ValueSource::CommandLine), _) => "command line".to_owned(),
            (Some(ValueSource::EnvVariable), _) => {
                arg.get_env().unwrap_or_default().display().to_string()
            }
            (_, Some(file)) if file.values.contains_key(key) => file.path.display().to_string(),
            _ => "default".to_owned(),
        }
    }
}

impl File {
    fn read(path: &PathBuf) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::Io(path.clone(), error))?;
        // Not the error's own text, which repeats the line: there may be a password in it.
        let table: toml::Table = toml::from_str(&text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start);
            let lines = text
                .as_bytes()
                .iter()
                .take(before)
                .filter(|byte| **byte == b'\n');
            SettingsError::Syntax {
                path: path.clone(),
                line: lines.count() + 1,
                problem: error.message().to_owned(),
            }
        })?;
        let known = settings_of_all(&Cli::command());
        let mut values = BTreeMap::new();
        for (key, value) in table {
            let Some(arg) = known.iter().find(|arg| self::key(arg) == key) else {
                let path = path.clone();
                return Err(SettingsError::UnknownKey { path, key });
            };
            let checked = texts(arg, &value).and_then(|texts| check(arg, &texts).map(|()| texts));
            match checked {
                Ok(texts) => values.insert(key, texts),
                Err(expected) => {
                    let path = path.clone();
                    return Err(SettingsError::BadValue {
                        path,
                        key,
                        expected,
                    });
                }
            };
        }
        Ok(Self {
            path: path.clone(),
            values,
        })
    }
}

/// The path of the file: `--config` may stand before or after any command.
fn config_path(matches: &ArgMatches) -> Option<&PathBuf> {
    let mut innermost = matches;
    while let Some((_, matches)) = innermost.subcommand() {
        innermost = matches;
    }
    innermost.get_one("config")
}

fn serve_command() -> Command {
    let command = Cli::command();
    command.find_subcommand(SERVE).cloned().unwrap_or(command)
}

/// The options that may be set in the environment, and so in a file.
fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|arg| arg.get_env().is_some())
}

/// The settings of all commands below one: one file and one environment serve them all.
fn settings_of_all(command: &Command) -> Vec<Arg> {
    let mut all = Vec::new();
    for subcommand in command.get_subcommands() {
        all.extend(settings(subcommand).cloned());
        all.extend(settings_of_all(subcommand));
    }
    all
}

/// The name of an option in a file.
fn key(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().replace('-', "_")
}

fn takes_many(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// The options of all commands, with the values of a file as their defaults.
fn with_defaults(command: Command, values: &BTreeMap<String, Vec<String>>) -> Command {
    command
        .mut_args(|arg| match values.get(&key(&arg)) {
            Some(values) => arg.default_values(values.clone()),
            None => arg,
        })
        .mut_subcommands(|command| with_defaults(command, values))
}

/// The value of a file as the texts of the command line.
fn texts(arg: &Arg, value: &toml::Value) -> Result<Vec<String>, String> {
    match value {
        toml::Value::Array(values) if takes_many(arg) => values.iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

fn text(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        _ => Err("a text, a whole number, true or false is expected".to_owned()),
    }
}

/// Has clap check the values of one option, whatever the environment says. What it tells of the
/// values themselves is left out: one may hold a password.
fn check(arg: &Arg, texts: &[String]) -> Result<(), String> {
    let long = arg.get_long().unwrap_or_default();
    let words = texts.iter().map(|text| format!("--{long}={text}"));
    let command = Command::new("file")
        .no_binary_name(true)
        .arg(arg.clone().env(None::<&str>));
    let Err(error) = command.try_get_matches_from(words) else {
        return Ok(());
    };
    Err(match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
            format!("one of {} is expected", valid.join(", "))
        }
        _ => "a value is expected".to_owned(),
    })
}

/// A value as a file would say it: numbers and flags bare, the rest as a string.
fn toml_value(text: &str) -> String {
    let bare = text == "true"
        || text == "false"
        || text
            .parse::<i64>()
            .is_ok_and(|number| number.to_string() == text);
    if bare {
        text.to_owned()
    } else {
        toml::Value::from(text).to_string()
    }
}

/// Takes the password out of a database's URL. Other settings are no secrets: keys are in files of
/// their own.
fn redact(key: &str, value: &str) -> String {
    if key != "database" {
        return value.to_owned();
    }
    let address = value.parse::<DatabaseAddress>();
    address.map_or_else(|_| REDACTED.to_owned(), |address| address.to_string())
}

/// The variables of the environment that begin like a setting and are none: mistyped, perhaps.
pub fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let settings = settings_of_all(&Cli::command());
    let known = |name: &str| {
        name == "SKYLINE_CONFIG"
            || settings
                .iter()
                .any(|arg| arg.get_env() == Some(name.as_ref()))
    };
    names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with("SKYLINE_") && !known(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skyline.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn parse(path: &Path, arguments: &[&str]) -> Result<Invocation, SettingsError> {
        let head = ["skyline-server", SERVE, "--config", path.to_str().unwrap()];
        Invocation::parse(head.iter().chain(arguments))
    }

    #[test]
    fn what_another_command_takes_is_no_mistake_in_the_file_of_serve() {
        let (_folder, path) = written("release_key = \"release.key\"\nlisten = \"127.0.0.1:1\"\n");
        let printed = parse(&path, &[]).unwrap().effective_settings();
        assert!(printed.contains("127.0.0.1:1"), "{printed}");
        let names = ["SKYLINE_RELEASE_KEY", "SKYLINE_LISTEN", "SKYLINE_LISTN"];
        assert_eq!(
            unknown_variables(names.map(Into::into).into_iter()),
            ["SKYLINE_LISTN"]
        );
        let (_folder, path) = written("config = \"another.toml\"\n");
        parse(&path, &[]).unwrap_err();
    }

    #[test]
    fn a_password_is_not_shown_and_the_rest_of_the_url_is() {
        let shown = redact(
            "database",
            "postgres://me:hunter2@host:5432/db?password=hunter2&a=b",
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        for part in ["me", "host:5432", "/db"] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(!redact("database", "postgres://:hunter2@").contains("hunter2"));
        assert_eq!(redact("database", "skyline.db"), "skyline.db");
    }

    #[test]
    fn a_file_is_refused_with_the_name_of_its_setting_and_without_its_value() {
        for (text, expected) in [
            ("max_conections = 5", "there is no setting `max_conections`"),
            ("config = \"x\"", "there is no setting `config`"),
            ("test_hooks = true", "there is no setting `test_hooks`"),
            (
                "max_connections = 0",
                "max_connections: a whole number of at least 1",
            ),
            ("max_connections = [5]", "max_connections: a text"),
            ("listen = \"hunter2\"", "listen: an address such as"),
            (
                "log_format = \"hunter2\"",
                "log_format: one of text, json is expected",
            ),
            (
                "inline_payloads = \"hunter2\"",
                "inline_payloads: one of true, false is expected",
            ),
            ("drain_deadline = 5", "drain_deadline: a time such as"),
            (
                "call_rate_per_license = \"hunter2\"",
                "call_rate_per_license: a rate such as",
            ),
            (
                "trusted_proxy = [\"10.0.0.0/8\", \"hunter2\"]",
                "trusted_proxy: a network",
            ),
            ("identity_key = \"\"", "identity_key: a value is expected"),
            (
                "[serve]\nlisten = \"hunter2\"",
                "there is no setting `serve`",
            ),
            ("log = \"info\"\ndatabase = hunter2", "line 2: "),
        ] {
            let (_folder, path) = written(text);
            let error = parse(&path, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(error.contains("skyline.toml"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let missing = parse(Path::new("missing.toml"), &[]).unwrap_err();
        assert!(missing.to_string().contains("missing.toml"), "{missing}");
    }

    #[test]
    fn every_setting_can_be_said_in_a_file_as_it_is_printed() {
        let (_folder, path) =
            written("trusted_proxy = [\"10.0.0.0/8\", \"::1\"]\nmax_connections = 5");
        let first = parse(&path, &["--admin-listen=[::1]:9", "--hkdf-salt=0012"]).unwrap();
        let printed = first.effective_settings();
        assert!(printed.contains("max_connections = 5 #"), "{printed}");
        assert!(
            printed.contains("hkdf_salt = \"0012\" # command line\n"),
            "{printed}"
        );
        let (_folder, path) = written(&printed);
        let again = parse(&path, &[]).unwrap().effective_settings();
        let values = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .map(|line| line.split(" # ").next().unwrap().to_owned());
            lines.collect()
        };
        assert_eq!(values(&again), values(&printed));
    }

    #[test]
    fn a_mistyped_variable_is_found() {
        let names = ["SKYLINE_LOG", "SKYLINE_CONFIG", "SKYLINE_LGO", "HOME"];
        let found = unknown_variables(names.into_iter().map(OsString::from));
        assert_eq!(found, ["SKYLINE_LGO"]);
    }
}
