//! The framebuffer that the firmware set up, on which the kernel writes its console.
//!
//! Its driver holds memory of a graphics function that it knows nothing of. vfio-pci takes that
//! memory from it when it probes, but not in old kernels (not in 5.10): there a virtual machine
//! could not map it.

use crate::bind::controls::DRIVER_LIMIT;
use crate::machine::boot_display::{IOMEM_LEN, lies_in};
use crate::machine::sysfs::{attribute, path};
use crate::machine::{Machine, Root};
use crate::pci::address::Address;
use crate::text::Plain;
use crate::text::errno::Answer;

/// The platform devices of such framebuffers (drivers/firmware/efi, drivers/firmware/sysfb.c).
static DEVICES: [&str; 3] = [
    "efi-framebuffer.0",
    "simple-framebuffer.0",
    "vesa-framebuffer.0",
];

/// Takes the firmware's framebuffer out of the memory of a function; gives its device.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn release(host: &impl Machine, address: Address) -> Option<&'static str> {
    if host.read(&attribute(address, "boot_vga"), &mut [0]) != Ok(b"1") {
        return None;
    }
    if !has_framebuffer(host, address) {
        return None;
    }
    for device in &DEVICES {
        let unbind = path(format_args!(
            "sys/bus/platform/devices/{}/driver/unbind",
            Plain(device)
        ));
        if !host.exists(&unbind) {
            continue;
        }
        match host.write_within(&unbind, device.as_bytes(), DRIVER_LIMIT) {
            Ok(()) => {
                warn!(
                    address;
                    "{address}: the firmware's framebuffer is released: the console goes dark \
                     until a driver brings another one"
                );
                return Some(device);
            }
            Err(errno) => error!(address; "{address}: write({unbind}): {}", Answer(errno)),
        }
    }
    None
}

/// Whether a function has a framebuffer in its memory.
#[inline(never)] // Inlined, it costs a stack of 64 KiB where there is no display.
fn has_framebuffer(root: &dyn Root, address: Address) -> bool {
    let mut iomem = [0; IOMEM_LEN];
    let Ok(iomem) = root.read("proc/iomem", &mut iomem) else {
        return false;
    };
    let found = lies_in(iomem, address);
    if !found && iomem.len() >= IOMEM_LEN {
        warn!(address; "{address}: no framebuffer in the first 64 KiB of /proc/iomem");
    }
    found
}

/// Gives the framebuffer back to its driver, for a function that nobody has taken.
pub(crate) fn give_back(host: &impl Machine, device: &str) {
    // Where it fails the console stays dark, as was told.
    let probe = "sys/bus/platform/drivers_probe";
    let _ = host.write_within(probe, device.as_bytes(), DRIVER_LIMIT);
}
