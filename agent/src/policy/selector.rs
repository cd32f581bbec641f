//! Which functions a policy names, and what it wants of them. How that is written is in [`crate::policy::grammar`].

use core::fmt;

use crate::machine::inventory::Function;
use crate::machine::sriov::Role;
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
    /// Whether a function is meant. Another ID than the expected one keeps
    /// a function from being taken, never from being left alone.
    #[must_use]
    pub fn matches(&self, function: &Function) -> bool {
        let right = |id| self.excludes || self.confirmed || self.expects(id);
        self.described(function).is_some_and(right)
            || (self.everywhere && self.expects(&function.id))
    }

    /// Whether it names this function or its device, and something else sits there than expected.
    #[must_use]
    pub fn is_disappointed(&self, function: &Function) -> bool {
        self.names_one() && self.points_at(function) && !self.matches(function)
    }

    pub(crate) fn points_at(&self, function: &Function) -> bool {
        self.described(function).is_some()
    }

    /// What its target is, where that is a function or what makes it: the ID there is the expected one.
    fn described<'f>(&self, function: &'f Function) -> Option<&'f DeviceId> {
        let (address, id) = match (&self.virtual_functions, &function.role) {
            (None, _) => (function.address, &function.id),
            (Some(all), Role::Virtual(maker)) if all.means(maker.index) => {
                (maker.address, &maker.id)
            }
            _ => return None,
        };
        self.names(address, id).then_some(id)
    }

    /// Whether a function can make any virtual one that is meant.
    pub(crate) fn can_be_of(&self, function: &Function) -> bool {
        let Function {
            address, id, role, ..
        } = function;
        match (&self.virtual_functions, role) {
            (Some(all), Role::Physical(total)) => {
                self.names(*address, id)
                    && (self.confirmed || self.expects(id))
                    && (0..*total).any(|index| all.means(index))
            }
            _ => false,
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
                let [vendor, device, subvendor, subdevice, class, class_mask] = pattern.numbers();
                write!(f, "{}:{}", Field(vendor), Field(device))?;
                if (subvendor, subdevice) != (ANY, ANY) || class_mask != 0 {
                    write!(f, ":{}:{}", Field(subvendor), Field(subdevice))?;
                }
                if class_mask != 0 {
                    write!(f, ":{}:{}", Hex(class, 6), Hex(class_mask, 6))?;
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
    use crate::machine::sriov::Maker;
    use crate::policy::grammar::parse;

    fn function(address: &str, id: DeviceId) -> Function {
        Function {
            address: Address::parse(address.as_bytes()).unwrap(),
            id,
            group: None,
            bridge: false,
            buses: (0, 0),
            boot_display: false,
            in_doubt: false,
            role: Role::Plain,
            driver: None,
            way: None,
        }
    }

    #[test]
    fn another_id_keeps_from_taking_and_not_from_leaving_alone() {
        let there = |vendor| {
            let id = DeviceId {
                vendor,
                device: 0x1b80,
                ..DeviceId::default()
            };
            function("0000:42:00.0", id)
        };
        for (text, takes_it, takes_another) in [
            ("42:00.0@10de:1b80", true, false),
            ("42:00@10de:1b80", true, false),
            ("42:00.0@10de:*", true, false),
            ("!42:00.0@10de:1b80", true, true),
        ] {
            let selector = parse(text.as_bytes()).unwrap();
            assert_eq!(selector.matches(&there(0x10de)), takes_it, "{text}");
            assert_eq!(selector.matches(&there(0x1002)), takes_another, "{text}");
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
            let is_disappointed = selector.is_disappointed(&there(0x1002));
            assert_eq!(is_disappointed, disappointed, "{text}, {confirmed}");
            assert_eq!(selector.matches(&there(0x1002)), confirmed, "{text}");
        }
    }

    /// What makes a virtual function is what `vf:` describes, its ID included; a function is never its own.
    #[test]
    fn virtual_functions_are_meant_by_what_makes_them() {
        let id = |device| DeviceId {
            vendor: 0x8086,
            device,
            class: 0x02_0000,
            ..DeviceId::default()
        };
        let pf = Function {
            role: Role::Physical(8),
            ..function("0000:03:00.0", id(0x1572))
        };
        let vf = Function {
            role: Role::Virtual(Maker {
                address: pf.address,
                id: pf.id,
                index: 2,
            }),
            ..function("0000:03:02.2", id(0x154c))
        };
        for (text, is_meant, can_be) in [
            ("vf:03:00.0", true, true),
            ("vf:03:00", true, true),
            ("vf:8086:1572", true, true),
            ("vf:8086:*", true, true),
            ("vf:class:0200", true, true),
            ("vf:8086:1572#2-3", true, true),
            ("vf:class:02#0-1,7", false, true),
            ("vf:class:02#8", false, false),
            ("vf:8086:154c", false, false),
            ("vf:class:03", false, false),
            ("vf:03:02.2", false, false),
            // Behind an ID or a class an ID narrows.
            ("vf:class:02@8086:1572", true, true),
            ("vf:class:02@8086:154c", false, false),
            ("vf:8086:1572@8086:1572#2", true, true),
            ("03:02.2", true, false),
            ("8086:154c", true, false),
        ] {
            let selector = parse(text.as_bytes()).unwrap();
            assert_eq!(selector.matches(&vf), is_meant, "{text}");
            assert_eq!(selector.can_be_of(&pf), can_be, "{text}");
            assert!(!selector.matches(&pf), "{text}");
            assert!(!selector.can_be_of(&vf), "{text}");
        }
    }
}
