//! Which functions a policy names, and what it wants of them. How that is written is in [`crate::policy::grammar`].

use core::fmt;

use crate::machine::Root;
use crate::pci::address::{Address, Slot};
use crate::pci::id::{ANY, DeviceId, IdPattern};
use crate::pci::path::PciPath;
use crate::policy::virtual_functions::VirtualFunctions;
use crate::text::{Hex, Plain, Text};

/// The most selectors of one policy; more of them is an error and binds nothing.
pub const MAX_SELECTORS: usize = 512;

/// A selector: which functions, and whether to take or to leave them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selector<'a> {
    /// As written, for messages and the record.
    pub text: &'a [u8],
    /// Where it was written.
    pub source: Source,
    /// Written with `!` or behind `vfio.protect=`: leave these alone.
    pub excludes: bool,
    /// The functions meant, or those that make the ones that are.
    pub target: Target<'a>,
    /// Written with `vf:`: which virtual functions of [`Selector::target`] are meant, which itself is not.
    pub virtual_functions: Option<VirtualFunctions<'a>>,
    /// What must sit there (`@ID`).
    pub expected: Option<IdPattern>,
    /// Whether it means whatever has the expected ID as well: [`crate::policy::presence`] says so where the
    /// place has something else.
    pub everywhere: bool,
    /// Whether a function of the device that it names has the expected ID, and so all that it names are
    /// meant: [`crate::policy::presence`] finds out.
    pub confirmed: bool,
}

/// The parameter a selector came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// `vfio.bind=` or `rd.vfio.bind=`.
    Bind,
    /// `vfio_pci.ids=`.
    KernelIds,
    /// `vfio.protect=` of the owner.
    Protect,
    /// `vfio.protect=`, recorded when the image was built.
    Recorded,
    /// `vfio.set=`, which takes nothing and protects nothing.
    Set,
    /// `vfio.sriov=`, which names what virtual functions are made of.
    Sriov,
}

impl Source {
    /// Whether what it names is never bound, unless `vfio.force` says so.
    #[must_use]
    pub fn protects(self) -> bool {
        matches!(self, Self::Protect | Self::Recorded)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bind => "vfio.bind",
            Self::KernelIds => "vfio_pci.ids",
            Self::Protect => "vfio.protect",
            Self::Recorded => "protected.conf",
            Self::Set => "vfio.set",
            Self::Sriov => "vfio.sriov",
        })
    }
}

impl fmt::Display for Selector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Written(self.source, self.text).fmt(f)
    }
}

/// A selector as it stands where it was written.
pub(crate) struct Written<'a>(pub Source, pub &'a [u8]);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.0 {
            Source::Recorded => Plain(": "),
            _ => Plain("="),
        };
        write!(f, "{}{mark}{}", self.0, Text(self.1))
    }
}

impl Selector<'_> {
    /// Whether the function at `address` with `id` is meant. Another ID than the expected one keeps
    /// a function from being taken, never from being left alone.
    #[must_use]
    pub fn matches(&self, address: Address, id: &DeviceId) -> bool {
        // What is expected of a PF, its VFs need not be.
        let itself = self.virtual_functions.is_none() || self.expected.is_none();
        let right = self.excludes || self.confirmed || (itself && self.expects(id));
        (self.points_at(address, id) && right) || (self.everywhere && self.expects(id))
    }

    /// Whether it names this function or its device, and something else sits there than expected.
    #[must_use]
    pub fn is_disappointed(&self, address: Address, id: &DeviceId) -> bool {
        self.names_one() && self.points_at(address, id) && !self.matches(address, id)
    }

    pub(crate) fn points_at(&self, address: Address, id: &DeviceId) -> bool {
        match (&self.virtual_functions, self.slot()) {
            (Some(all), Some(pf)) => all.has(pf, address),
            (Some(_), None) => false,
            (None, _) => self.names(address, id),
        }
    }

    /// Whether its target is this function: what it means, or what makes that.
    pub(crate) fn names(&self, address: Address, id: &DeviceId) -> bool {
        match &self.target {
            Target::Id(pattern) => pattern.matches(id),
            _ => self.slot().is_some_and(|slot| slot.matches(address)),
        }
    }

    pub(crate) fn expects(&self, id: &DeviceId) -> bool {
        self.expected.is_none_or(|pattern| pattern.matches(id))
    }

    /// The place it names, as far as that is known.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match &self.target {
            Target::Address(slot) => Some(*slot),
            Target::Named(_, slot) => *slot,
            Target::Id(_) => None,
        }
    }

    /// Whether it means virtual functions, by what makes them.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.virtual_functions.is_some()
    }

    /// Finds out where the virtual functions are that it means, where its target is known.
    pub(crate) fn look_at_virtual(&mut self, root: &dyn Root) {
        let device = self.slot();
        if let (Some(all), Some(device)) = (&mut self.virtual_functions, device) {
            all.look(root, device);
        }
    }

    /// Whether it names a device by its place, its name or its serial number, as opposed to what it is.
    #[must_use]
    pub fn names_one(&self) -> bool {
        !matches!(self.target, Target::Id(_))
    }

    /// Whether it names single functions or one model, as opposed to sweeping up whatever fits.
    #[must_use]
    pub fn is_specific(&self) -> bool {
        match &self.target {
            Target::Id(pattern) => pattern.names_a_model(),
            _ => true,
        }
    }
}

/// What a selector points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'a> {
    /// A function or a whole slot by its address.
    Address(Slot),
    /// Functions by what they are.
    Id(IdPattern),
    /// A place by a name that only the machine can resolve, and where that is: filled in by
    /// [`crate::policy::resolve`].
    Named(StableName<'a>, Option<Slot>),
}

/// A name that stays when addresses change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StableName<'a> {
    /// The way through the bridges.
    Path(PciPath<'a>),
    /// The PCIe Device Serial Number.
    Serial(u64),
    /// A physical slot, as the kernel names it in `/sys/bus/pci/slots`.
    Slot(&'a [u8]),
    /// The firmware's label (SMBIOS type 41, or ACPI's `_DSM` for PCI).
    Label(&'a [u8]),
    /// The path of the function's node in ACPI, such as `\_SB_.PCI0.GPP0`.
    Acpi(&'a [u8]),
}

impl fmt::Display for StableName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{path}"),
            Self::Serial(number) => {
                f.write_str("dsn:")?;
                for (at, byte) in number.to_be_bytes().into_iter().enumerate() {
                    let dash = Plain(if at == 0 { "" } else { "-" });
                    write!(f, "{dash}{}", Hex(byte.into(), 2))?;
                }
                Ok(())
            }
            Self::Slot(name) => write!(f, "slot:{}", Text(name)),
            Self::Label(text) => write!(f, "label:{}", Text(text)),
            Self::Acpi(path) => write!(f, "acpi:{}", Text(path)),
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name, _) => write!(f, "{name}"),
            Self::Address(slot) => write!(f, "{slot}"),
            Self::Id(pattern) => {
                let IdPattern {
                    vendor,
                    device,
                    subvendor,
                    subdevice,
                    class,
                    class_mask,
                } = pattern;
                write!(f, "{}:{}", Field(*vendor), Field(*device))?;
                if (*subvendor, *subdevice) != (ANY, ANY) || *class_mask != 0 {
                    write!(f, ":{}:{}", Field(*subvendor), Field(*subdevice))?;
                }
                if *class_mask != 0 {
                    write!(f, ":{}:{}", Hex(*class, 6), Hex(*class_mask, 6))?;
                }
                Ok(())
            }
        }
    }
}

struct Field(u32);

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == ANY {
            f.write_str("*")
        } else {
            Hex(self.0, 4).fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::grammar::parse;

    #[test]
    fn another_id_keeps_from_taking_and_not_from_leaving_alone() {
        let there = Address::parse(b"0000:42:00.0").unwrap();
        let id = |vendor| DeviceId {
            vendor,
            device: 0x1b80,
            ..DeviceId::default()
        };
        for (text, takes_it, takes_another) in [
            ("42:00.0@10de:1b80", true, false),
            ("42:00@10de:1b80", true, false),
            ("42:00.0@10de:*", true, false),
            ("!42:00.0@10de:1b80", true, true),
        ] {
            let selector = parse(text.as_bytes()).unwrap();
            assert_eq!(selector.matches(there, &id(0x10de)), takes_it, "{text}");
            assert_eq!(
                selector.matches(there, &id(0x1002)),
                takes_another,
                "{text}"
            );
        }
        for (text, confirmed, disappointed) in [
            ("42:00.0@10de:1b80", false, true),
            ("42:00@10de:1b80", false, true),
            // Of a whole device, one function may well have another ID.
            ("42:00@10de:1b80", true, false),
            ("43:00@10de:1b80", false, false),
            ("*:1b80@10de:1b80", false, false),
        ] {
            let selector = Selector {
                confirmed,
                ..parse(text.as_bytes()).unwrap()
            };
            let is_disappointed = selector.is_disappointed(there, &id(0x1002));
            assert_eq!(is_disappointed, disappointed, "{text}, {confirmed}");
            assert_eq!(selector.matches(there, &id(0x1002)), confirmed, "{text}");
        }
    }
}
