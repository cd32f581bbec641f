//! A child that makes the calls that may never return: one for all of them. Where it is stuck in the
//! kernel, which keeps it from being killed, too, it is left behind, and the next call gets another one.
//!
//! A pipe takes and gives a question or an answer whole, and there is one at a time: a path below the root
//! directory, a NUL, and what is to be written there; and the kernel's answer as a byte, 0 or an errno, with
//! what was read behind it.

pub mod served;

use core::time::Duration;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, IoSlice, IoSliceMut, readv, writev};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};

use crate::children::wait;
use crate::sys::{self, Forked};

/// How long the end of one that waits for a question may take: it has nothing to do before.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The way to the child. When this is gone, or the process that has it, the child ends as soon as it can:
/// its questions have an end then.
pub struct Helper {
    child: Pid,
    questions: OwnedFd,
    answers: OwnedFd,
    /// The child's end: without any, a question would be a signal that ends this process.
    _heard: OwnedFd,
}

impl Helper {
    /// Starts one.
    ///
    /// # Errors
    /// What pipe or clone answered.
    pub fn start() -> Result<Self, Errno> {
        let (heard, questions) = pipe_with(PipeFlags::CLOEXEC)?;
        let (answers, said) = pipe_with(PipeFlags::CLOEXEC)?;
        match sys::fork()? {
            Forked::Parent(child) => Ok(Self {
                child,
                questions,
                answers,
                _heard: heard,
            }),
            Forked::Child => {
                drop(questions);
                served::serve(&heard, &said);
                sys::exit(0)
            }
        }
    }

    /// Writes `data` to the file at `path`, which is below the root directory, in one call, or reads where
    /// there is none, into a `buffer` with room for all that [`serve`](served::serve) reads. Gives
    /// how much of it was filled. After `ETIMEDOUT` and `EINTR` it must not be asked again.
    ///
    /// # Errors
    /// What open, write or read answered; `ETIMEDOUT` where that took longer than `limit`, and `EINTR`
    /// where the child was killed.
    pub fn call(
        &self,
        path: &str,
        data: &[u8],
        buffer: &mut [u8],
        limit: Duration,
    ) -> Result<u16, Errno> {
        let question = [
            IoSlice::new(b"/"),
            IoSlice::new(path.as_bytes()),
            IoSlice::new(b"\0"),
            IoSlice::new(data),
        ];
        writev(&self.questions, &question)?;
        if !sys::is_readable_within(&self.answers, limit) {
            return Err(Errno::TIMEDOUT);
        }
        let mut raw = [0];
        let mut answer = [IoSliceMut::new(&mut raw), IoSliceMut::new(buffer)];
        let length = readv(&self.answers, &mut answer)?.checked_sub(1);
        match raw {
            // It is at most as long as `buffer`.
            [0] => length.map(|length| length as u16).ok_or(Errno::INTR),
            [raw] => Err(Errno::from_raw_os_error(raw.into())),
        }
    }

    /// Ends one that waits for a question, and sees to it that nothing is left of it.
    pub fn dismiss(self) {
        // A child of this process that was started later may hold the questions open.
        let _ = kill_process(self.child, Signal::KILL);
        let _ = wait(self.child, END_LIMIT);
    }
}
