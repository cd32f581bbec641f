//! Buffered text on its way to a file.

use core::fmt;

use heapless::Vec;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

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
            match rustix::io::retry_on_intr(|| rustix::io::write(self.file, rest)) {
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
