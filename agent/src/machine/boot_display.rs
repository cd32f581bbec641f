//! The displays that the machine boots on.
//!
//! Only `/proc/iomem` tells in every kernel whose memory the firmware's framebuffer lies in: the platform
//! device has no resources in some, and `boot_vga` alone may also be a guess of the kernel.

use rustix::io::Errno;

use crate::machine::Root;
use crate::machine::inventory::Inventory;
use crate::machine::sysfs::attribute;
use crate::pci::address::Address;
use crate::text::misread::split;
use crate::text::{DriverName, Plain, clip};

/// How `/proc/iomem` ends the line of a framebuffer's memory.
const HOLDERS: [&[u8]; 5] = [b"fb", b"FB", b"simpledrm", b"efidrm", b"vesadrm"];

/// The most of `/proc/iomem` that is read: more than a thousand lines.
pub(crate) const IOMEM_LEN: usize = 64 * 1024;

/// Finds the displays that the machine boots on: the kernel's choice (`boot_vga`), and whatever has the
/// firmware's framebuffer in its memory. One that may be it is it: that decides what is left alone.
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
    if others {
        find_framebuffers(root, inventory);
    }
}

/// Finds those of a framebuffer.
#[inline(never)] // Inlined, it costs a stack of 64 KiB where there is no display.
fn find_framebuffers(root: &dyn Root, inventory: &mut Inventory) {
    let mut iomem = [0; IOMEM_LEN];
    // In a captured tree there may be none.
    let iomem = root.read("proc/iomem", &mut iomem).unwrap_or_default();
    if iomem.len() >= IOMEM_LEN {
        warn!(
            Plain("/proc/iomem");
            "only the first 64 KiB of /proc/iomem are searched for the firmware's framebuffer"
        );
    }
    for function in inventory.functions_mut() {
        let shows = function.id.is_display() && lies_in(iomem, function.address);
        function.boot_display |= shows;
    }
}

/// Whether `/proc/iomem` has a framebuffer inside the memory of a function: further in than its
/// line, and below it.
pub(crate) fn lies_in(iomem: &[u8], address: Address) -> bool {
    let function: DriverName = clip(format_args!(" : {address}"));
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
