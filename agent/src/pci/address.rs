//! Where a PCI function sits: domain, bus, device, function.

use core::fmt;

use crate::text::Hex;
use crate::text::digits::{hex, hex_byte};
use crate::text::misread::{Misread, field, split_once};

/// The address of one PCI function, shown as the kernel does: `0000:42:00.0`.
///
/// The domain has four digits or more (`%04x:%02x:%02x.%d`, `pci_setup_device` in
/// drivers/pci/probe.c): Intel VMD starts its domains at 10000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Address {
    /// The PCI domain (segment). On IBM Z it is the UID.
    pub domain: u32,
    /// The bus number.
    pub bus: u8,
    /// The device number, 0 to 31.
    pub device: u8,
    /// The function number, 0 to 7.
    pub function: u8,
}

impl Address {
    /// Reads an address as sysfs spells it: the domain is there, and so is the function.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        let has_domain = name.iter().filter(|byte| **byte == b':').count() == 2;
        Slot::parse(name).ok().filter(|_| has_domain)?.address()
    }

    /// Bus, device and function as one number, as PCI Express numbers whoever sends something.
    #[must_use]
    pub fn routing_id(self) -> u16 {
        let Self {
            bus,
            device,
            function,
            ..
        } = self;
        u16::from(bus) << 8 | u16::from(device & 0x1f) << 3 | u16::from(function & 7)
    }

    /// The function with a [`routing_id`](Self::routing_id).
    #[must_use]
    pub fn from_routing_id(domain: u32, id: u16) -> Self {
        let [bus, place] = id.to_be_bytes();
        Self {
            domain,
            bus,
            device: place >> 3,
            function: place & 7,
        }
    }
}

/// One function, or all functions of one device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Domain, 0000 where none was written.
    pub domain: u32,
    /// Bus.
    pub bus: u8,
    /// Device.
    pub device: u8,
    /// Function; `None` for all of them.
    pub function: Option<u8>,
}

impl Slot {
    /// Reads `[DOMAIN:]BUS:DEVICE[.FUNCTION]`; the function may be `*`.
    ///
    /// # Errors
    /// The first field that is not what it should be.
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn parse(body: &[u8]) -> Result<Self, Misread<'_>> {
        let has_domain = body.iter().filter(|byte| **byte == b':').count() > 1;
        let (domain, body) = match split_once(body, b':').filter(|_| has_domain) {
            Some((text, body)) => (
                field(text, "a domain of four to eight digits", hex(text, 4, 8))?,
                body,
            ),
            None => (0, body),
        };
        let (bus, body) = split_once(body, b':').unwrap_or((body, b""));
        let bus = field(bus, "a bus of two digits", hex_byte(bus))?;
        let (text, behind) = split_once(body, b'.').unwrap_or((body, b"*"));
        let device = field(text, "a device of two digits, at most 1f", device(text))?;
        let function = match behind {
            b"*" => None,
            digit => Some(field(digit, "a function, 0 to 7 or `*`", function(digit))?),
        };
        Ok(Self {
            domain,
            bus,
            device,
            function,
        })
    }

    /// The function that is meant, if it is a single one.
    #[must_use]
    pub fn address(self) -> Option<Address> {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        Some(Address {
            domain,
            bus,
            device,
            function: function?,
        })
    }

    /// All functions of the same device.
    #[must_use]
    pub fn whole(self) -> Self {
        Self {
            function: None,
            ..self
        }
    }

    /// Whether the function at `address` is meant.
    #[must_use]
    pub fn matches(self, address: Address) -> bool {
        let place = Self::from(address);
        self == place || self == place.whole()
    }
}

impl From<Address> for Slot {
    fn from(address: Address) -> Self {
        let Address {
            domain,
            bus,
            device,
            function,
        } = address;
        Self {
            domain,
            bus,
            device,
            function: Some(function),
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [bus, device] = [self.bus, self.device].map(|number| Hex(number.into(), 2));
        write!(f, "{}:{bus}:{device}.", Hex(self.domain, 4))?;
        match self.function {
            Some(function) => Hex(function.into(), 1).fmt(f),
            None => f.write_str("*"),
        }
    }
}

/// A device number: two digits, at most 1f.
pub(crate) fn device(text: &[u8]) -> Option<u8> {
    hex_byte(text).filter(|device| *device <= 0x1f)
}

/// A function number: one digit, at most 7.
pub(crate) fn function(text: &[u8]) -> Option<u8> {
    match text {
        [digit @ b'0'..=b'7'] => Some(digit & 7),
        _ => None,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Slot::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn only_what_sysfs_spells_is_an_address() {
        for (name, address) in [
            ("0000:42:00.0", Some((0, 0x42, 0, 0))),
            ("10000:e1:1f.7", Some((0x10000, 0xe1, 0x1f, 7))),
            ("ffffffff:ff:1f.7", Some((u32::MAX, 0xff, 0x1f, 7))),
            ("42:00.0", None),
            ("0000:42:20.0", None),
            ("0000:42:00.8", None),
            ("0000:42:00.0 ", None),
            ("123456789:42:00.0", None),
            ("", None),
        ] {
            let parsed = Address::parse(name.as_bytes());
            let fields = parsed.map(|a| (a.domain, a.bus, a.device, a.function));
            assert_eq!(fields, address, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(
            domain: u32, bus: u8, device in 0u8..32, function in 0u8..8,
        ) {
            let address = Address { domain, bus, device, function };
            prop_assert_eq!(Address::parse(address.to_string().as_bytes()), Some(address));
        }

        #[test]
        fn no_input_panics(name: std::vec::Vec<u8>) {
            let _ = Address::parse(&name);
        }
    }
}
