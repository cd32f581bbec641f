//! What comes into a machine that runs, and what leaves it: functions and drivers.

use std::fs;

use super::{Card, FakeMachine};

impl FakeMachine {
    /// A function is plugged in behind `bridges`: the kernel asks the drivers that are there, of which `native`
    /// is the function's own.
    pub fn plug(&self, card: &Card, native: &str, bridges: &str) {
        let late = card.group.filter(|_| self.makes_late.get());
        let group = card.group.filter(|_| late.is_none());
        let bare = Card {
            driver: None,
            group,
            ..card.clone()
        };
        self.insert(&bare);
        self.put_behind(&card.address, bridges);
        self.know_native(&card.address, native);
        if let Some(group) = late {
            self.late.borrow_mut().insert(card.address.clone(), group);
        }
        if self.has_new_id(&card.address) {
            self.take_by_id(&card.address);
        }
        self.probe(&card.address);
    }

    /// What would take a function if it were loaded.
    pub fn know_native(&self, address: &str, driver: &str) {
        let mut native = self.native.borrow_mut();
        native.insert(address.to_owned(), driver.to_owned());
    }

    /// A port gets its driver, which is a part of the kernel.
    pub fn take_port(&self, address: &str) {
        if self.driver(address).is_none() {
            self.make_group(address);
            self.attach(address, "pcieport");
        }
    }

    /// Whether the native driver of a function is loaded.
    pub fn has_native(&self, address: &str) -> bool {
        let native = self.native.borrow();
        native
            .get(address)
            .is_some_and(|driver| self.has_driver(driver))
    }

    /// The IOMMU group that the kernel shows.
    pub fn group(&self, address: &str) -> Option<String> {
        let target = fs::read_link(self.device(address).join("iommu_group")).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// Whether a driver is registered.
    pub fn has_driver(&self, driver: &str) -> bool {
        self.path("sys/bus/pci/drivers").join(driver).exists()
    }

    /// A native driver is loaded, and takes what is its own.
    pub fn load_driver(&self, driver: &str) {
        self.register(driver);
        for address in self.addresses() {
            let own = self
                .native
                .borrow()
                .get(&address)
                .is_some_and(|native| native == driver);
            let asked = match self.driver_override(&address) {
                chosen if chosen.is_empty() => own,
                chosen => chosen == driver,
            };
            if asked {
                self.probe(&address);
            }
        }
    }

    /// A driver is unloaded, and leaves what it has to nobody.
    pub fn unload_driver(&self, driver: &str) {
        for address in self.addresses() {
            if self.driver(&address).as_deref() == Some(driver) {
                self.detach(&address);
            }
        }
        let _ = fs::remove_dir_all(self.path("sys/bus/pci/drivers").join(driver));
        let module = driver.replace('-', "_");
        let _ = fs::remove_dir_all(self.path("sys/module").join(module));
        if driver == "vfio-pci" {
            self.has_ids.set(false);
            self.new_ids.take();
        }
    }
}
