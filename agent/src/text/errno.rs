//! The system's answers, by the names that manuals and searches know.

use core::fmt;

use rustix::io::Errno;

use crate::text::misread::split;
use crate::text::{Dec, Text};

/// An error number shown as `ENODEV`, or as `errno 1234` where it has no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer(pub Errno);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = CODES.iter().position(|errno| *errno == self.0);
        let mut names = split(NAMES, b' ');
        match at.and_then(|at| names.nth(at)) {
            Some(name) => Text(name).fmt(f),
            None => write!(
                f,
                "errno {}",
                Dec(self.0.raw_os_error().unsigned_abs().into())
            ),
        }
    }
}

/// What open, read, write, readlink, clone, execve and VFIO's ioctls answer on Linux; a full
/// table of names would be larger than the parser.
const CODES: [Errno; 33] = [
    Errno::PERM,
    Errno::NOENT,
    Errno::SRCH,
    Errno::INTR,
    Errno::IO,
    Errno::NXIO,
    Errno::TOOBIG,
    Errno::NOEXEC,
    Errno::BADF,
    Errno::AGAIN,
    Errno::NOMEM,
    Errno::ACCESS,
    Errno::FAULT,
    Errno::BUSY,
    Errno::EXIST,
    Errno::NODEV,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::INVAL,
    Errno::NFILE,
    Errno::MFILE,
    Errno::NOTTY,
    Errno::FBIG,
    Errno::NOSPC,
    Errno::ROFS,
    Errno::PIPE,
    Errno::NAMETOOLONG,
    Errno::NOSYS,
    Errno::LOOP,
    Errno::OVERFLOW,
    Errno::OPNOTSUPP,
    Errno::TIMEDOUT,
    Errno::NETDOWN,
];

/// The names of [`CODES`], in the same order: a text for each would need three times the room.
const NAMES: &[u8] =
    b"EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF EAGAIN ENOMEM EACCES \
    EFAULT EBUSY EEXIST ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY EFBIG ENOSPC EROFS EPIPE \
    ENAMETOOLONG ENOSYS ELOOP EOVERFLOW EOPNOTSUPP ETIMEDOUT ENETDOWN";
