//! The way out: records through the kernel log.

use std::fs::OpenOptions;
use std::io::Write;

use anyhow::{Context, Result};
use qemu_tests::protocol::Seen;
use qemu_tests::wire;

/// On the command line of a crash kernel, which makes a variable of it: how many records the one before
/// has sent.
const SENT: &str = "vfio_test_sent";

/// Sends records, numbered from 0 over all kernels of a machine.
pub(crate) struct Channel {
    sent: usize,
}

impl Channel {
    /// The channel of this machine, as another kernel has left it.
    pub(crate) fn open() -> Self {
        let sent = std::env::var(SENT).ok();
        Self {
            sent: sent.and_then(|number| number.parse().ok()).unwrap_or(0),
        }
    }

    /// The parameter with which the next kernel goes on.
    pub(crate) fn continuation(&self) -> String {
        format!("{SENT}={}", self.sent)
    }

    /// Sends one record. The kernel prints it on the console by polling, which works even on
    /// machines whose serial interrupts do not.
    pub(crate) fn send(&mut self, record: &Seen) -> Result<()> {
        for line in wire::encode(self.sent, record)? {
            tell(&line)?;
        }
        self.sent += 1;
        Ok(())
    }
}

/// Says a line on the console.
pub(crate) fn tell(line: &str) -> Result<()> {
    // The kernel limits the rate per open file: each line has its own. `<1>` is shown even where `quiet`
    // is on the command line. Without the newline the line would stay open for more, and unseen until the
    // next one.
    let mut log = OpenOptions::new()
        .write(true)
        .open("/dev/kmsg")
        .context("open(/dev/kmsg)")?;
    log.write_all(format!("<1>{line}\n").as_bytes())
        .context("write(/dev/kmsg)")
}
