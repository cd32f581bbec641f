//! crosvm: `--vfio` (the book of the project, "PCI Passthrough").

use super::device::Lot;
use super::guest::slots;
use super::text::Exported;

/// The first slot of the guest's bus 0 that functions of one device get together.
const FIRST_SLOT: u8 = 0x10;
const LAST_SLOT: u8 = 0x1f;

pub(super) fn export(lot: Lot<'_>) -> Result<Exported, String> {
    let mut words = Vec::new();
    let mut place = FIRST_SLOT;
    for slot in slots(lot.devices) {
        for (number, device) in &slot.functions {
            let guest = if slot.is_shared() {
                format!(",guest-address=00:{place:02x}.{number}")
            } else {
                String::new()
            };
            words.push(format!("--vfio {}{guest}", device.path()));
        }
        if slot.is_shared() {
            place = place.saturating_add(1);
            if place > LAST_SLOT {
                return Err(
                    "bus 0 of the guest has no more slots; export fewer devices at a time"
                        .to_owned(),
                );
            }
        }
    }
    Ok(Exported::of(words.join(" ") + "\n"))
}
