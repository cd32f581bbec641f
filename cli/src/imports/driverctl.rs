//! driverctl's overrides: a file `BUS-DEVICE` in /etc/driverctl.d with the name of a driver (driverctl 0.111, its
//! script and its rule of udev).

use std::path::Path;

use anyhow::Result;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::text::contains;

use super::line::{Line, Manager, Takes};
use crate::preview::known::read;
use crate::storage::block::{entries, name};

/// The overrides of the system at `root` for vfio drivers.
///
/// # Errors
/// Where a file is there and cannot be read.
pub fn lines(root: &Path) -> Result<Vec<Line>> {
    let mut found = Vec::new();
    for path in entries(&root.join("etc/driverctl.d")) {
        let own = name(&path);
        let Some(device) = own.strip_prefix("pci-") else {
            continue;
        };
        let text = read(&path)?.unwrap_or_default();
        let driver = String::from_utf8_lossy(&text).trim().to_owned();
        if !contains(driver.as_bytes(), b"vfio") {
            continue;
        }
        let takes = match Address::parse(device.as_bytes()) {
            Some(address) => Takes::Place(address.to_string(), None),
            None => Takes::Unclear(format!("{device} is no address of a function")),
        };
        let extra = match driver.as_str() {
            "vfio-pci" => String::new(),
            other => format!(
                "; add vfio.driver={other} where vfio.driver=auto does not find that driver"
            ),
        };
        found.push(Line {
            manager: Manager::Driverctl,
            file: format!("/etc/driverctl.d/{own}"),
            line: 1,
            text: driver,
            takes,
            by_hand: format!(
                "it acts when udev finds the device, after native drivers, and takes the address whatever sits \
                 there; once the words are set, remove the file{extra} (`driverctl unset-override` would take the \
                 device from its driver at once)"
            ),
        });
    }
    Ok(found)
}
