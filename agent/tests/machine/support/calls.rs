//! The calls of the agent, answered by the directory and its kernel.

use std::fs;
use std::time::Duration;

use super::FakeMachine;
use rustix::io::Errno;
use vfio_bind_agent::machine::{Controls, LoadError, Loading, Machine, Root, SHOWN_MOST};

impl Root for FakeMachine {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        // driver_override_show takes the device lock.
        assert!(!self.waits(path, b""), "read({path}) never returns");
        self.tree.read_at(path, offset, buffer)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.tree.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        self.tree.exists(path)
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        self.tree.list(path, each)
    }
}

impl Controls for FakeMachine {
    fn write_within(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno> {
        if self.waits(path, data) && !self.asks_in_vain(path, data) {
            self.queue(path, data);
            return self.give_up(limit);
        }
        let answer = self.write(path, data);
        // Only now the driver that was to let go holds its lock.
        let stuck = path.ends_with("driver/unbind") && self.waits("", data);
        if stuck { self.give_up(limit) } else { answer }
    }

    fn read_within<'b>(
        &self,
        path: &str,
        buffer: &'b mut [u8; SHOWN_MOST],
        limit: Duration,
    ) -> Result<&'b [u8], Errno> {
        if self.waits(path, b"") {
            self.give_up(limit)?;
        }
        self.tree.read(path, buffer)
    }
}

impl Machine for FakeMachine {
    fn is_late(&self) -> bool {
        self.trouble
            .time
            .is_some_and(|time| self.waited.get() >= time)
    }

    fn load_module(&self, name: &str, how: Loading) -> Result<(), LoadError> {
        let words: Vec<_> = how.arguments(name).collect();
        self.events
            .borrow_mut()
            .push(format!("modprobe {}", words.join(" ")));
        if self.trouble.no_modprobe {
            return Err(LoadError::NoModprobe);
        }
        if self.trouble.no_module || self.trouble.missing.contains(&name) {
            return Err(LoadError::Status(1));
        }
        if name == "virtio_iommu" {
            // Its name there is that of the PCI function (`viommu_probe`).
            let _ = fs::create_dir(self.path("sys/class/iommu/0000:00:07.0"));
            for (address, group) in self.idle.take() {
                self.give_group(&address, group);
            }
            return Ok(());
        }
        let driver = self.insert_module(name);
        if name == "vfio-pci" {
            let given = !how.no_ids || self.trouble.deaf_to_options;
            self.has_ids.set(given);
        }
        for address in self.addresses() {
            if self.driver_override(&address) == driver {
                self.probe(&address);
            } else if name == "vfio-pci" {
                self.take_by_id(&address);
            }
        }
        if self.trouble.slow_modprobe {
            return Err(LoadError::TimedOut);
        }
        Ok(())
    }

    fn group_viable(&self, group: u32) -> Result<bool, Errno> {
        let harmless =
            |driver: &str| driver.contains("vfio") || ["pci-stub", "pcieport"].contains(&driver);
        let link = format!("/{group}");
        let member = |address: &String| {
            let target = fs::read_link(self.device(address).join("iommu_group"));
            target.is_ok_and(|target| target.to_string_lossy().ends_with(&link))
        };
        let members = self.addresses().into_iter().filter(member);
        let usable = members
            .filter_map(|address| self.driver(&address))
            .all(|driver| harmless(&driver));
        Ok(usable && !self.trouble.not_viable.contains(&group))
    }
}
