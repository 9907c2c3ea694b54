//! What the kernel tells of another process on Linux.

use std::fs;
use std::io;
use std::time::Duration;

/// The server, by the number of its process.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// The processor time of all its threads, in user space and in the kernel: `utime` and `stime`
    /// of proc_pid_stat(5), to 10 ms.
    ///
    /// # Errors
    /// When there is no such process, or no such file on this system.
    pub fn processor_time(self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The second field, the name, may hold anything and ends with the last parenthesis.
        let fields = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace());
        // The first of these is the third of the page's list: utime is the 14th, stime the 15th.
        let ticks: Option<Vec<u64>> = fields
            .map(|fields| fields.skip(11).take(2).flat_map(str::parse).collect())
            .filter(|ticks: &Vec<u64>| ticks.len() == 2);
        let ticks: u64 = ticks.ok_or_else(malformed)?.iter().sum();
        Ok(Duration::from_millis(
            ticks * 1000 / rustix::param::clock_ticks_per_second(),
        ))
    }

    /// The bytes of its memory that are in RAM: `Rss` of /proc/PID/smaps_rollup, which is counted
    /// when it is read, where the figures of /proc/PID/status may lag behind.
    ///
    /// # Errors
    /// When there is no such process, or no such file on this system.
    pub fn resident_bytes(self) -> io::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        let kibibytes: Option<u64> = number.and_then(|number| number.parse().ok());
        Ok(kibibytes.ok_or_else(malformed)? << 10)
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_takes_processor_time() {
        let this = Process(std::process::id());
        let before = this.processor_time().unwrap();
        let begun = Instant::now();
        while this.processor_time().unwrap() < before + Duration::from_millis(30) {
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
    }

    #[test]
    fn what_is_written_is_resident() {
        let this = Process(std::process::id());
        let before = this.resident_bytes().unwrap();
        let block = black_box(vec![1_u8; 64 << 20]);
        let after = this.resident_bytes().unwrap();
        assert!(after - before >= 60 << 20, "{before} {after}");
        drop(block);
    }
}
