//! Names that only the machine can resolve -> places. Reads, and never writes.

use rustix::io::Errno;

use crate::machine::inventory::Inventory;
use crate::machine::sysfs::{attribute, path};
use crate::machine::{Root, way};
use crate::pci::address::{Address, Slot};
use crate::policy::Policy;
use crate::policy::problem::Problem;
use crate::policy::selector::{StableName, Target};
use crate::text::{Plain, Text};

/// Finds out which place each named selector means, where that is not known yet. A name that several devices
/// have means none.
pub fn resolve(policy: &mut Policy<'_>, root: &dyn Root, inventory: &Inventory) {
    for at in 0..policy.places().count() {
        let Some(selector) = policy.place_mut(at) else {
            continue;
        };
        let (text, excludes) = (selector.text, selector.excludes);
        let mut off = None;
        let mut several = false;
        if let Target::Named(name, slot) = &mut selector.target {
            let name = *name;
            let found = match *slot {
                Some(known) => Ok(Some(known)),
                None => find(&name, root, inventory),
            };
            match found {
                Ok(found) => {
                    *slot = found;
                    if let StableName::Slot(name) = name
                        && slot_file(root, name, "power", &mut [0; 2]) == Ok(b"0\n")
                    {
                        off = Some(name);
                    }
                }
                Err(Several) => several = true,
            }
        }
        if let Some(name) = off {
            policy.problem(Problem::SlotOff(name));
        }
        if several {
            policy.problem(Problem::Ambiguous(text, excludes));
        }
    }
}

/// More than one device has the name.
struct Several;

fn find(
    name: &StableName<'_>,
    root: &dyn Root,
    inventory: &Inventory,
) -> Result<Option<Slot>, Several> {
    let place = direct(name, root);
    if place.is_some() || matches!(name, StableName::Slot(_)) {
        return Ok(place);
    }
    // Every function of a device may have its serial number; all else names a single function.
    let whole = matches!(name, StableName::Serial(_));
    let mut found = None;
    for function in inventory.functions() {
        let address = function.address;
        let has_it = match name {
            StableName::Path(path) => way::is_by(path, root, address),
            StableName::Serial(number) => serial(root, address) == Some(*number),
            StableName::Label(label) => attribute_is(root, address, "label", label),
            StableName::Acpi(node) => attribute_is(root, address, "firmware_node/path", node),
            StableName::Slot(_) => false,
        };
        let place = Slot::from(address);
        let place = if whole { place.whole() } else { place };
        if has_it && found.replace(place).is_some_and(|other| other != place) {
            return Err(Several);
        }
    }
    Ok(found)
}

/// Where a name leads, if the machine tells that without a look at every function.
pub(crate) fn direct(name: &StableName<'_>, root: &dyn Root) -> Option<Slot> {
    match name {
        StableName::Path(path) => way::descend(path, root).map(Slot::from),
        StableName::Slot(name) => slot(root, name),
        _ => None,
    }
}

/// The device in a physical slot; none where the kernel knows only its bus, or no such slot.
fn slot(root: &dyn Root, name: &[u8]) -> Option<Slot> {
    let mut buffer = [0; 64];
    let text = slot_file(root, name, "address", &mut buffer).ok()?;
    Slot::parse(text.trim_ascii_end()).ok()
}

fn slot_file<'b>(
    root: &dyn Root,
    slot: &[u8],
    file: &str,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Errno> {
    let (slot, file) = (Text(slot), Plain(file));
    root.read(
        &path(format_args!("sys/bus/pci/slots/{slot}/{file}")),
        buffer,
    )
}

fn attribute_is(root: &dyn Root, address: Address, name: &str, wanted: &[u8]) -> bool {
    let mut buffer = [0; 256];
    let value = root.read(&attribute(address, name), &mut buffer);
    value.is_ok_and(|value| value.trim_ascii_end() == wanted)
}

/// The size of a PCIe function's configuration space, and where its extended part starts.
const CONFIG: usize = 4096;
const EXTENDED: usize = 256;
/// The extended capability with the Device Serial Number (PCI Express Base Specification, 7.9.3).
const SERIAL_NUMBER: u32 = 3;

/// The Device Serial Number of a function that has one.
#[inline(never)] // Inlined, it costs a stack of 4 KiB where nobody asks for one.
fn serial(root: &dyn Root, address: Address) -> Option<u64> {
    let mut buffer = [0; CONFIG];
    let config = root.read(&attribute(address, "config"), &mut buffer).ok()?;
    let word = |at: usize| {
        let bytes = config.get(at..at.checked_add(4)?)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    };
    let mut at = EXTENDED;
    // As many as there is room for, so that a list that runs in a circle comes to an end.
    for _ in 0..CONFIG.div_euclid(8) {
        let header = word(at)?;
        if header & 0xffff == SERIAL_NUMBER {
            let low = word(at.checked_add(4)?)?;
            let high = word(at.checked_add(8)?)?;
            return Some((u64::from(high) << 32) | u64::from(low));
        }
        // The upper twelve bits: where the next one is, a multiple of four.
        at = usize::try_from(header >> 20).ok()? & !3;
        if at < EXTENDED {
            return None;
        }
    }
    None
}
