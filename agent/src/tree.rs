//! A [`Root`] that is a directory: `/`, or a captured or made-up tree.

use core::fmt;
use core::mem::MaybeUninit;

use heapless::Vec;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::host::Root;

/// An open directory that paths are relative to.
pub struct Tree {
    directory: OwnedFd,
}

impl Tree {
    /// Opens `directory` as the root of everything that is read or written.
    ///
    /// # Errors
    /// What open answered.
    pub fn open(directory: impl rustix::path::Arg) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            directory: rustix::fs::openat(CWD, directory, flags, Mode::empty())?,
        })
    }

    fn open_file(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::openat(&self.directory, path, flags | OFlags::CLOEXEC, mode)
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

    /// Puts a whole new file at `directory/name`, or leaves the old one as it was.
    ///
    /// # Errors
    /// What the system answered to the first call that failed.
    pub fn replace(
        &self,
        directory: &str,
        name: &str,
        content: impl FnOnce(&mut Output<'_>) -> fmt::Result,
    ) -> Result<(), Errno> {
        match rustix::fs::mkdirat(&self.directory, directory, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let directory = self.open_file(directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let part = ".part";
        let file = rustix::fs::openat(&directory, part, flags, mode)?;
        // The umask of an initramfs shell is anyone's guess.
        rustix::fs::fchmod(&file, mode)?;
        let mut output = Output::new(file.as_fd());
        let formatted = content(&mut output);
        output.finish()?;
        if formatted.is_err() {
            return Err(Errno::OVERFLOW);
        }
        rustix::fs::renameat(&directory, part, &directory, name)
    }
}

impl Root for Tree {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let file = self.open_file(path, OFlags::RDONLY)?;
        let mut filled = 0usize;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let count = retry(|| rustix::io::read(&file, &mut *room))?;
            if count == 0 {
                break;
            }
            filled = filled.saturating_add(count);
        }
        buffer.get(..filled).ok_or(Errno::IO)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let size = buffer.len();
        let count = rustix::fs::readlinkat_raw(&self.directory, path, &mut *buffer)?;
        if count == size {
            return Err(Errno::NAMETOOLONG);
        }
        buffer.get(..count).ok_or(Errno::IO)
    }

    fn exists(&self, path: &str) -> bool {
        rustix::fs::accessat(&self.directory, path, Access::EXISTS, AtFlags::empty()).is_ok()
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        let directory = self.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut buffer = [MaybeUninit::uninit(); 8192];
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

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    rustix::io::retry_on_intr(&mut call)
}

/// Buffered text on its way to a file descriptor; remembers the first error.
pub struct Output<'f> {
    file: BorrowedFd<'f>,
    buffer: Vec<u8, 2048>,
    error: Option<Errno>,
}

impl<'f> Output<'f> {
    /// Text for `file`.
    pub fn new(file: BorrowedFd<'f>) -> Self {
        Self {
            file,
            buffer: Vec::new(),
            error: None,
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// What the first write that failed answered.
    pub fn finish(mut self) -> Result<(), Errno> {
        self.flush();
        self.error.map_or(Ok(()), Err)
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(self.buffer.capacity()) {
            if self.buffer.extend_from_slice(chunk).is_err() {
                self.flush();
                // It is empty now and takes a chunk of its own size.
                let _ = self.buffer.extend_from_slice(chunk);
            }
        }
    }

    fn flush(&mut self) {
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() && self.error.is_none() {
            match retry(|| rustix::io::write(self.file, rest)) {
                Ok(0) => self.error = Some(Errno::IO),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(errno) => self.error = Some(errno),
            }
        }
        self.buffer.clear();
    }
}

impl fmt::Write for Output<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        if self.error.is_some() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}
