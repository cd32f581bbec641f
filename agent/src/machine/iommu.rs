//! Which IOMMU the kernel uses, and what to do where it uses none.

use core::fmt;

use crate::machine::{LoadError, Root};
use crate::pci::address::Address;
use crate::text::cmdline::parameters;
use crate::text::misread::split;
use crate::text::{Plain, contains};

/// The IOMMU driver, by the names in `/sys/class/iommu`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Intel VT-d (`dmar0`).
    Intel,
    /// AMD-Vi (`ivhd0`).
    Amd,
    /// Arm SMMU version 3 (`smmu3.0x...`).
    SmmuV3,
    /// Arm SMMU version 1 or 2 (`smmu.0x...`).
    Smmu,
    /// virtio-iommu (the address of its PCI function).
    Virtio,
    /// IBM Z (`s390-iommu.00000008`).
    S390,
    /// Something else.
    Other,
    /// None.
    None,
}

impl Kind {
    /// The kind that the kernel registered first with a known name.
    #[must_use]
    pub fn of(root: &dyn Root) -> Self {
        let mut kind = Self::None;
        // Kernels without any IOMMU driver have no such class: that is None as well.
        let _ = root.list("sys/class/iommu", &mut |entry| {
            if matches!(kind, Self::None | Self::Other) {
                kind = Self::by_name(entry);
            }
        });
        kind
    }

    fn by_name(name: &[u8]) -> Self {
        const KNOWN: &[(&[u8], Kind)] = &[
            (b"dmar", Kind::Intel),
            (b"ivhd", Kind::Amd),
            (b"smmu3.", Kind::SmmuV3),
            (b"smmu.", Kind::Smmu),
            (b"s390", Kind::S390),
        ];
        KNOWN
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .map(|(_, kind)| *kind)
            .or_else(|| Address::parse(name).map(|_| Self::Virtio))
            .unwrap_or(Self::Other)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intel => "intel",
            Self::Amd => "amd",
            Self::SmmuV3 => "smmuv3",
            Self::Smmu => "smmu",
            Self::Virtio => "virtio",
            Self::S390 => "s390",
            Self::Other => "other",
            Self::None => "none",
        })
    }
}

/// How many IOMMU groups the kernel made.
#[must_use]
pub fn group_count(root: &dyn Root) -> u32 {
    const GROUPS: &str = "sys/kernel/iommu_groups";
    root.folders(GROUPS).unwrap_or_else(|| {
        let mut count = 0u32;
        // A kernel without IOMMU support has no such directory, and no group.
        let _ = root.list(GROUPS, &mut |_| count = count.saturating_add(1));
        count
    })
}

/// A parameter of vfio that does without an IOMMU (drivers/vfio/vfio_main.c).
const NO_IOMMU_MODE: &str = "vfio.enable_unsafe_noiommu_mode";

/// Whether `intel_iommu=` has a word in its list (`intel_iommu_setup` in drivers/iommu/intel/iommu.c).
pub(crate) fn intel_iommu(line: &[u8], word: &[u8]) -> bool {
    let mut lists = parameters(line).filter(|p| p.is("intel_iommu") && !p.after_dashes);
    lists.any(|list| split(list.value.unwrap_or_default(), b',').any(|item| item == word))
}

/// What turns the IOMMU of this machine on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// This parameter on the kernel command line turned it off.
    RemoveParameter(&'static str),
    /// The firmware offers VT-d; the kernel waits for a parameter.
    IntelParameter,
    /// The same, and the parameter is there.
    IntelKernel,
    /// The firmware does not offer VT-d.
    IntelFirmware,
    /// The firmware offers AMD-Vi, which the kernel did not start.
    AmdKernel,
    /// The firmware does not offer AMD-Vi.
    AmdFirmware,
    /// A machine that describes its SMMU to the kernel through firmware tables.
    Smmu,
    /// IBM Z, where every function has one.
    S390,
    /// A virtio-iommu without its driver, and what loading that came to where it was tried.
    Virtio(Option<Result<(), LoadError>>),
    /// The kernel is to lend devices without one.
    NoIommuMode,
    /// Nothing is known about the machine.
    Unknown,
}

impl Advice {
    /// Finds out what this machine lacks: first what its architecture has, then what its command line
    /// forbids, then what its ACPI tables offer, at last what its CPU could have.
    #[must_use]
    #[inline(never)] // Inlined, it makes the executable larger.
    pub fn of(root: &dyn Root, line: &[u8]) -> Self {
        let mut buffer = [0; 1024];
        let cpu = root.read("proc/cpuinfo", &mut buffer).unwrap_or_default();
        let has = |word| contains(cpu, word);
        // What follows them is about PCs.
        if has(b"CPU implementer") {
            return Self::Smmu;
        }
        if has(b"IBM/S390") {
            return Self::S390;
        }
        if parameters(line).any(|p| p.is(NO_IOMMU_MODE) && !p.after_dashes) {
            return Self::NoIommuMode;
        }
        for text in ["intel_iommu=off", "amd_iommu=off", "iommu=off"] {
            let name = text.strip_suffix("=off").unwrap_or(text);
            let last = parameters(line)
                .filter(|p| p.is(name) && !p.after_dashes)
                .last();
            if last.and_then(|p| p.value) == Some(b"off") {
                return Self::RemoveParameter(text);
            }
        }
        let table = |name| root.exists(name);
        if table("sys/firmware/acpi/tables/DMAR") {
            return if intel_iommu(line, b"on") {
                Self::IntelKernel
            } else {
                Self::IntelParameter
            };
        }
        if table("sys/firmware/acpi/tables/IVRS") {
            return Self::AmdKernel;
        }
        if has(b"GenuineIntel") {
            Self::IntelFirmware
        } else if has(b"AuthenticAMD") || has(b"HygonGenuine") {
            Self::AmdFirmware
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveParameter(parameter) => {
                let parameter = Plain(parameter);
                write!(f, "the kernel command line says {parameter}; remove it")
            }
            Self::IntelParameter => f.write_str(
                "the firmware offers Intel VT-d; add intel_iommu=on to the kernel command line",
            ),
            Self::IntelKernel => f.write_str(
                "intel_iommu=on is there and the firmware offers Intel VT-d, but the kernel did not \
                 start it; look for `DMAR` in the kernel log",
            ),
            Self::NoIommuMode => f.write_str(
                "vfio.enable_unsafe_noiommu_mode is not supported: without an IOMMU a device reaches all \
                 memory; turn the IOMMU on in the firmware setup",
            ),
            Self::IntelFirmware => f.write_str(
                "turn on VT-d in the firmware setup and add intel_iommu=on to the kernel command line",
            ),
            Self::AmdKernel => f.write_str(
                "the firmware offers AMD-Vi, but the kernel did not start it; look for `AMD-Vi` in \
                 the kernel log",
            ),
            Self::AmdFirmware => {
                f.write_str("turn on IOMMU (AMD-Vi) in the firmware setup; no parameter is needed")
            }
            Self::Smmu => f.write_str(
                "turn on the SMMU in the firmware setup; the kernel finds it in the IORT table or \
                 the device tree",
            ),
            Self::S390 => f.write_str(
                "IBM Z has an IOMMU for each function; boot a kernel with CONFIG_S390_IOMMU",
            ),
            Self::Virtio(None) => f.write_str(
                "its virtio-iommu has no driver yet; at boot the agent loads virtio_iommu",
            ),
            Self::Virtio(Some(Ok(()))) => f.write_str(
                "modprobe virtio_iommu ended well, but no function got an IOMMU group; look for \
                 `iommu` in the kernel log",
            ),
            Self::Virtio(Some(Err(error))) => write!(
                f,
                "virtio_iommu, the driver of its virtio-iommu, is not there: {error}; put \
                 virtio_iommu into the image, or boot a kernel that has it"
            ),
            Self::Unknown => f.write_str(
                "turn on the IOMMU in the firmware setup (VT-d on Intel, AMD-Vi on AMD, SMMU on \
                 Arm); Intel also needs intel_iommu=on on the kernel command line",
            ),
        }
    }
}
