//! The real root file system: an ext4 image, made without root rights.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use qemu_tests::protocol::{ORDERS_PATH, Orders};

use crate::command;
use crate::files;
use crate::tools::MKE2FS;

/// What initramfs images want to find before they call something a root.
const FOLDERS: [&str; 8] = [
    "dev", "etc", "proc", "run", "sys", "tmp", "usr/lib", "sysroot",
];

/// Makes the image at `path`: `init` is its init, and carries out `orders`.
///
/// # Errors
/// Where something cannot be written or mke2fs fails.
pub fn make(path: &Path, init: &Path, orders: &Orders) -> Result<()> {
    let root = tempfile::tempdir().context("a folder for a root file system")?;
    for folder in FOLDERS {
        fs::create_dir_all(root.path().join(folder)).with_context(|| format!("mkdir({folder})"))?;
    }
    let content = fs::read(init).with_context(|| format!("read({})", init.display()))?;
    let place = |name: &str| root.path().join(name.trim_start_matches('/'));
    files::write(&place("sbin/init"), &content, 0o755)?;
    // systemd does not switch to a root without it.
    files::write(&place("etc/os-release"), b"NAME=test\nID=test\n", 0o644)?;
    let text = serde_json::to_vec(orders).context("orders as JSON")?;
    files::write(&place(ORDERS_PATH), &text, 0o644)?;
    let mut mke2fs = MKE2FS.command()?;
    // Read-only, and gone after one boot: no journal.
    mke2fs.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"]);
    mke2fs.arg(root.path()).arg(path).arg("16M");
    command::output(&mut mke2fs).map(drop)
}
