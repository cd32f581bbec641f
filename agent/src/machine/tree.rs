//! A [`Root`] that is a directory: `/`, or a captured or made-up tree.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use crate::machine::Root;
use crate::machine::sysfs::{Path, last_component, path};
use crate::text::Text;
use crate::text::output::Output;

/// The policy file, below the root: the words of the command line, with `#` comments.
pub const POLICY: &str = "etc/vfio-bind/policy.conf";

/// The functions that the machine boots from, found when the image was built, below the root: in the
/// words of the policy file.
pub const PROTECTED: &str = "etc/vfio-bind/protected.conf";

/// An open directory that paths are relative to.
pub struct Tree {
    directory: OwnedFd,
    /// Where the policy's files are read from instead of their own places.
    given: Option<Path>,
}

impl Tree {
    /// Opens `directory` as the root of everything that is read or written.
    ///
    /// # Errors
    /// What open answered.
    pub fn open(directory: &CStr) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            directory: rustix::fs::openat(CWD, directory, flags, Mode::empty())?,
            given: None,
        })
    }

    /// The same, but with the policy file and the list of what is protected from `directory`, as
    /// `vfio-bind` hands them over; what is not there is not anywhere. A name too long names nothing.
    #[must_use]
    pub fn with_policy_in(self, directory: &[u8]) -> Self {
        Self {
            given: Some(path(format_args!("{}", Text(directory)))),
            ..self
        }
    }

    /// Where the policy's files are read from instead of their own places.
    #[must_use]
    pub fn given(&self) -> Option<&Path> {
        self.given.as_ref()
    }

    fn open_file(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        open_at(&self.directory, path, flags)
    }

    /// Opens an existing file for reading and writing, as a device node is opened.
    ///
    /// # Errors
    /// What open answered.
    pub fn open_node(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.open_file(path, OFlags::RDWR)
    }

    /// Writes to an existing file in one call, as sysfs wants it.
    ///
    /// # Errors
    /// What open or write answered; `EIO` if only a part was taken.
    pub fn write(&self, path: &str, data: &[u8]) -> Result<(), Errno> {
        let file = self.open_file(path, OFlags::WRONLY)?;
        let written = retry(|| rustix::io::write(&file, data))?;
        if written == data.len() {
            Ok(())
        } else {
            Err(Errno::IO)
        }
    }

    /// Makes a directory, unless it is there.
    ///
    /// # Errors
    /// What mkdir answered.
    pub fn make_directory(&self, path: &str) -> Result<(), Errno> {
        match self.make_new_directory(path) {
            Err(Errno::EXIST) => Ok(()),
            answer => answer,
        }
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// What mkdir answered; `EEXIST` where it is there.
    pub fn make_new_directory(&self, path: &str) -> Result<(), Errno> {
        let mut buffer = PATH_BUFFER;
        let path = c_path(path, &mut buffer)?;
        rustix::fs::mkdirat(&self.directory, path, Mode::from_raw_mode(0o755))
    }

    /// Tries to be the only process that holds a file, which is made where it is not there, for as long as
    /// the answer is kept. Children hold nothing of it: one may be stuck for ever.
    ///
    /// # Errors
    /// What open or fcntl answered; `EAGAIN` or `EACCES` while somebody else holds it (fcntl(2)).
    pub fn hold(&self, path: &str) -> Result<OwnedFd, Errno> {
        let file = self.open_file(path, OFlags::WRONLY | OFlags::CREATE)?;
        rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    }

    /// Puts a whole new file at `directory/name`, or leaves the old one as it was.
    ///
    /// # Errors
    /// What the system answered to the first call that failed.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn replace(
        &self,
        directory: &str,
        name: &str,
        content: &dyn Fn(&mut Output<'_>),
    ) -> Result<(), Errno> {
        self.make_directory(directory)?;
        let directory = self.open_file(directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let part = ".part";
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let file = open_at(&directory, part, flags)?;
        // The umask of an initramfs shell is anyone's guess.
        rustix::fs::fchmod(&file, FILE_MODE)?;
        let mut output = Output::new(file.as_fd());
        content(&mut output);
        output.finish()?;
        let (mut buffer, mut new) = (PATH_BUFFER, PATH_BUFFER);
        rustix::fs::renameat(
            &directory,
            c_path(part, &mut buffer)?,
            &directory,
            c_path(name, &mut new)?,
        )
    }
}

impl Root for Tree {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        let file = match &self.given {
            Some(directory) if [POLICY, PROTECTED].contains(&path) => {
                let name = Text(last_component(path.as_bytes()));
                let file = crate::machine::sysfs::path(format_args!("{directory}/{name}"));
                self.open_file(&file, OFlags::RDONLY)?
            }
            _ => self.open_file(path, OFlags::RDONLY)?,
        };
        if offset > 0 {
            rustix::fs::seek(&file, SeekFrom::Start(offset.into()))?;
        }
        let mut filled = 0usize;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let count = retry(|| rustix::io::read(&file, &mut *room))?;
            if count == 0 {
                break;
            }
            filled = filled.saturating_add(count);
            // The kernel shows an attribute of sysfs in one piece.
            if count < room.len() && path.starts_with("sys/") {
                break;
            }
        }
        buffer.get(..filled).ok_or(Errno::IO)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let size = buffer.len();
        let mut path_buffer = PATH_BUFFER;
        let path = c_path(path, &mut path_buffer)?;
        let count = rustix::fs::readlinkat_raw(&self.directory, path, &mut *buffer)?;
        if count == size {
            return Err(Errno::NAMETOOLONG);
        }
        buffer.get(..count).ok_or(Errno::IO)
    }

    fn exists(&self, path: &str) -> bool {
        let mut buffer = PATH_BUFFER;
        c_path(path, &mut buffer).is_ok_and(|path| {
            rustix::fs::accessat(&self.directory, path, Access::EXISTS, AtFlags::empty()).is_ok()
        })
    }

    fn folders(&self, path: &str) -> Option<u32> {
        let mut buffer = PATH_BUFFER;
        let path = c_path(path, &mut buffer).ok()?;
        let status = rustix::fs::statat(&self.directory, path, AtFlags::empty()).ok()?;
        let count = u32::try_from(status.st_nlink).ok()?.checked_sub(2)?;
        (count > 0).then_some(count)
    }

    #[inline(never)] // Inlined, it makes the executable larger.
    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        let directory = self.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut entries = RawDir::new(directory, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                each(name);
            }
        }
        Ok(())
    }
}

const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

const PATH_BUFFER: [u8; 256] = [0; 256];

/// A path as the system takes it, by way of `buffer`. rustix would do the same once more at each
/// of its functions.
fn c_path<'b>(path: &str, buffer: &'b mut [u8; 256]) -> Result<&'b CStr, Errno> {
    let (text, end) = buffer
        .split_at_mut_checked(path.len())
        .ok_or(Errno::NAMETOOLONG)?;
    text.copy_from_slice(path.as_bytes());
    *end.first_mut().ok_or(Errno::NAMETOOLONG)? = 0;
    CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::INVAL)
}

fn open_at(directory: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut buffer = PATH_BUFFER;
    let path = c_path(path, &mut buffer)?;
    rustix::fs::openat(directory, path, flags | OFlags::CLOEXEC, FILE_MODE)
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(&mut call)
}
