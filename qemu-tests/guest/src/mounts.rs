//! What an initramfs mounts before anything else runs, and a real root inherits from it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

/// File system, mount point, flags.
const MOUNTS: [(&str, &str, MsFlags); 4] = [
    ("proc", "/proc", MsFlags::empty()),
    ("sysfs", "/sys", MsFlags::empty()),
    ("devtmpfs", "/dev", MsFlags::empty()),
    ("tmpfs", "/run", MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV)),
];

/// Mounts what is not mounted yet.
pub(crate) fn mount_all() -> Result<()> {
    let device = |path: &str| {
        let metadata = fs::metadata(path).with_context(|| format!("stat({path})"));
        metadata.map(|metadata| metadata.dev())
    };
    for (kind, point, flags) in MOUNTS {
        fs::create_dir_all(point).with_context(|| format!("mkdir({point})"))?;
        if device(point)? != device("/")? {
            continue;
        }
        mount(Some(kind), point, Some(kind), flags, None::<&str>)
            .with_context(|| format!("mount({kind}, {point})"))?;
    }
    Ok(())
}
