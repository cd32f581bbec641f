//! One run at a time: what one finds free, another must not be taking.

use std::fs::{self, File};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use vfio_bind_agent::record::report::LOCK;

/// How long another run is waited for: as long as one takes that has all its time.
const LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(20);

/// The turn of this process, until dropped.
pub(super) struct Turn(#[expect(dead_code, reason = "closing it ends the turn")] File);

/// Waits until no other run behind the boot's is under way.
///
/// # Errors
/// Where the lock cannot be had, or not in time.
pub(super) fn wait(root: &Path) -> Result<Turn> {
    let path = root.join(LOCK);
    let show = path.display();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("mkdir({})", parent.display()))?;
    }
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("open({show})"))?;
    let end = Instant::now() + LIMIT;
    loop {
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Turn(file)),
            Err(Errno::AGAIN | Errno::ACCESS) if Instant::now() < end => sleep(PAUSE),
            Err(Errno::AGAIN | Errno::ACCESS) => bail!(
                "lock({show}): another run has had it for {} s; see who it is with `fuser {show}`",
                LIMIT.as_secs()
            ),
            Err(errno) => return Err(errno).with_context(|| format!("lock({show})")),
        }
    }
}
