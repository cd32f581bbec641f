//! The machines that there are, by what they are made of.

use super::{CoreDevices, Iommu, Machine, pc, virt, virtual_functions, z};
use crate::architecture::Architecture;

/// What a machine is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Board {
    /// [`pc::pc`]
    #[default]
    Pc,
    /// [`pc::with_more_cards`]
    PcWithMoreCards,
    /// [`virtual_functions::with_pf`]
    PcWithPf,
    /// [`pc::framebuffer`]
    PcWithScreen,
    /// QEMU's `virt` for Arm.
    Virt,
    /// An IBM Z.
    Z,
}

impl Board {
    /// What runs on it.
    #[must_use]
    pub const fn architecture(self) -> Architecture {
        match self {
            Self::Pc | Self::PcWithMoreCards | Self::PcWithPf | Self::PcWithScreen => {
                Architecture::X86_64
            }
            Self::Virt => Architecture::Aarch64,
            Self::Z => Architecture::S390x,
        }
    }

    /// The machine with this IOMMU, where it can have it.
    #[must_use]
    pub fn machine(self, iommu: Iommu) -> Machine {
        match self {
            Self::Pc => pc::pc(iommu),
            Self::PcWithMoreCards => pc::with_more_cards(iommu),
            Self::PcWithPf => virtual_functions::with_pf(iommu),
            Self::PcWithScreen => pc::framebuffer(),
            Self::Virt => virt::virt(iommu),
            Self::Z => z::z(),
        }
    }

    /// The parts that its devices play in the core scenarios.
    #[must_use]
    pub const fn core_devices(self) -> CoreDevices {
        match self {
            Self::Pc | Self::PcWithMoreCards | Self::PcWithPf | Self::PcWithScreen => pc::CORE,
            Self::Virt => virt::CORE,
            Self::Z => z::CORE,
        }
    }
}
