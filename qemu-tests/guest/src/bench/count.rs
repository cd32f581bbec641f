//! The system calls of a program and its children, and their memory.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use qemu_tests::bench::Kind;
use qemu_tests::protocol::Ending;

use super::histograms::Histograms;
use crate::files;

/// What a counted run came to.
pub(super) struct Counted {
    /// System calls.
    pub(super) calls: u64,
    /// The same by kind, where the kernel tells.
    pub(super) kinds: Vec<Kind>,
    /// In KiB.
    pub(super) memory: u64,
    /// How the program ended.
    pub(super) ending: Ending,
}

/// Runs a command and counts the system calls of all its processes.
///
/// The kernel's histograms count; where it has none, every call is stopped at, which takes a hundred times as
/// long.
pub(super) fn count(mut command: Command) -> Result<Counted> {
    // SAFETY: ptrace(PTRACE_TRACEME) is one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn().context("spawn")?;
    let first = Pid::from_raw(child.id().cast_signed());
    waitpid(first, None).context("wait(exec)")?;
    let histograms = Histograms::start()?;
    let go_on: GoOn = match histograms {
        Some(_) => ptrace::cont,
        None => ptrace::syscall,
    };
    let (stops, memory, ending) = follow(first, go_on)?;
    let kinds = histograms.map(Histograms::end).transpose()?;
    Ok(Counted {
        calls: match &kinds {
            Some(kinds) => kinds.iter().map(|kind| kind.calls).sum(),
            None => stops,
        },
        kinds: kinds.unwrap_or_default(),
        memory,
        ending,
    })
}

/// Lets a stopped process go on, with a signal.
type GoOn = fn(Pid, Option<Signal>) -> nix::Result<()>;

/// Goes along with a stopped process and its children until it ends: the calls that were stopped at, the
/// memory of the largest, and the end.
fn follow(first: Pid, go_on: GoOn) -> Result<(u64, u64, Ending)> {
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEEXIT;
    ptrace::setoptions(first, options).context("ptrace(SETOPTIONS)")?;
    go_on(first, None).context("ptrace(go on)")?;
    // A process stops where it enters a system call, and again where it leaves it.
    let (mut known, mut inside) = (BTreeSet::from([first]), BTreeSet::new());
    let (mut calls, mut memory) = (0, 0);
    loop {
        let status = waitpid(None, Some(WaitPidFlag::__WALL)).context("wait")?;
        let (pid, signal) = match status {
            WaitStatus::PtraceSyscall(pid) => {
                if !inside.remove(&pid) {
                    inside.insert(pid);
                    calls += 1;
                }
                (pid, None)
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                if event == libc::PTRACE_EVENT_EXIT {
                    memory = memory.max(resident(pid)?);
                }
                (pid, None)
            }
            // A new process stops before its first instruction.
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal).filter(|_| !known.insert(pid))),
            WaitStatus::Exited(pid, code) if pid == first => {
                return Ok((calls, memory, Ending::Exited(code)));
            }
            WaitStatus::Signaled(pid, signal, _) if pid == first => {
                return Ok((calls, memory, Ending::Signalled(signal as i32)));
            }
            _ => continue,
        };
        match go_on(pid, signal) {
            // It was killed while it was stopped.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno).context("ptrace(go on)"),
        }
    }
}

/// The memory of a process, in KiB. What wait4 tells is never less than what the one who started it had,
/// and the counters of `status` are behind by up to 64 pages (SPLIT_RSS_COUNTING, before 6.2).
fn resident(pid: Pid) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = files::read(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{path} has no Rss"))
}
