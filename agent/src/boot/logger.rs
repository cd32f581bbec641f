//! Where the messages of this program go.

use crate::sys::{self, Shared};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::io::Errno;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::record::journal::Journal;
use vfio_bind_agent::text::message;

/// Where messages go, besides into the [journal](with_journal).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sink {
    /// Nowhere.
    JournalAlone,
    /// The kernel log; standard error where there is none.
    KernelLog,
    /// The kernel log, and standard error for whoever started it.
    KernelLogAndError,
    /// Standard error, in front of the reader's own output.
    StandardError,
    /// Standard output, where they are what was asked for.
    StandardOutput,
}

static SINK: Shared<Sink> = Shared::new(Sink::JournalAlone);
static JOURNAL: Shared<Journal> = Shared::new(Journal::new());

/// Decides where messages go from now on.
pub fn send_to(sink: Sink) {
    let _ = SINK.with(|place| *place = sink);
    if sys::set_logger(&Logger) {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Reads what was said so far. What is said meanwhile is not kept.
pub fn with_journal(read: &mut dyn FnMut(&Journal)) {
    let _ = JOURNAL.with(|journal| read(journal));
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let line = message::line(record);
        let (_, line_behind_level) = line.split_once('>').unwrap_or_default();
        let text = line_behind_level
            .strip_prefix(message::PREFIX)
            .unwrap_or(line_behind_level);
        let kept = text.strip_suffix('\n').unwrap_or(text);
        let _ = JOURNAL.with(|journal| journal.add(record.level(), record.target(), kept));
        let sink = SINK.with(|sink| *sink).unwrap_or(Sink::StandardError);
        let to_log = matches!(sink, Sink::KernelLog | Sink::KernelLogAndError);
        let logged = to_log && to_kernel_log(line.as_bytes()).is_ok();
        let (place, text) = match sink {
            Sink::JournalAlone => return,
            Sink::KernelLog if logged => return,
            Sink::StandardOutput => (sys::stdout(), text),
            _ => (sys::stderr(), line_behind_level),
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
