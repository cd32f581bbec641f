//! What is to be known of functions whatever they are exported to.

use super::device::Lot;

/// A sentence for each function that is not on a driver of VFIO's, and for each that its group would want.
#[must_use]
pub fn notes(lot: Lot<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for device in lot.devices {
        let address = device.address;
        match device.driver.as_deref() {
            _ if device.is_lent() => {}
            Some(driver) => notes.push(format!(
                "{address} is not on a vfio driver: {driver} has it; `vfio-bind bind {address}` takes it now"
            )),
            None => notes.push(format!(
                "{address} is not on a vfio driver: it has none; `vfio-bind bind {address}` takes it now"
            )),
        }
        if device.group.is_none() {
            notes.push(format!(
                "{address} has no IOMMU group, and cannot be lent before it has one"
            ));
        }
    }
    let exported = |group| lot.devices.iter().any(|device| device.group == Some(group));
    for other in lot
        .machine
        .iter()
        .filter(|other| !other.chosen && !other.bridge)
    {
        let Some(group) = other.group.filter(|group| exported(*group)) else {
            continue;
        };
        let address = other.address;
        notes.push(match other.driver.as_deref() {
            Some(_) if other.is_lent() => format!(
                "{address} is in the same IOMMU group ({group}) and is not exported: no other guest can have it \
                 meanwhile"
            ),
            Some("pci-stub") | None => continue,
            Some(driver) => format!(
                "{address} is in the same IOMMU group ({group}) and {driver} has it: no guest gets any of the group \
                 before it is bound as well"
            ),
        });
    }
    notes
}
