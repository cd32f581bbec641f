//! The running machine. What may never return is called in a child, as the agent does: a driver that hangs in its
//! remove function keeps whoever asked it to let go.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::machine::{Controls, Root, SHOWN_MOST};

/// How long modprobe may take.
const MODPROBE_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(1);

/// A machine whose attributes are read and written by children.
pub struct Running<'t> {
    tree: &'t Tree,
    root: PathBuf,
    /// `vfio-bind` itself.
    program: PathBuf,
}

impl<'t> Running<'t> {
    /// The machine at `root`, opened as `tree`; `program` is `vfio-bind`.
    #[must_use]
    pub fn new(tree: &'t Tree, root: &Path, program: &Path) -> Self {
        Self {
            tree,
            root: root.to_owned(),
            program: program.to_owned(),
        }
    }

    fn call(&self, words: &[&str], limit: Duration) -> Result<Vec<u8>, Errno> {
        let mut command = Command::new(&self.program);
        command.arg("sysfs").arg("--root").arg(&self.root);
        command.arg("--").args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().map_err(errno)?;
        let status = wait(&mut child, limit)?;
        match status {
            Some(0) => {
                let mut text = Vec::new();
                if let Some(mut out) = child.stdout.take() {
                    out.read_to_end(&mut text).map_err(errno)?;
                }
                Ok(text)
            }
            Some(status) => Err(Errno::from_raw_os_error(status)),
            None => Err(Errno::INTR),
        }
    }
}

/// The exit status of a child; none where a signal ended it. One that does not end in time is left to itself: it may
/// be in a driver.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<i32>, Errno> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait().map_err(errno)? {
            Some(status) => return Ok(status.code()),
            None if Instant::now() < end => sleep(PAUSE),
            None => {
                // In a driver it gets that later, or never.
                let _ = child.kill();
                return Err(Errno::TIMEDOUT);
            }
        }
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Has modprobe load what knows a function, by its alias; modprobe.d counts, and what is on its blacklist stays out.
/// What came of it, the function's driver tells.
pub fn load(alias: &str) {
    let mut command = Command::new("modprobe");
    command.arg("--").arg(alias).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut child) = command.spawn() {
        let _ = wait(&mut child, MODPROBE_LIMIT);
    }
}

impl Root for Running<'_> {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        self.tree.read_at(path, offset, buffer)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.tree.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        self.tree.exists(path)
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        self.tree.list(path, each)
    }
}

impl Controls for Running<'_> {
    fn write_within(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno> {
        let text = str::from_utf8(data).map_err(|_| Errno::INVAL)?;
        self.call(&[path, text], limit).map(drop)
    }

    fn read_within<'b>(
        &self,
        path: &str,
        buffer: &'b mut [u8; SHOWN_MOST],
        limit: Duration,
    ) -> Result<&'b [u8], Errno> {
        let text = self.call(&[path], limit)?;
        let length = text.len().min(buffer.len());
        let room = &mut buffer[..length];
        room.copy_from_slice(&text[..length]);
        Ok(room)
    }
}
