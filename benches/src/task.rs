//! What a worker is to do, read from the environment.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::Process;

/// A variable of the environment is missing or makes no sense.
#[derive(Debug, Error)]
pub enum TaskError {
    /// It is not set.
    #[error("set {0}")]
    Missing(&'static str),
    /// It does not parse, or is out of bounds.
    #[error("{name} is {value:?}, which makes no sense")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it is set to.
        value: String,
    },
}

/// The load that a worker is to make, and for how long.
#[derive(Debug, Clone)]
pub struct Task {
    /// `BENCH_CALLERS`: concurrent callers, each with one call in flight.
    pub callers: usize,
    /// `BENCH_PAYLOAD_BYTES`: the bytes inside the MessagePack bin of each call.
    pub payload_bytes: usize,
    /// `BENCH_WARMUP_SECONDS`: how long the load runs before anything counts.
    pub warmup: Duration,
    /// `BENCH_SECONDS`: how long it is measured.
    pub measured: Duration,
    /// `BENCH_RATE`: calls per second of all callers together, at fixed times; as fast as it goes
    /// when absent.
    pub rate: Option<f64>,
}

impl Task {
    /// Reads the task.
    ///
    /// # Errors
    /// [`TaskError`] with the first variable that is missing or wrong.
    pub fn from_environment() -> Result<Self, TaskError> {
        Ok(Self {
            callers: at_least_one("BENCH_CALLERS")?,
            payload_bytes: required("BENCH_PAYLOAD_BYTES")?,
            warmup: seconds("BENCH_WARMUP_SECONDS")?,
            measured: seconds("BENCH_SECONDS")?,
            rate: rate("BENCH_RATE")?,
        })
    }
}

/// How to reach the server, and as whom.
#[derive(Debug, Clone)]
pub struct Access {
    /// `SKYLINE_URL`
    pub url: String,
    /// `SKYLINE_IDENTITY_KEY`, in hex
    pub identity_key: String,
    /// `SKYLINE_LICENSE_KEY`
    pub license_key: String,
    /// `SKYLINE_STATE_FOLDER`
    pub state_folder: PathBuf,
}

impl Access {
    /// Reads the variables that the examples read too.
    ///
    /// # Errors
    /// [`TaskError`] with the first that is missing.
    pub fn from_environment() -> Result<Self, TaskError> {
        Ok(Self {
            url: required("SKYLINE_URL")?,
            identity_key: required("SKYLINE_IDENTITY_KEY")?,
            license_key: required("SKYLINE_LICENSE_KEY")?,
            state_folder: required("SKYLINE_STATE_FOLDER")?,
        })
    }
}

/// `BENCH_LICENSE_KEYS`: licenses that nobody has used, for workers that make many connections.
#[derive(Debug, Clone)]
pub struct Licenses(pub Vec<String>);

impl Licenses {
    /// Reads them; there is at least one.
    ///
    /// # Errors
    /// [`TaskError`] when there are none.
    pub fn from_environment() -> Result<Self, TaskError> {
        let keys: String = required("BENCH_LICENSE_KEYS")?;
        Ok(Self(keys.split(',').map(str::to_owned).collect()))
    }
}

/// `BENCH_CONNECTIONS`: how many connections to hold open.
///
/// # Errors
/// [`TaskError`] when there is no such number, or it is 0.
pub fn connections() -> Result<usize, TaskError> {
    at_least_one("BENCH_CONNECTIONS")
}

/// `SKYLINE_SERVER_PID`: the server, whose memory and processor time is measured.
///
/// # Errors
/// [`TaskError`] when it is missing or no number.
pub fn server_process() -> Result<Process, TaskError> {
    required("SKYLINE_SERVER_PID").map(Process)
}

/// The MessagePack bin of `length` zeros.
pub fn message_pack_bin(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 5);
    if let Ok(length) = u8::try_from(length) {
        bytes.extend([0xc4, length]);
    } else if let Ok(length) = u16::try_from(length) {
        bytes.push(0xc5);
        bytes.extend(length.to_be_bytes());
    } else {
        let length = u32::try_from(length).expect("MessagePack carries no more than 4 GiB");
        bytes.push(0xc6);
        bytes.extend(length.to_be_bytes());
    }
    bytes.resize(bytes.len() + length, 0);
    bytes
}

fn optional<T: FromStr>(name: &'static str) -> Result<Option<T>, TaskError> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let value = value.to_string_lossy().into_owned();
    match value.parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(_) => Err(TaskError::Invalid { name, value }),
    }
}

fn required<T: FromStr>(name: &'static str) -> Result<T, TaskError> {
    optional(name)?.ok_or(TaskError::Missing(name))
}

fn at_least_one(name: &'static str) -> Result<usize, TaskError> {
    match required(name)? {
        0 => Err(invalid(name, 0)),
        number => Ok(number),
    }
}

fn seconds(name: &'static str) -> Result<Duration, TaskError> {
    let seconds: f64 = required(name)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid(name, seconds))
}

fn rate(name: &'static str) -> Result<Option<f64>, TaskError> {
    match optional::<f64>(name)? {
        Some(rate) if !(rate.is_finite() && rate > 0.0) => Err(invalid(name, rate)),
        rate => Ok(rate),
    }
}

fn invalid(name: &'static str, value: impl ToString) -> TaskError {
    TaskError::Invalid {
        name,
        value: value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_has_the_shortest_head_that_its_length_takes() {
        for (length, head) in [
            (0, &[0xc4, 0][..]),
            (255, &[0xc4, 255]),
            (256, &[0xc5, 1, 0]),
            (65_536, &[0xc6, 0, 1, 0, 0]),
        ] {
            let bin = message_pack_bin(length);
            assert_eq!(&bin[..head.len()], head);
            assert_eq!(bin.len(), head.len() + length);
            skyline_protocol::validate(&bin).unwrap();
        }
    }
}
