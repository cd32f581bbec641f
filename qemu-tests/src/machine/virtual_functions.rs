//! A PC with a disk that makes virtual functions.

use super::{Device, Iommu, Machine, disk, pc};

/// The disk.
pub const PF: &str = "0000:03:00.0";
/// The virtual functions that can be made of it, each in a group of its own.
pub const VF: [&str; 4] = [
    "0000:03:00.1",
    "0000:03:00.2",
    "0000:03:00.3",
    "0000:03:00.4",
];

/// One of [`VF`]: by its IDs the disk itself. nvme refuses it, for it has no memory yet that its owner would
/// have to give it.
const fn part(address: &'static str) -> Device {
    Device {
        name: "virtual NVMe disk",
        native: "",
        ..disk(address)
    }
}

#[rustfmt::skip]
const PARTS: [Device; 4] = [part(VF[0]), part(VF[1]), part(VF[2]), part(VF[3])];

/// [`pc`] with such a disk.
///
/// ```text
/// 0000:00 ─── 06.0  root port ────── 03 ─┬─ 00.0         NVMe          a group of its own
///                                        └─ 00.1 .. 00.4 made of it    a group each
/// ```
#[must_use]
#[rustfmt::skip]
pub fn with_pf(iommu: Iommu) -> Machine {
    let mut machine = pc(iommu);
    machine.arguments.extend([
        "-device", "pcie-root-port,id=port3,bus=pcie.0,addr=06.0,chassis=3,slot=3",
        "-device", "nvme-subsys,id=parts",
        "-device", "nvme,bus=port3,addr=00.0,serial=parts,subsys=parts,sriov_max_vfs=4,sriov_vq_flexible=8,\
                    sriov_vi_flexible=4,max_ioqpairs=26,msix_qsize=27",
    ]);
    machine.devices.push(disk(PF));
    machine.virtual_functions = &PARTS;
    machine
}
