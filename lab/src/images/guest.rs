//! What makes a Debian with systemd carry out orders, once everything in it is up.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use qemu_tests::protocol::{ORDERS_PATH, Orders};
use qemu_tests::storage::EMERGENCY;

use crate::files;
use crate::rig::Rig;
use crate::supply::Program;
use crate::system::ARCHITECTURE;

/// What carries them out once udev has tried every driver (no target waits for that), and what ends the machine where it does not come up.
const UNITS: [(&str, &str); 2] = [
    (
        "etc/systemd/system/guest.service",
        "[Unit]\nAfter=multi-user.target\n\n[Service]\nType=oneshot\n\
         ExecStartPre=-udevadm settle --timeout=120\nExecStart=/usr/sbin/guest-init\n",
    ),
    (
        "etc/systemd/system/emergency.service.d/end.conf",
        "[Service]\nExecStartPre=\nExecStart=\nExecStart=-/bin/sh -c 'echo \"<1>WORDS\" >/dev/kmsg; \
         exec systemctl --force --force poweroff'\n",
    ),
];
/// What starts the first of them.
const WANTS: &str = "etc/systemd/system/multi-user.target.wants";
/// With none, systemd takes the boot for the first one, and a read-only root for a mistake.
pub const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef";

/// What systemd writes once it has brought up to date what depends on /usr. It would take half a minute.
const UPDATED: [&str; 2] = ["etc/.updated", "var/.updated"];

/// Adds it, with the orders, to the system at `root`.
///
/// # Errors
/// Where something cannot be built or written.
pub fn add(rig: &Rig<'_>, root: &Path, orders: &Orders) -> Result<()> {
    let write = |place: &str, text: &str| files::write(&root.join(place), text.as_bytes(), 0o644);
    let init = rig.program(Program::GuestInit, ARCHITECTURE)?;
    let init = fs::read(&init).with_context(|| format!("read({})", init.display()))?;
    files::write(&root.join("usr/sbin/guest-init"), &init, 0o755)?;
    for (place, text) in UNITS {
        write(place, &text.replace("WORDS", EMERGENCY))?;
    }
    let wants = root.join(WANTS);
    fs::create_dir_all(&wants).with_context(|| format!("mkdir({})", wants.display()))?;
    std::os::unix::fs::symlink("../guest.service", wants.join("guest.service"))
        .with_context(|| format!("symlink({WANTS})"))?;
    for place in UPDATED {
        write(place, "")?;
    }
    write("etc/machine-id", &format!("{MACHINE_ID}\n"))?;
    let orders = serde_json::to_string(orders).context("orders as JSON")?;
    write(ORDERS_PATH.trim_start_matches('/'), &orders)
}
