//! PCI functions as a guest's sysfs shows them.

use serde::{Deserialize, Serialize};

/// Every PCI function at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken, in the words of the orders.
    pub label: String,
    /// `/sys/kernel/uevent_seqnum`: it grows with every bind, unbind and module load.
    pub uevents: u64,
    /// Sorted by address.
    pub functions: Vec<Function>,
}

/// Stands for what the kernel shows under the device lock, where something holds that.
pub const LOCKED: &str = "(the device lock is held)";

/// One PCI function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// `0000:42:00.0`.
    pub address: String,
    /// `1234:1111:1af4:1100`: vendor, device, subsystem vendor and device.
    pub ids: String,
    /// `038000`: base class, subclass and interface.
    pub class: String,
    /// The layout in the configuration header: 0 for an endpoint.
    pub header: u8,
    /// The IOMMU group, where there is one.
    pub group: Option<u32>,
    /// The driver that it is bound to.
    pub driver: Option<String>,
    /// The only driver that may bind to it, where one is set; [`LOCKED`] where that cannot be told.
    pub driver_override: Option<String>,
    /// The ways in which it can be reset, in the order in which they are tried; none where the kernel does
    /// not tell.
    pub reset_method: Option<String>,
    /// Whether it may lose its power.
    pub d3cold_allowed: Option<String>,
}

impl Function {
    /// Whether VFIO can take it at all: bridges it cannot.
    #[must_use]
    pub fn is_endpoint(&self) -> bool {
        self.header == 0
    }
}

impl Snapshot {
    /// The function at `address`.
    #[must_use]
    pub fn function(&self, address: &str) -> Option<&Function> {
        self.functions
            .iter()
            .find(|function| function.address == address)
    }

    /// What `later` shows otherwise, a line per difference. Uevents are not compared.
    #[must_use]
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for before in &self.functions {
            match later.function(&before.address) {
                None => lines.push(format!("{} is gone", before.address)),
                Some(after) if after != before => {
                    let changes = [
                        ("driver", &before.driver, &after.driver),
                        ("override", &before.driver_override, &after.driver_override),
                        ("reset_method", &before.reset_method, &after.reset_method),
                        (
                            "d3cold_allowed",
                            &before.d3cold_allowed,
                            &after.d3cold_allowed,
                        ),
                    ];
                    let changes: Vec<_> = changes
                        .iter()
                        .filter(|(_, was, is)| was != is)
                        .map(|(what, was, is)| format!("{what} {} -> {}", name(was), name(is)))
                        .collect();
                    lines.push(format!("{}: {}", before.address, changes.join(", ")));
                }
                Some(_) => {}
            }
        }
        let new = later
            .functions
            .iter()
            .filter(|f| self.function(&f.address).is_none());
        lines.extend(new.map(|function| format!("{} is new", function.address)));
        lines
    }
}

/// A driver's name or another value, or a word for none.
#[must_use]
pub fn name(driver: &Option<String>) -> &str {
    driver.as_deref().unwrap_or("none")
}
