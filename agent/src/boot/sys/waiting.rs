//! Sleeping until something happens, but no longer than is asked.

use core::time::Duration;

use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;
use syscalls::{Sysno, syscall};

/// A `struct timespec`: seconds and nanoseconds, two 64-bit numbers on every 64-bit Linux.
type Time = [u64; 2];

fn time(us: u64) -> Time {
    [us / 1_000_000, us % 1_000_000 * 1000]
}

/// A set of signals as the kernel has it: one word of 64 bits, the first signal in the lowest.
const SET_SIZE: usize = 8;
static CHILD_ENDED: u64 = 1 << (super::SIGCHLD - 1);

/// As long as this is there, SIGCHLD is held back, so that an end between a look at a child and
/// [`await_end`](Self::await_end) is not lost: a signal that is held back is kept even where nobody handles
/// it (`sig_ignored` in kernel/signal.c). What is started meanwhile would inherit that.
pub struct ChildSignal {
    /// What was held back before.
    before: u64,
}

impl ChildSignal {
    /// Holds it back from now on.
    pub fn hold() -> Self {
        const SIG_BLOCK: usize = 0;
        // Where the call failed, this is what is restored: a program starts with nothing held back.
        let mut before = 0;
        let (set, old) = (&raw const CHILD_ENDED, &raw mut before);
        // SAFETY: the kernel reads one set and writes the other.
        let _ = unsafe { syscall!(Sysno::rt_sigprocmask, SIG_BLOCK, set, old, SET_SIZE) };
        Self { before }
    }

    /// Sleeps until a child has ended, or another signal has come; false where neither did within so many
    /// microseconds.
    pub fn await_end(&self, us: u64) -> bool {
        let time = time(us);
        let (set, time) = (&raw const CHILD_ENDED, &raw const time);
        // SAFETY: the kernel reads a set and a timespec; what it would tell of the signal has no place.
        let answer = unsafe { syscall!(Sysno::rt_sigtimedwait, set, 0, time, SET_SIZE) };
        answer.map_or_else(|errno| super::errno(errno) == Errno::INTR, |_| true)
    }
}

impl Drop for ChildSignal {
    fn drop(&mut self) {
        const SIG_SETMASK: usize = 2;
        let set = &raw const self.before;
        // SAFETY: the kernel reads a set, and there is no place for the old one.
        let _ = unsafe { syscall!(Sysno::rt_sigprocmask, SIG_SETMASK, set, 0, SET_SIZE) };
    }
}

/// Whether there is something to read, or nobody left to write it, within `limit`. A signal that nobody
/// handles makes that no shorter and no longer: the kernel goes on with what is left
/// (`poll_select_finish` in fs/select.c).
pub fn is_readable_within(file: &impl AsFd, limit: Duration) -> bool {
    const POLLIN: i16 = 1;
    /// `struct pollfd`.
    #[repr(C)]
    struct Awaited {
        fd: i32,
        events: i16,
        revents: i16,
    }
    let mut awaited = Awaited {
        fd: file.as_fd().as_raw_fd(),
        events: POLLIN,
        revents: 0,
    };
    let mut time: Time = [limit.as_secs(), limit.subsec_nanos().into()];
    let (one, time) = (&raw mut awaited, &raw mut time);
    // SAFETY: the kernel reads and writes one pollfd and a timespec, and there is no set of signals.
    let answer = unsafe { syscall!(Sysno::ppoll, one, 1, time, 0, SET_SIZE) };
    matches!(answer, Ok(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::process;
    use std::time::Instant;

    use rustix::io::write;
    use rustix::pipe::pipe;
    use rustix::thread::gettid;

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(60);

    /// What the call gives, and whether it took at least [`SHORT`] and less than [`LONG`].
    fn timed(call: impl FnOnce() -> bool) -> (bool, bool) {
        let start = Instant::now();
        let answer = call();
        let elapsed = start.elapsed();
        assert!(elapsed < LONG, "{elapsed:?}");
        (answer, elapsed >= SHORT)
    }

    #[test]
    fn what_is_there_is_not_waited_for_and_what_is_not_no_longer_than_asked() {
        let (reader, writer) = pipe().unwrap();
        assert_eq!(timed(|| is_readable_within(&reader, SHORT)), (false, true));
        assert!(!is_readable_within(&reader, Duration::ZERO));
        write(&writer, b"x").unwrap();
        assert!(timed(|| is_readable_within(&reader, LONG)).0);
        let (reader, writer) = pipe().unwrap();
        drop(writer);
        assert!(timed(|| is_readable_within(&reader, LONG)).0, "no writer");
    }

    /// The signals that are held back, as the kernel shows them.
    fn held() -> String {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let mut fields = status
            .lines()
            .filter_map(|line| line.strip_prefix("SigBlk:"));
        fields.next().unwrap().trim().to_owned()
    }

    #[test]
    fn a_signal_that_came_before_the_wait_ends_it_and_afterwards_all_is_as_before() {
        let before = held();
        let signal = ChildSignal::hold();
        assert_ne!(held(), before);
        assert_eq!(timed(|| signal.await_end(30_000)), (false, true));
        let (process, thread) = (process::id(), gettid().as_raw_nonzero().get());
        // SAFETY: the call takes three numbers.
        unsafe { syscall!(Sysno::tgkill, process, thread, super::super::SIGCHLD) }.unwrap();
        assert!(timed(|| signal.await_end(60_000_000)).0);
        assert_eq!(timed(|| signal.await_end(30_000)), (false, true), "once");
        drop(signal);
        assert_eq!(held(), before);
    }
}
