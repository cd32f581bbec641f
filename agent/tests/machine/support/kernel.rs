//! The kernel of the machine: what it does when somebody writes, and when a driver comes.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use super::FakeMachine;
use rustix::io::Errno;

impl FakeMachine {
    /// A native driver that is there, and takes a function when the kernel is asked to probe it.
    pub fn expect_native(&self, address: &str, driver: &str) {
        self.register(driver);
        self.native
            .borrow_mut()
            .insert(address.to_owned(), driver.to_owned());
    }

    /// Somebody holds the device lock of a function until [`FakeMachine::let_go`].
    pub fn lock(&self, address: &str) {
        self.locked.borrow_mut().push(address.to_owned());
    }

    /// A native driver is loaded and takes its function, unless an override keeps it away.
    pub fn load_native(&self, address: &str, driver: &str) {
        self.expect_native(address, driver);
        self.probe(address);
    }

    /// A call that waits for `limit` for a device lock, which somebody takes just before it and keeps
    /// until [`FakeMachine::let_go`]; with empty data it reads.
    pub fn stick(&self, path: &str, data: &[u8], limit: Duration) -> Result<(), Errno> {
        let below = path.strip_prefix("sys/bus/pci/devices/");
        let address = match below.and_then(|rest| rest.split_once('/')) {
            Some((address, _)) => address.to_owned(),
            None => String::from_utf8(data.to_vec()).unwrap(),
        };
        if !self.device(&address).exists() {
            return Err(Errno::NOENT);
        }
        // The link goes before the driver is asked to let go (`__device_release_driver`).
        if path.ends_with("/unbind") {
            self.detach(&address);
        } else if !data.is_empty() {
            self.queue(path, data);
        }
        self.locked.borrow_mut().push(address);
        self.give_up(limit)
    }

    pub(super) fn queue(&self, path: &str, data: &[u8]) {
        let call = (path.to_owned(), data.to_owned());
        self.queued.borrow_mut().push(call);
    }

    /// Whether somebody has the device lock of a function.
    pub fn is_locked(&self, address: &str) -> bool {
        self.locked.borrow().iter().any(|locked| locked == address)
    }

    /// What a module does when it is loaded; gives its driver.
    pub(super) fn insert_module(&self, module: &str) -> String {
        let named = self.trouble.named.iter().find(|(name, _)| *name == module);
        let driver = named.map_or(module, |(_, driver)| driver).to_owned();
        let drivers = self
            .path("sys/module")
            .join(module.replace('-', "_"))
            .join("drivers");
        fs::create_dir_all(&drivers).unwrap();
        if !driver.is_empty() {
            self.register(&driver);
            let target = self.path("sys/bus/pci/drivers").join(&driver);
            let _ = symlink(target, drivers.join(format!("pci:{driver}")));
        }
        driver
    }

    pub(super) fn attach(&self, address: &str, driver: &str) {
        let target = self.path("sys/bus/pci/drivers").join(driver);
        symlink(&target, self.device(address).join("driver")).unwrap();
        symlink(self.device(address), target.join(address)).unwrap();
    }

    /// What `unbind` and the removal of a device do; false if it has no driver.
    pub(super) fn detach(&self, address: &str) -> bool {
        let driver = self.driver(address);
        if let Some(driver) = &driver {
            self.remove_virtual(address);
            let _ = fs::remove_file(self.device(address).join("driver"));
            let function = self.path("sys/bus/pci/drivers").join(driver).join(address);
            let _ = fs::remove_file(function);
        }
        driver.is_some()
    }

    pub(super) fn write(&self, path: &str, data: &[u8]) -> Result<(), Errno> {
        let short = path
            .trim_start_matches("sys/bus/pci/")
            .trim_start_matches("devices/");
        let text = String::from_utf8_lossy(data).escape_debug().to_string();
        self.events.borrow_mut().push(format!("{short} = {text}"));
        self.react(path, data)
    }

    /// How long was waited in vain.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }

    /// The stuck drivers return after all, and what waited for the device locks is done.
    pub fn let_go(&self) {
        self.locked.take();
        for (path, data) in self.queued.take() {
            // Nobody is there any more to hear the answer.
            let _ = self.react(&path, &data);
        }
    }

    /// Whether a call on this path, or with this address as its data, waits for a device lock.
    pub(super) fn waits(&self, path: &str, data: &[u8]) -> bool {
        let locked = self.locked.borrow();
        locked.iter().any(|address| {
            let locks = ["driver_override", "sriov_numvfs"];
            let mut files = locks.map(|file| format!("/{address}/{file}")).into_iter();
            data == address.as_bytes() || files.any(|file| path.contains(&file))
        })
    }

    /// Whether a driver is to let go of a function that it does not have, which it says at once.
    pub(super) fn asks_in_vain(&self, path: &str, data: &[u8]) -> bool {
        let by_driver = path.strip_prefix("sys/bus/pci/drivers/");
        by_driver
            .and_then(|rest| rest.strip_suffix("/unbind"))
            .is_some_and(|driver| {
                let address = String::from_utf8_lossy(data);
                self.driver(&address).as_deref() != Some(driver)
            })
    }

    /// What happens after `limit` of waiting.
    pub(super) fn give_up(&self, limit: Duration) -> Result<(), Errno> {
        self.waited.set(self.waited.get() + limit);
        Err(Errno::TIMEDOUT)
    }

    /// The kernel's device_attach: the override decides, or else the native driver if it is loaded.
    pub(super) fn probe(&self, address: &str) {
        if self.is_locked(address)
            || self.driver(address).is_some()
            || !self.device(address).exists()
            || !self.can_probe(address)
        {
            return;
        }
        if self.trouble.ids_first {
            self.take_by_id(address);
            if self.driver(address).is_some() {
                return;
            }
        }
        let wanted = match self.driver_override(address) {
            chosen if !chosen.is_empty() => Some(chosen),
            _ => {
                let native = self.native.borrow().get(address).cloned();
                native.filter(|driver| self.has_driver(driver))
            }
        };
        let Some(driver) = wanted else {
            self.take_by_id(address);
            return;
        };
        let registered = self.has_driver(&driver);
        // What has no driver is no port that it knows what to do with (`pcie_portdrv_probe`).
        let refused = driver == "pcieport"
            || driver.contains("vfio") && self.trouble.probe_refuses.iter().any(|a| a == address);
        if registered {
            self.make_group(address);
        }
        if registered && !refused {
            self.attach(address, &driver);
        }
    }

    /// vfio-pci's probe by its own list of IDs.
    pub(super) fn take_by_id(&self, address: &str) {
        let refused = self.trouble.probe_refuses.iter().any(|a| a == address);
        let handed = self.has_ids.get() && self.trouble.by_ids.iter().any(|a| a == address);
        let wanted = handed || self.has_new_id(address);
        let free = || self.driver(address).is_none() && self.driver_override(address).is_empty();
        if wanted && !refused && free() {
            self.make_group(address);
            self.attach(address, "vfio-pci");
        }
    }

    /// Whether vfio-pci was given the ID of a function later.
    pub(super) fn has_new_id(&self, address: &str) -> bool {
        let modalias =
            fs::read_to_string(self.device(address).join("modalias")).unwrap_or_default();
        let mut new_ids = self.new_ids.borrow().clone().into_iter();
        new_ids.any(|(vendor, id)| modalias.starts_with(&format!("pci:v{vendor:08X}d{id:08X}")))
    }

    /// What the kernel does before it asks a driver.
    pub(super) fn make_group(&self, address: &str) {
        if let Some(group) = self.late.borrow_mut().remove(address) {
            self.give_group(address, group);
        }
    }

    fn react(&self, path: &str, data: &[u8]) -> Result<(), Errno> {
        let text = String::from_utf8(data.to_vec()).unwrap();
        if let Some((_, errno)) = self
            .trouble
            .writes
            .iter()
            .find(|(end, _)| path.ends_with(end.as_str()))
        {
            return Err(*errno);
        }
        if path == "sys/bus/pci/drivers_probe" {
            let there = self.device(&text).exists();
            self.probe(&text);
            return if there { Ok(()) } else { Err(Errno::NODEV) };
        }
        if path == "sys/bus/pci/drivers/vfio-pci/new_id" {
            let mut fields = text
                .split(' ')
                .map(|field| u32::from_str_radix(field, 16).unwrap());
            let id = (fields.next().unwrap(), fields.next().unwrap());
            assert_eq!(fields.count(), 4, "{text}");
            let known = self.new_ids.borrow().contains(&id);
            self.new_ids.borrow_mut().push(id);
            return if known { Err(Errno::EXIST) } else { Ok(()) };
        }
        if path == "sys/bus/pci/drivers/vfio-pci/remove_id" {
            let mut fields = text
                .split(' ')
                .map(|field| u32::from_str_radix(field, 16).unwrap());
            let id = (fields.next().unwrap(), fields.next().unwrap());
            let place = self.new_ids.borrow().iter().position(|one| *one == id);
            let place = place.ok_or(Errno::NODEV)?;
            self.new_ids.borrow_mut().remove(place);
            return Ok(());
        }
        if path.starts_with("sys/bus/platform/devices/") {
            assert_eq!(self.path(path), self.framebuffer(&text));
            fs::remove_file(self.path(path)).unwrap();
            return Ok(());
        }
        if path == "sys/bus/platform/drivers_probe" {
            self.give_framebuffer(&text);
            return Ok(());
        }
        if self.asks_in_vain(path, data) {
            return Err(Errno::NODEV);
        }
        let driver = path.strip_prefix("sys/bus/pci/drivers/");
        if let Some(driver) = driver.and_then(|rest| rest.strip_suffix("/bind")) {
            let suits = self
                .native
                .borrow()
                .get(&text)
                .is_some_and(|one| one == driver);
            if !suits || self.driver(&text).is_some() {
                return Err(Errno::NODEV);
            }
            self.attach(&text, driver);
            return Ok(());
        }
        if path.starts_with("sys/bus/pci/drivers/") {
            return self.react(&format!("sys/bus/pci/devices/{text}/driver/unbind"), data);
        }
        let (address, file) = path
            .strip_prefix("sys/bus/pci/devices/")
            .and_then(|rest| rest.split_once('/'))
            .unwrap_or_else(|| panic!("nobody may write to {path}"));
        if self.trouble.vanishing.iter().any(|a| a == address) {
            self.remove(address);
        }
        if !self.device(address).exists() {
            return Err(Errno::NOENT);
        }
        match file {
            "driver_override" => {
                let value = text.trim_end();
                let shown = if value.is_empty() { "(null)" } else { value };
                fs::write(self.device(address).join(file), format!("{shown}\n")).unwrap();
                Ok(())
            }
            // The link goes before the driver is asked to let go (`__device_release_driver`).
            "driver/unbind" => {
                if self.trouble.stuck.iter().any(|a| a == address) {
                    self.locked.borrow_mut().push(address.to_owned());
                }
                let is_first = !self.trouble.unbound_first.iter().any(|a| a == address);
                match (self.detach(address), is_first) {
                    (true, true) => Ok(()),
                    (true, false) => Err(Errno::NODEV),
                    (false, _) => Err(Errno::NOENT),
                }
            }
            _ if file.starts_with("sriov_") => self.set_virtual(address, file, &text),
            _ => self.set_attribute(address, file, &text),
        }
    }
}
