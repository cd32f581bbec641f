//! A disk that is in use.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};

use crate::files;
use crate::pci::DEVICES;

/// Where it is mounted.
const POINT: &str = "/run/mounted";
/// The driver goes on in a thread of its own after its probe.
const LIMIT: Duration = Duration::from_secs(20);

/// Mounts the ext4 that fills the NVMe disk of the function at `address`.
pub(crate) fn mount_disk(address: &str) -> Result<()> {
    let node = node(&Path::new(DEVICES).join(address).join("nvme"))?;
    fs::create_dir_all(POINT).with_context(|| format!("mkdir({POINT})"))?;
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    mount(
        Some(node.as_str()),
        POINT,
        Some("ext4"),
        flags,
        None::<&str>,
    )
    .with_context(|| format!("mount({node}, {POINT})"))?;
    store()
}

/// Waits for `nvme0/nvme0n1` in the folder of a function's controllers, and for the node in /dev.
fn node(controllers: &Path) -> Result<String> {
    let start = Instant::now();
    loop {
        let below = |path: &Path| files::list(path).unwrap_or_default();
        let disks = below(controllers).into_iter().flat_map(|one| below(&one));
        let names = disks.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        // Beside it is a character device, `ng0n1`.
        let blocks = names.filter(|name| name.starts_with("nvme"));
        let mut nodes = blocks.map(|name| format!("/dev/{name}"));
        if let Some(node) = nodes.find(|node| Path::new(node).exists()) {
            return Ok(node);
        }
        ensure!(
            start.elapsed() < LIMIT,
            "no disk below {} after {} s",
            controllers.display(),
            LIMIT.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Stores a file there, down to the disk.
pub(crate) fn store() -> Result<()> {
    let path = format!("{POINT}/file");
    let store = || -> std::io::Result<()> {
        let mut file = File::create(&path)?;
        file.write_all(&[b'x'; 4096])?;
        file.sync_all()
    };
    store().with_context(|| format!("store({path})"))
}
