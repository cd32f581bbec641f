//! An IBM Z.

use super::{CoreDevices, Device, Machine, QUICK, device, random};
use crate::architecture::Architecture;

/// A network card. The UID of a function is its PCI domain.
pub const Z_NET: &str = "0001:00:00.0";
/// One that has the same IDs as [`Z_NET`].
pub const Z_TWIN: &str = "0002:00:00.0";
/// A source of random numbers; its driver is part of the kernel since 6.12.
pub const Z_RANDOM: &str = "0003:00:00.0";

#[rustfmt::skip]
const DEVICES: [Device; 3] = [
    device(Z_NET, "network card", "1af4:1000:1af4:0001", "020000", "virtio-pci"),
    device(Z_TWIN, "twin network card", "1af4:1000:1af4:0001", "020000", "virtio-pci"),
    random(Z_RANDOM),
];

/// Who plays what in the core scenarios: each function is in a group of its own.
pub(super) const CORE: CoreDevices = CoreDevices {
    card: &[Z_NET],
    ids: "1af4:1000",
    twin: &[Z_TWIN],
    drivers: &["virtio-pci"],
    in_kernel: &[Z_RANDOM],
    modules: &["virtio_pci"],
};

/// A machine without bridges: each function is the only one of its domain and of its group.
///
/// ```text
/// 0001:00 ─── 00.0  network card    UID 1, FID 8
/// 0002:00 ─── 00.0  network card    UID 2, FID 9: the same IDs as in domain 1
/// 0003:00 ─── 00.0  random numbers  UID 3, FID 10; driver built into the kernel since 6.12
/// ```
#[rustfmt::skip]
pub(super) fn z() -> Machine {
    Machine {
        architecture: Architecture::S390x,
        arguments: vec![
            "-M", "s390-ccw-virtio",
            "-cpu", "max",
            "-m", "512M",
            // Only a panic makes QEMU fail: a machine that was switched off has done its work.
            "-action", "panic=exit-failure",
            "-device", "zpci,uid=1,fid=8,target=net",
            "-device", "virtio-net-pci,id=net",
            "-device", "zpci,uid=2,fid=9,target=twin",
            "-device", "virtio-net-pci,id=twin",
            "-device", "zpci,uid=3,fid=10,target=random",
            "-device", "virtio-rng-pci,id=random",
        ],
        // A panic stops the machine there, which QEMU takes for its end.
        kernel_parameters: [&["console=ttysclp0"], &QUICK[..]].concat(),
        devices: DEVICES.to_vec(),
        natives: &["virtio_pci", "virtio_net"],
        cards: &[],
        sleeps: false,
        virtual_functions: &[],
    }
}
