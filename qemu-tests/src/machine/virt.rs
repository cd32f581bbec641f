//! A 64-bit Arm machine.

use super::{
    CoreDevices, Device, Iommu, Machine, QUICK, audio, disk, graphics, random, serial,
    with_graphics,
};
use crate::architecture::Architecture;

const GPU: &str = "0000:01:00.0";
const GPU_AUDIO: &str = "0000:01:00.1";
const TWIN: &str = "0000:02:00.0";
const TWIN_AUDIO: &str = "0000:02:00.1";
const NVME: &str = "0000:03:00.0";
const SERIAL: &str = "0000:00:04.0";
const RANDOM: &str = "0000:00:05.0";

#[rustfmt::skip]
const DEVICES: [Device; 7] = [
    serial(SERIAL),
    random(RANDOM),
    graphics(GPU, "graphics"),
    audio(GPU_AUDIO),
    graphics(TWIN, "twin graphics"),
    audio(TWIN_AUDIO),
    disk(NVME),
];

/// Who plays what in the core scenarios.
pub(super) const CORE: CoreDevices =
    with_graphics(&[GPU, GPU_AUDIO], &[TWIN, TWIN_AUDIO], &[SERIAL, RANDOM]);

/// QEMU's own board. A root port shares its group with what is behind it.
///
/// ```text
/// 0000:00 ─┬─ 00.0  host bridge
///          ├─ 01.0  root port ── 01 ─┬─ 00.0  graphics   ┐ one group with
///          │                         └─ 00.1  its audio  ┘ their root port
///          ├─ 02.0  root port ── 02 ─┬─ 00.0  graphics   ┐ the same IDs as at 01
///          │                         └─ 00.1  its audio  ┘
///          ├─ 03.0  root port ── 03 ─── 00.0  NVMe
///          ├─ 04.0  serial card                    driver built into the kernel
///          └─ 05.0  random numbers                 driver built into the kernel since 6.12
/// ```
#[rustfmt::skip]
pub(super) fn virt(iommu: Iommu) -> Machine {
    let board = match iommu {
        Iommu::Absent => "virt,gic-version=3",
        _ => "virt,gic-version=3,iommu=smmuv3",
    };
    Machine {
        architecture: Architecture::Aarch64,
        arguments: vec![
            "-M", board,
            "-cpu", "cortex-a72",
            "-m", "512M",
            // The guest ends the machine by semihosting's exit, from a program.
            "-semihosting-config", "enable=on,target=native,userspace=on",
            "-device", "pcie-root-port,id=port1,bus=pcie.0,addr=01.0,chassis=1,slot=1",
            "-device", "bochs-display,bus=port1,addr=00.0,multifunction=on,romfile=",
            "-device", "intel-hda,bus=port1,addr=00.1",
            "-device", "pcie-root-port,id=port2,bus=pcie.0,addr=02.0,chassis=2,slot=2",
            "-device", "bochs-display,bus=port2,addr=00.0,multifunction=on,romfile=",
            "-device", "intel-hda,bus=port2,addr=00.1",
            "-device", "pcie-root-port,id=port3,bus=pcie.0,addr=03.0,chassis=3,slot=3",
            "-blockdev", "driver=null-co,node-name=disk,size=67108864,read-zeroes=on",
            "-device", "nvme,bus=port3,addr=00.0,drive=disk,serial=test",
            "-device", "pci-serial,bus=pcie.0,addr=04.0",
            "-device", "virtio-rng-pci,bus=pcie.0,addr=05.0",
        ],
        kernel_parameters: [&["console=ttyAMA0", "panic=-1"], &QUICK[..]].concat(),
        devices: DEVICES.to_vec(),
        natives: &["bochs", "snd_hda_intel", "nvme", "virtio_pci"],
        cards: &[],
        sleeps: false,
        virtual_functions: &[],
    }
}
