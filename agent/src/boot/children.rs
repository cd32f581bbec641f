//! The end of other processes that this one has started.

use core::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use crate::sys::{self, ChildSignal};

/// Waits for a child, but no longer than `limit`; `None` if it still runs then.
pub fn wait(child: Pid, limit: Duration) -> Result<Option<WaitStatus>, Errno> {
    let end = sys::clock_us().saturating_add(limit.as_micros() as u64);
    let signal = ChildSignal::hold();
    loop {
        match waitpid(Some(child), WaitOptions::NOHANG) {
            Ok(None) => {}
            ended => return ended.map(|ended| ended.map(|(_, status)| status)),
        }
        // Other children may end, too.
        let left = end.saturating_sub(sys::clock_us());
        if left == 0 || !signal.await_end(left) {
            return Ok(None);
        }
    }
}
