//! What functions can be exported to.

use clap::ValueEnum;

use super::device::Lot;
use super::text::{Exported, Settings};
use super::{
    cloud_hypervisor, crosvm, firecracker, incus, kubevirt, libvirt, nfd, prometheus, proxmox,
    qemu, sriov_device_plugin, stratovirt,
};
use crate::records::Run;

/// A target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// `<hostdev>` elements of a domain.
    Libvirt,
    /// Arguments, or requests for the monitor.
    Qemu,
    /// Arguments, or requests for the monitor.
    Stratovirt,
    /// Arguments.
    CloudHypervisor,
    /// Arguments.
    Crosvm,
    /// A member of the configuration file.
    Firecracker,
    /// Lines of a guest's configuration, or commands.
    Proxmox,
    /// Devices of an instance, or commands.
    Incus,
    /// The list of permitted host devices.
    Kubevirt,
    /// The configuration file.
    SriovDevicePlugin,
    /// A feature file.
    Nfd,
    /// A file for node_exporter.
    Prometheus,
}

impl Target {
    /// Its name, as it is asked for.
    #[must_use]
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it tells of the machine, so that functions need not be named.
    #[must_use]
    pub fn tells_of_the_machine(self) -> bool {
        matches!(self, Self::Nfd | Self::Prometheus)
    }

    /// Whether its monitor is started by who exports, who then has to see to the rights.
    #[must_use]
    pub fn is_started_by_hand(self) -> bool {
        matches!(
            self,
            Self::Qemu
                | Self::Stratovirt
                | Self::CloudHypervisor
                | Self::Crosvm
                | Self::Firecracker
        )
    }

    /// Whether it takes an option, named without its dashes.
    #[must_use]
    pub fn takes(self, option: &str) -> bool {
        match option {
            "managed" | "libvirt" => self == Self::Libvirt,
            "iommufd" => self == Self::Qemu,
            "monitor" | "port" => matches!(self, Self::Qemu | Self::Stratovirt),
            "vm" => matches!(self, Self::Proxmox | Self::Incus),
            "resource" => matches!(
                self,
                Self::Proxmox | Self::Kubevirt | Self::SriovDevicePlugin
            ),
            _ => false,
        }
    }

    /// Gives the text for it. `runs` are the records since the boot.
    ///
    /// # Errors
    /// Why these functions, or these settings, cannot be had there.
    pub fn export(
        self,
        lot: Lot<'_>,
        settings: &Settings,
        runs: &[Run],
    ) -> Result<Exported, String> {
        match self {
            Self::Libvirt => libvirt::export(lot, settings),
            Self::Qemu => qemu::export(lot, settings),
            Self::Stratovirt => stratovirt::export(lot, settings),
            Self::CloudHypervisor => Ok(cloud_hypervisor::export(lot)),
            Self::Crosvm => crosvm::export(lot),
            Self::Firecracker => firecracker::export(lot),
            Self::Proxmox => proxmox::export(lot, settings),
            Self::Incus => Ok(incus::export(lot, settings)),
            Self::Kubevirt => kubevirt::export(lot, settings),
            Self::SriovDevicePlugin => sriov_device_plugin::export(lot, settings),
            Self::Nfd => Ok(Exported::of(nfd::export(runs, lot.machine))),
            Self::Prometheus => Ok(Exported::of(prometheus::export(runs, lot.machine))),
        }
    }
}
