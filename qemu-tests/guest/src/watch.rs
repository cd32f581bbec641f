//! Who writes what into the PCI part of sysfs, as inotify tells it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::files;
use crate::pci::DEVICES;

/// The files of a function that change something.
const FUNCTION_FILES: [&str; 7] = [
    "driver_override",
    "enable",
    "remove",
    "rescan",
    "reset",
    "sriov_numvfs",
    "sriov_drivers_autoprobe",
];
/// The files of a driver that change something.
const DRIVER_FILES: [&str; 4] = ["bind", "unbind", "new_id", "remove_id"];
/// The files of the bus that change something.
const BUS_FILES: [&str; 3] = ["drivers_probe", "drivers_autoprobe", "rescan"];

/// A watch over every function, every driver there is now, and the bus itself.
pub(crate) struct Watch {
    inotify: Inotify,
    names: HashMap<WatchDescriptor, String>,
}

impl Watch {
    /// Starts to watch.
    pub(crate) fn start() -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK).context("inotify_init")?;
        let mut watch = Self {
            inotify,
            names: HashMap::new(),
        };
        for function in files::list(DEVICES)? {
            watch.add_all("", &function, &FUNCTION_FILES)?;
        }
        for driver in files::list("/sys/bus/pci/drivers")? {
            watch.add_all("drivers/", &driver, &DRIVER_FILES)?;
        }
        watch.add_all("", Path::new("/sys/bus/pci"), &BUS_FILES)?;
        Ok(watch)
    }

    /// Adds those of `files` that `directory` has.
    fn add_all(&mut self, prefix: &str, directory: &Path, files: &[&str]) -> Result<()> {
        let owner = directory.file_name().unwrap_or_default().to_string_lossy();
        for file in files {
            let path = directory.join(file);
            if path.exists() {
                let watch = self
                    .inotify
                    .add_watch(&path, AddWatchFlags::IN_MODIFY)
                    .with_context(|| format!("inotify_add_watch({})", path.display()))?;
                self.names.insert(watch, format!("{prefix}{owner}/{file}"));
            }
        }
        Ok(())
    }

    /// Ends the watch: the files that were written, in order. The kernel merges equal neighbours.
    pub(crate) fn finish(self) -> Result<Vec<String>> {
        let mut writes = Vec::new();
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    let names = events.iter().filter_map(|event| self.names.get(&event.wd));
                    writes.extend(names.cloned());
                }
                Err(Errno::EAGAIN) => return Ok(writes),
                Err(error) => return Err(error).context("read(inotify)"),
            }
        }
    }
}
