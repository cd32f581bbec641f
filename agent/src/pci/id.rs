//! What a PCI function is: its IDs, its class, and patterns over both.

use core::fmt;

use crate::text::digits::hex;
use crate::text::{Hex, Plain};

/// The fields of a modalias, with the letters before each and its number of digits.
const FORM: [(&str, u8); 7] = [
    ("pci:v", 8),
    ("d", 8),
    ("sv", 8),
    ("sd", 8),
    ("bc", 2),
    ("sc", 2),
    ("i", 2),
];

/// The IDs and the class of one function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeviceId {
    /// Vendor ID; 16 bits in hardware.
    pub vendor: u32,
    /// Device ID.
    pub device: u32,
    /// Subsystem vendor ID, 0 where the function has none.
    pub subvendor: u32,
    /// Subsystem ID.
    pub subdevice: u32,
    /// Class, subclass and programming interface, 24 bits.
    pub class: u32,
}

impl DeviceId {
    /// Reads sysfs's `modalias`, which holds all of it in one read.
    ///
    /// The form is `pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02x` (`modalias_show` in
    /// drivers/pci/pci-sysfs.c).
    #[must_use]
    pub fn from_modalias(modalias: &[u8]) -> Option<Self> {
        let mut rest = modalias;
        let mut fields = [0; FORM.len()];
        for (field, (key, digits)) in fields.iter_mut().zip(FORM) {
            let number;
            (number, rest) = rest
                .strip_prefix(key.as_bytes())?
                .split_at_checked(digits.into())?;
            *field = hex(number, digits.into(), digits.into())?;
        }
        let [vendor, device, subvendor, subdevice, base, sub, interface] = fields;
        Some(Self {
            vendor,
            device,
            subvendor,
            subdevice,
            class: (base << 16) | (sub << 8) | interface,
        })
    }

    /// Shows it in the form of sysfs's `modalias`, all in small letters.
    pub fn modalias(&self) -> impl fmt::Display {
        let class = self.class;
        let fields = [
            self.vendor,
            self.device,
            self.subvendor,
            self.subdevice,
            class >> 16,
            (class >> 8) & 0xff,
            class & 0xff,
        ];
        fmt::from_fn(move |f| {
            for (number, (key, digits)) in fields.into_iter().zip(FORM) {
                write!(f, "{}{}", Plain(key), Hex(number, digits))?;
            }
            Ok(())
        })
    }

    /// Base class and subclass, such as `0300` for a VGA controller.
    #[must_use]
    pub fn subclass(&self) -> u32 {
        self.class >> 8
    }

    /// Whether the function belongs to the machine itself rather than to a device one can lend.
    ///
    /// Machine bridge 0600, ISA bridge 0601, memory controllers 05xx, SMBus 0c05, IOMMU 0806
    /// (PCI Code and ID Assignment Specification; drivers/../include/linux/pci_ids.h).
    #[must_use]
    pub fn is_system(&self) -> bool {
        matches!(self.subclass(), 0x0600 | 0x0601 | 0x0c05 | 0x0806) || self.class >> 16 == 0x05
    }

    /// Whether it is an Intel VMD controller: vmd makes a PCI domain of what is behind it
    /// (`vmd_ids` in drivers/pci/controller/vmd.c, 5.10 to 7.2).
    #[must_use]
    pub fn is_vmd(&self) -> bool {
        let model = matches!(
            self.device,
            0x201d | 0x28c0 | 0x467f | 0x4c3d | 0x7d0b | 0x9a0b | 0xa77f | 0xad0b | 0xb06f | 0xb60b
        );
        self.vendor == 0x8086 && model
    }

    /// Whether it may show a console: base class 03, or a VGA device older than the classes (0001).
    #[must_use]
    pub fn is_display(&self) -> bool {
        self.class >> 16 == 0x03 || self.subclass() == 0x0001
    }

    /// Whether the system may boot from it: base class 01, mass storage.
    #[must_use]
    pub fn stores(&self) -> bool {
        self.class >> 16 == 0x01
    }

    /// Whether a root file system may be behind it: storage, a USB or SD host controller, or what virtual
    /// machines share folders through (QEMU's 9p has that class).
    #[must_use]
    pub fn may_carry_root(&self) -> bool {
        self.stores() || matches!(self.subclass(), 0x0c03 | 0x0805 | 0x0002)
    }

    /// Whether it is a NIC: base class 02.
    #[must_use]
    pub fn is_network(&self) -> bool {
        self.class >> 16 == 0x02
    }

    /// A word or two for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match (self.class >> 16, self.subclass() & 0xff) {
            (0x01, 0x06) => "SATA",
            (0x01, 0x08) => "NVMe",
            (0x01, _) => "storage",
            (0x02, _) => "network",
            (0x03, _) => "display",
            (0x04, _) => "audio/video",
            (0x05, _) => "memory",
            (0x06, 0x00) => "host bridge",
            (0x06, 0x01) => "ISA bridge",
            (0x06, _) => "bridge",
            (0x07, _) => "serial",
            (0x08, 0x06) => "IOMMU",
            (0x08, _) => "system",
            (0x0c, 0x03) => "USB",
            (0x0c, 0x05) => "SMBus",
            (0x0c, _) => "serial bus",
            (0x0d, _) => "wireless",
            (0x10, _) => "encryption",
            (0x12, _) => "accelerator",
            _ => "other",
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Hex(self.vendor, 4), Hex(self.device, 4))
    }
}

/// The kernel's wildcard, `PCI_ANY_ID`.
pub const ANY: u32 = u32::MAX;

/// A pattern over [`DeviceId`]: the six numbers of the kernel's `struct pci_device_id`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdPattern {
    /// Vendor ID or [`ANY`].
    pub vendor: u32,
    /// Device ID or [`ANY`].
    pub device: u32,
    /// Subsystem vendor ID or [`ANY`].
    pub subvendor: u32,
    /// Subsystem ID or [`ANY`].
    pub subdevice: u32,
    /// Class bits, compared under `class_mask`.
    pub class: u32,
    /// Which bits of the class count; 0 means that the class does not matter.
    pub class_mask: u32,
}

impl Default for IdPattern {
    fn default() -> Self {
        Self {
            vendor: ANY,
            device: ANY,
            subvendor: ANY,
            subdevice: ANY,
            class: 0,
            class_mask: 0,
        }
    }
}

impl IdPattern {
    /// The six numbers, in the order in which the kernel's `new_id` takes them.
    #[must_use]
    pub fn numbers(&self) -> [u32; 6] {
        let Self {
            vendor,
            device,
            subvendor,
            subdevice,
            class,
            class_mask,
        } = *self;
        [vendor, device, subvendor, subdevice, class, class_mask]
    }

    /// The kernel's own comparison, `pci_match_one_device` in drivers/pci/pci.h.
    #[must_use]
    pub fn matches(&self, id: &DeviceId) -> bool {
        let same = |pattern: u32, value: u32| pattern == ANY || pattern == value;
        same(self.vendor, id.vendor)
            && same(self.device, id.device)
            && same(self.subvendor, id.subvendor)
            && same(self.subdevice, id.subdevice)
            && (self.class ^ id.class) & self.class_mask == 0
    }

    /// Whether it names one model: neither vendor nor device is a wildcard.
    #[must_use]
    pub fn names_a_model(&self) -> bool {
        self.vendor != ANY && self.device != ANY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VGA: DeviceId = DeviceId {
        vendor: 0x1234,
        device: 0x1111,
        subvendor: 0x1af4,
        subdevice: 0x1100,
        class: 0x03_0000,
    };

    #[test]
    fn one_read_of_modalias_holds_everything() {
        let line = b"pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00\n";
        assert_eq!(DeviceId::from_modalias(line), Some(VGA));
        for broken in [
            &b""[..],
            b"pci:v1234",
            b"usb:v00001234",
            b"pci:v00001234d0000111",
        ] {
            assert_eq!(DeviceId::from_modalias(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_pattern_compares_as_the_kernel_does() {
        let any = IdPattern::default();
        for (pattern, hit, why) in [
            (any, true, "wildcards"),
            (
                IdPattern {
                    vendor: 0x1234,
                    device: 0x1111,
                    ..any
                },
                true,
                "vendor and device",
            ),
            (
                IdPattern {
                    vendor: 0x1234,
                    device: 0x1112,
                    ..any
                },
                false,
                "other device",
            ),
            (
                IdPattern {
                    vendor: 0x11234,
                    ..any
                },
                false,
                "bits above the 16 never match",
            ),
            (
                IdPattern {
                    subvendor: 0x1af4,
                    ..any
                },
                true,
                "subvendor",
            ),
            (
                IdPattern {
                    subdevice: 1,
                    ..any
                },
                false,
                "other subdevice",
            ),
            (
                IdPattern {
                    class: 0x02_0000,
                    ..any
                },
                true,
                "a class without a mask filters nothing",
            ),
            (
                IdPattern {
                    class: 0x03_0000,
                    class_mask: 0xff_0000,
                    ..any
                },
                true,
                "base class",
            ),
            (
                IdPattern {
                    class: 0x03_8000,
                    class_mask: 0xff_0000,
                    ..any
                },
                true,
                "masked away",
            ),
            (
                IdPattern {
                    class: 0x04_0000,
                    class_mask: 0xff_0000,
                    ..any
                },
                false,
                "other class",
            ),
        ] {
            assert_eq!(pattern.matches(&VGA), hit, "{why}");
        }
    }

    #[test]
    fn system_functions_are_known_by_class() {
        for (class, system) in [
            (0x06_0000, true),
            (0x06_0100, true),
            (0x05_8000, true),
            (0x0c_0500, true),
            (0x08_0600, true),
            (0x06_0400, false),
            (0x0c_0330, false),
            (0x01_0601, false),
            (0x08_8000, false),
        ] {
            assert_eq!(DeviceId { class, ..VGA }.is_system(), system, "{class:06x}");
        }
    }
}
