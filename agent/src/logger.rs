//! Where the messages of this program go.

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use rustix::io::Errno;
use vfio_bind::message;
use vfio_bind::tree::Tree;

use crate::sys;

/// Where messages go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The kernel log; standard error where there is none.
    KernelLog,
    /// Standard error, for commands that a person types.
    StandardError,
}

static KERNEL_LOG: Place = Place::KernelLog;
static STANDARD_ERROR: Place = Place::StandardError;

/// Decides where messages go.
///
/// # Errors
/// If that was decided before.
pub fn install(place: Place) -> Result<(), SetLoggerError> {
    log::set_logger(match place {
        Place::KernelLog => &KERNEL_LOG,
        Place::StandardError => &STANDARD_ERROR,
    })?;
    log::set_max_level(LevelFilter::Info);
    Ok(())
}

impl Log for Place {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = message::line(record);
        if *self == Self::KernelLog && to_kernel_log(line.as_bytes()).is_ok() {
            return;
        }
        let text = line.split_once('>').map_or(line.as_str(), |(_, text)| text);
        // If this fails too, there is nowhere left to complain to.
        let _ = rustix::io::write(sys::stderr(), text.as_bytes());
    }

    fn flush(&self) {}
}

/// Opens the log anew for each line: the kernel limits the rate for each open file, and drops what
/// is above it (`devkmsg_write` in kernel/printk/printk.c).
fn to_kernel_log(line: &[u8]) -> Result<(), Errno> {
    Tree::open("/")?.write("dev/kmsg", line)
}
