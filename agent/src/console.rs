//! The framebuffer that the firmware set up, on which the kernel writes its console.
//!
//! Its driver holds memory of a graphics function that it knows nothing of. vfio-pci takes that
//! memory from it when it probes, but not in old kernels (not in 5.10): there a virtual machine
//! could not map it.
//!
//! Only `/proc/iomem` tells in every kernel whose memory the framebuffer lies in: the platform
//! device has no resources in some, and `boot_vga` alone may also be a guess of the kernel.

use rustix::io::Errno;

use crate::address::Address;
use crate::controls::DRIVER_LIMIT;
use crate::errno::Answer;
use crate::function::Inventory;
use crate::host::{Host, Root, attribute, path};
use crate::misread::split;
use crate::text::{Name, Plain, clip};

/// The platform devices of such framebuffers (drivers/firmware/efi, drivers/firmware/sysfb.c).
static DEVICES: [&str; 3] = [
    "efi-framebuffer.0",
    "simple-framebuffer.0",
    "vesa-framebuffer.0",
];

/// How `/proc/iomem` ends the line of a framebuffer's memory.
const HOLDERS: [&[u8]; 5] = [b"fb", b"FB", b"simpledrm", b"efidrm", b"vesadrm"];

/// The most of `/proc/iomem` that is read: more than a thousand lines.
const IOMEM_LEN: usize = 64 * 1024;

/// Finds the displays that the machine boots on: the kernel's choice (`boot_vga`), and whatever has the
/// firmware's framebuffer in its memory. One that may be it is it: that decides what is left alone.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn find_boot_displays(root: &dyn Root, inventory: &mut Inventory) {
    let mut others = false;
    for function in inventory.functions_mut() {
        if function.id.is_display() {
            let mut value = [0];
            function.boot_display =
                match root.read(&attribute(function.address, "boot_vga"), &mut value) {
                    Ok(value) => value == b"1",
                    // Only VGA devices have it.
                    Err(Errno::NOENT | Errno::NODEV) => false,
                    Err(_) => true,
                };
            others |= !function.boot_display;
        }
    }
    if !others {
        return;
    }
    let mut iomem = [0; IOMEM_LEN];
    // In a captured tree there may be none.
    let iomem = root.read("proc/iomem", &mut iomem).unwrap_or_default();
    if iomem.len() >= IOMEM_LEN {
        warn!("only the first 64 KiB of /proc/iomem are searched for the firmware's framebuffer");
    }
    for function in inventory.functions_mut() {
        let shows = function.id.is_display() && lies_in(iomem, function.address);
        function.boot_display |= shows;
    }
}

/// Takes the firmware's framebuffer out of the memory of a function; gives its device.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn release(host: &impl Host, address: Address) -> Option<&'static str> {
    if host.read(&attribute(address, "boot_vga"), &mut [0]) != Ok(b"1") {
        return None;
    }
    let mut iomem = [0; IOMEM_LEN];
    let iomem = host.read("proc/iomem", &mut iomem).ok()?;
    if !lies_in(iomem, address) {
        if iomem.len() >= IOMEM_LEN {
            warn!("{address}: no framebuffer in the first 64 KiB of /proc/iomem");
        }
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
                    "{address}: the firmware's framebuffer is released: the console goes dark \
                     until a driver brings another one"
                );
                return Some(device);
            }
            Err(errno) => error!("{address}: write({unbind}): {}", Answer(errno)),
        }
    }
    None
}

/// Gives the framebuffer back to its driver, for a function that nobody has taken.
pub(crate) fn give_back(host: &impl Host, device: &str) {
    // Where it fails the console stays dark, as was told.
    let probe = "sys/bus/platform/drivers_probe";
    let _ = host.write_within(probe, device.as_bytes(), DRIVER_LIMIT);
}

/// Whether `/proc/iomem` has a framebuffer inside the memory of a function: further in than its
/// line, and below it.
fn lies_in(iomem: &[u8], address: Address) -> bool {
    let function: Name = clip(format_args!(" : {address}"));
    let mut outer = usize::MAX;
    for line in split(iomem, b'\n') {
        let depth = line.iter().position(|byte| *byte != b' ').unwrap_or(0);
        if depth > outer {
            if HOLDERS.iter().any(|holder| line.ends_with(holder)) {
                return true;
            }
        } else if line.ends_with(function.as_bytes()) {
            outer = depth;
        } else {
            outer = usize::MAX;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framebuffer_is_found_only_in_the_memory_of_its_function() {
        let gpu = Address::parse(b"0000:42:00.0").unwrap();
        for (iomem, found) in [
            (" c0-c1 : 0000:42:00.0\n  c0-c0 : efifb\n", true),
            (
                " c0-c1 : 0000:42:00.0\n  c0-c0 : BOOTFB\n   c0-c0 : simplefb\n",
                true,
            ),
            (" c0-c1 : 0000:42:00.0\n  c0-c0 : BOOTFB", true),
            (" c0-c1 : 0000:42:00.0\n c2-c2 : efifb\n", false),
            (" c0-c1 : 0000:42:00.0\n  c0-c0 : bochs-drm\n", false),
            (" c0-c1 : 0000:42:00.1\n  c0-c0 : efifb\n", false),
            (
                " c0-c1 : 0000:42:00.0\n c2-c3 : 0000:43:00.0\n  c2-c2 : efifb\n",
                false,
            ),
            (
                " c0-c1 : 0000:42:00.0\n c2-c3 : 0000:42:00.0\n  c2-c2 : efifb\n",
                true,
            ),
            ("", false),
        ] {
            assert_eq!(lies_in(iomem.as_bytes(), gpu), found, "{iomem}");
        }
    }
}
