//! One setup at a time.

use std::fs::File;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::request::Request;

/// The turn of this process, until dropped; none is needed where nothing is written.
///
/// # Errors
/// Where another setup of the same system is under way.
pub fn take(request: &Request) -> Result<Option<File>> {
    if request.dry_run {
        return Ok(None);
    }
    let show = request.root.display();
    let root = File::open(&request.root).with_context(|| format!("open({show})"))?;
    flock(&root, FlockOperation::NonBlockingLockExclusive)
        .map_err(crate::system)
        .with_context(|| {
            format!("lock({show}): another setup is under way; run this again when it has ended")
        })?;
    Ok(Some(root))
}
