//! Kills a process at a chosen system call, by ptrace(2): nothing in the product knows of it.

use std::io::{self, Read, Write};
use std::process::Command;
use std::time::Duration;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// After which time a traced process counts as hung and is killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A system call of a process: the `nth` of its number, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The number of the system call.
    pub call: i64,
    /// Which one of that number.
    pub nth: usize,
}

/// What became of a traced process.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The lines that it printed.
    pub output: Vec<String>,
    /// The system calls that it began, in order, those apart that only wait or arrange memory.
    /// The one that it was killed at is the last.
    pub points: Vec<Point>,
    /// Whether it was killed.
    pub killed: bool,
}

/// Runs `command`, whose input and output are pipes and which begins when it has read its input,
/// and kills it by SIGKILL at the entry of the system call `kill_at`, counted from when the input is
/// there. That call is not executed.
///
/// # Errors
///
/// When the process cannot be started or traced.
pub fn run(mut command: Command, input: &str, kill_at: Option<Point>) -> io::Result<Traced> {
    let mut child = command.spawn()?;
    let process = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    // EXITKILL: it does not outlive a failing test.
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    ptrace::seize(process, options)?;
    ptrace::interrupt(process)?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())?;
    }
    let (done, over) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if over.recv_timeout(PATIENCE).is_err() {
            let _ = kill(process, Signal::SIGKILL);
        }
    });
    let (points, killed) = follow(process, kill_at)?;
    let _ = done.send(());
    let _ = watchdog.join();
    let mut output = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut output)?;
    }
    Ok(Traced {
        output: output.lines().map(str::to_owned).collect(),
        points,
        killed,
    })
}

/// Lets the process run from system call to system call until it has ended.
fn follow(process: Pid, kill_at: Option<Point>) -> io::Result<(Vec<Point>, bool)> {
    // Of this thread's tracees only: the processes of other threads are theirs to wait for.
    let any = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    let mut points: Vec<Point> = Vec::new();
    let mut killed = false;
    loop {
        let resume = match waitpid(None, Some(any))? {
            WaitStatus::PtraceSyscall(thread) => {
                if let Some(call) = entered(thread)
                    && !is_idle(call)
                    && !killed
                {
                    let nth = points.iter().filter(|point| point.call == call).count();
                    let point = Point { call, nth };
                    points.push(point);
                    if kill_at == Some(point) {
                        killed = true;
                        kill(process, Signal::SIGKILL)?;
                    }
                }
                Some((thread, None))
            }
            WaitStatus::PtraceEvent(thread, ..) => Some((thread, None)),
            WaitStatus::Stopped(thread, signal) => Some((thread, Some(signal))),
            WaitStatus::Exited(ended, _) | WaitStatus::Signaled(ended, ..) if ended == process => {
                return Ok((points, killed));
            }
            _ => None,
        };
        if let Some((thread, signal)) = resume {
            // It fails for a thread that the signal has killed meanwhile.
            let _ = ptrace::syscall(thread, signal);
        }
    }
}

/// The number of the system call that a stopped thread is about to make; `None` at its end.
fn entered(thread: Pid) -> Option<i64> {
    let info = ptrace::syscall_info(thread).ok()?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: of the union, `entry` is what the kernel has filled in for this `op` (ptrace(2)).
    let number = unsafe { info.u.entry.nr };
    i64::try_from(number).ok()
}

/// Whether a system call leaves no trace outside of its process: it waits, or arranges memory.
/// How often these come depends on the scheduler, so they are no points to count by.
fn is_idle(number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_epoll_wait {
        return true;
    }
    [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_epoll_pwait,
        libc::SYS_futex,
        libc::SYS_madvise,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_munmap,
        libc::SYS_rt_sigprocmask,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
    ]
    .contains(&number)
}
