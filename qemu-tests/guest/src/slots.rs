//! Physical slots that can be switched off.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::files;
use crate::pci::DEVICES;

/// How long a function may take to come or to go.
const LIMIT: Duration = Duration::from_secs(10);

/// Switches a slot on or off, and waits until its only function has come or gone.
pub(crate) fn switch(slot: &str, on: bool) -> Result<()> {
    let power = Path::new("/sys/bus/pci/slots").join(slot).join("power");
    let count = files::list(DEVICES)?.len();
    files::write(&power, if on { "1" } else { "0" })?;
    wait_for(if on { count + 1 } else { count - 1 })
}

/// Waits until there are this many functions.
fn wait_for(count: usize) -> Result<()> {
    let start = Instant::now();
    loop {
        let now = files::list(DEVICES)?.len();
        if now == count {
            return Ok(());
        }
        ensure!(
            start.elapsed() < LIMIT,
            "{now} functions after {} s, not {count}",
            LIMIT.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
