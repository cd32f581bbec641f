//! Where the messages of this program go.

use crate::sys;
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::io::Errno;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::text::message;

/// Where messages go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The kernel log; standard error where there is none.
    KernelLog,
    /// The kernel log, and standard error for whoever started it.
    KernelLogAndError,
    /// Standard error, in front of the reader's own output.
    StandardError,
    /// Standard output, where they are what was asked for.
    StandardOutput,
}

static KERNEL_LOG: Place = Place::KernelLog;
static KERNEL_LOG_AND_ERROR: Place = Place::KernelLogAndError;
static STANDARD_ERROR: Place = Place::StandardError;
static STANDARD_OUTPUT: Place = Place::StandardOutput;

/// Decides where messages go; the first decision stands.
pub fn send_to(place: Place) {
    let place = match place {
        Place::KernelLog => &KERNEL_LOG,
        Place::KernelLogAndError => &KERNEL_LOG_AND_ERROR,
        Place::StandardError => &STANDARD_ERROR,
        Place::StandardOutput => &STANDARD_OUTPUT,
    };
    if sys::set_logger(place) {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for Place {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let line = message::line(record);
        let to_log = matches!(self, Self::KernelLog | Self::KernelLogAndError);
        let logged = to_log && to_kernel_log(line.as_bytes()).is_ok();
        if logged && *self == Self::KernelLog {
            return;
        }
        let (_, text) = line.split_once('>').unwrap_or_default();
        let (place, text) = match self {
            Self::StandardOutput => (
                sys::stdout(),
                text.strip_prefix(message::PREFIX).unwrap_or(text),
            ),
            _ => (sys::stderr(), text),
        };
        // If this fails too, there is nowhere left to complain to.
        let _ = rustix::io::write(place, text.as_bytes());
    }

    fn flush(&self) {}
}

/// Opens the log anew for each line: the kernel limits the rate for each open file, and drops what
/// is above it (`devkmsg_write` in kernel/printk/printk.c).
fn to_kernel_log(line: &[u8]) -> Result<(), Errno> {
    Tree::open(c"/")?.write("dev/kmsg", line)
}
