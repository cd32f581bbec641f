//! PCI functions as sysfs shows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::function::{Function, LOCKED, Snapshot};

use crate::files;

/// One directory per function.
pub(crate) const DEVICES: &str = "/sys/bus/pci/devices";

/// After this time somebody holds a device lock who does not give it back.
const LOCK_LIMIT: Duration = Duration::from_secs(3);

/// Every function, now.
pub(crate) fn snapshot(label: &str) -> Result<Snapshot> {
    let functions = files::list(DEVICES)?
        .iter()
        .map(|path| function(path))
        .collect::<Result<_>>()?;
    let uevents = files::read("/sys/kernel/uevent_seqnum")?;
    let uevents = uevents
        .parse()
        .with_context(|| format!("uevent_seqnum: {uevents:?}"))?;
    Ok(Snapshot {
        label: label.to_owned(),
        uevents,
        functions,
    })
}

/// The text of a file that the kernel shows under the device lock, or [`LOCKED`].
fn read_locked(path: PathBuf) -> Result<String> {
    let (sender, receiver) = mpsc::channel();
    // It cannot be ended while it waits for the lock; the machine ends before it.
    thread::spawn(move || sender.send(files::read(path)));
    receiver
        .recv_timeout(LOCK_LIMIT)
        .unwrap_or_else(|_| Ok(LOCKED.to_owned()))
}

/// One function.
fn function(path: &Path) -> Result<Function> {
    let hex = |name: &str| -> Result<String> {
        Ok(files::read(path.join(name))?
            .trim_start_matches("0x")
            .to_owned())
    };
    let address = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let config =
        fs::read(path.join("config")).with_context(|| format!("read({address}/config)"))?;
    ensure!(
        config.len() > 0x0e,
        "{address}/config has {} bytes, too few",
        config.len()
    );
    let group = files::link_name(path.join("iommu_group")).map(|number| number.parse());
    let override_text = read_locked(path.join("driver_override"))?;
    Ok(Function {
        ids: format!(
            "{}:{}:{}:{}",
            hex("vendor")?,
            hex("device")?,
            hex("subsystem_vendor")?,
            hex("subsystem_device")?
        ),
        class: hex("class")?,
        header: config[0x0e] & 0x7f,
        group: group
            .transpose()
            .with_context(|| format!("{address}/iommu_group"))?,
        driver: files::link_name(path.join("driver")),
        driver_override: (override_text != "(null)").then_some(override_text),
        // Bridges have none, nor have old kernels.
        reset_method: files::read(path.join("reset_method")).ok(),
        d3cold_allowed: files::read(path.join("d3cold_allowed")).ok(),
        address,
    })
}
