//! What an initramfs mounts before anything else runs.

use std::fs;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

/// File system, mount point, flags.
const MOUNTS: [(&str, &str, MsFlags); 4] = [
    ("proc", "/proc", MsFlags::empty()),
    ("sysfs", "/sys", MsFlags::empty()),
    ("devtmpfs", "/dev", MsFlags::empty()),
    ("tmpfs", "/run", MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV)),
];

/// Mounts them.
pub(crate) fn mount_all() -> Result<()> {
    for (kind, point, flags) in MOUNTS {
        fs::create_dir_all(point).with_context(|| format!("mkdir({point})"))?;
        mount(Some(kind), point, Some(kind), flags, None::<&str>)
            .with_context(|| format!("mount({kind}, {point})"))?;
    }
    Ok(())
}
