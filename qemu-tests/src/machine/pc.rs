//! PCs: the machine of most scenarios, and what is made of it.

use super::{
    CoreDevices, Device, Iommu, Machine, QUICK, audio, device, disk, graphics, random, serial,
    with_graphics,
};
use crate::architecture::Architecture;

/// The graphics function of the card.
pub const GPU: &str = "0000:42:00.0";
/// The audio function of the card, in the group of [`GPU`].
pub const GPU_AUDIO: &str = "0000:42:00.1";
/// The graphics function of a second card of the same make.
pub const TWIN: &str = "0000:43:00.0";
/// The audio function of that card, in the group of [`TWIN`].
pub const TWIN_AUDIO: &str = "0000:43:00.1";
/// A network card behind the conventional bridge.
pub const NIC: &str = "0000:01:01.0";
/// A sound card behind the conventional bridge, in the group of [`NIC`].
pub const SOUND: &str = "0000:01:02.0";
/// A card reader behind the conventional bridge, in the group of [`NIC`].
pub const CARD_READER: &str = "0000:01:03.0";
/// A disk in a group of its own.
pub const NVME: &str = "0000:02:00.0";
/// A serial card; its driver is part of Debian's kernels.
pub const SERIAL: &str = "0000:00:02.0";
/// A source of random numbers; its driver is part of Debian's kernels since 6.12.
pub const RANDOM: &str = "0000:00:07.0";
/// The first function of a slot of three, all in one group.
pub const USB_A: &str = "0000:00:1d.0";
/// The second function of that slot.
pub const USB_B: &str = "0000:00:1d.1";
/// The last function of that slot.
pub const USB_C: &str = "0000:00:1d.7";
/// The disk controller of the chipset.
pub const SATA: &str = "0000:00:1f.2";
/// The chipset's ISA bridge, in the group of [`SATA`].
pub const ISA: &str = "0000:00:1f.0";
/// The chipset's SMBus, in the group of [`SATA`].
pub const SMBUS: &str = "0000:00:1f.3";

/// What came with [`with_more_cards`]: another network card of the make of [`NIC`], at the address
/// that that one had.
pub const ADDED: &str = "0000:01:01.0";
/// Where [`NIC`] is then.
pub const NIC_MOVED: &str = "0000:02:01.0";
/// Where [`SOUND`] is then.
pub const SOUND_MOVED: &str = "0000:02:02.0";
/// Where [`CARD_READER`] is then.
pub const CARD_READER_MOVED: &str = "0000:02:03.0";
/// Where [`NVME`] is then.
pub const NVME_MOVED: &str = "0000:03:00.0";
/// What came with [`with_twin_disk`]: a disk of the make of [`NVME`], with a file system on it.
pub const MOUNTED: &str = "0000:03:00.0";
/// With [`with_system_disks`] that disk has the root file system.
pub const ROOT_DISK: &str = MOUNTED;
/// What came with [`with_system_disks`]: another disk of the same make, of the same system.
pub const SECOND_DISK: &str = "0000:04:00.0";
/// A network card with a serial number, labelled by the firmware.
pub const LAN: &str = "0000:00:06.0";

#[rustfmt::skip]
const DEVICES: [Device; 16] = [
    serial(SERIAL),
    random(RANDOM),
    device(USB_A, "USB 1.1", "8086:2934:1af4:1100", "0c0300", "uhci_hcd"),
    device(USB_B, "USB 1.1", "8086:2935:1af4:1100", "0c0300", "uhci_hcd"),
    device(USB_C, "USB 2", "8086:293a:1af4:1100", "0c0320", "ehci-pci"),
    device(ISA, "ISA bridge", "8086:2918:1af4:1100", "060100", "lpc_ich"),
    device(SATA, "SATA", "8086:2922:1af4:1100", "010601", "ahci"),
    device(SMBUS, "SMBus", "8086:2930:1af4:1100", "0c0500", "i801_smbus"),
    device(NIC, "network card", "8086:100e:1af4:1100", "020000", "e1000"),
    device(SOUND, "sound card", "1274:5000:4942:4c4c", "040100", "snd_ens1370"),
    device(CARD_READER, "card reader", "1b36:0007:1af4:1100", "080501", "sdhci-pci"),
    disk(NVME),
    graphics(GPU, "graphics"),
    audio(GPU_AUDIO),
    graphics(TWIN, "twin graphics"),
    audio(TWIN_AUDIO),
];

#[rustfmt::skip]
const ADDED_DEVICES: [Device; 2] = [
    device(LAN, "network card", "8086:10d3:8086:0000", "020000", "e1000e"),
    device(ADDED, "network card", "8086:100e:1af4:1100", "020000", "e1000"),
];

/// Where a device is once [`ADDED`] has moved its bus.
fn moved(device: Device) -> Device {
    let address = match device.address {
        NIC => NIC_MOVED,
        SOUND => SOUND_MOVED,
        CARD_READER => CARD_READER_MOVED,
        NVME => NVME_MOVED,
        other => other,
    };
    Device { address, ..device }
}

const NATIVES: [&str; 13] = [
    "lpc_ich",
    "i2c_i801",
    "bochs",
    "snd_hda_intel",
    "e1000",
    "e1000e",
    "snd_ens1370",
    "nvme",
    "sdhci_pci",
    "ehci_pci",
    "uhci_hcd",
    "ahci",
    "virtio_pci",
];

/// Who plays what in the core scenarios.
pub(super) const CORE: CoreDevices =
    with_graphics(&[GPU, GPU_AUDIO], &[TWIN, TWIN_AUDIO], &[SERIAL, RANDOM]);

/// What QEMU's machine with this IOMMU does not have. AMD's delivers few interrupts there, and the disk
/// needs one for each command. Linux 7.2 makes no group at all behind virtio-iommu where a function is
/// behind a conventional bridge, and no driver gets anything.
const fn left_out(iommu: Iommu) -> &'static [&'static str] {
    match iommu {
        Iommu::Amd => &[NVME],
        Iommu::Virtio => &[NIC, SOUND, CARD_READER],
        _ => &[],
    }
}

/// A PC with a device of every kind that the policy treats differently; with some IOMMUs, a few less.
///
/// ```text
/// 0000:00 ─┬─ 00.0  host bridge
///          ├─ 02.0  serial card                    driver built into the kernel
///          ├─ 03.0  bridge to PCI ── 01 ─┬─ 01.0  network card  ┐
///          │                             ├─ 02.0  sound card    │ one group with
///          │                             └─ 03.0  card reader   ┘ their bridge
///          ├─ 04.0  root port ────── 02 ─── 00.0  NVMe          a group of its own
///          ├─ 07.0  random numbers                 driver built into the kernel since 6.12
///          ├─ 08.0  second host bridge, of the buses 41 to 43:
///          │    41:00.0  root port ── 42 ─┬─ 00.0  graphics     ┐ one group
///          │                              └─ 00.1  its audio    ┘
///          │    41:01.0  root port ── 43 ─┬─ 00.0  graphics     ┐ one group, the same
///          │                              └─ 00.1  its audio    ┘ IDs as at 42
///          ├─ 1d.0 .1 .7  USB controllers          one group
///          └─ 1f.0 .2 .3  ISA, SATA, SMBus         one group
/// ```
#[must_use]
#[rustfmt::skip]
pub fn pc(iommu: Iommu) -> Machine {
    let mut arguments = vec![
        // What the agent advises depends on the maker of the processor.
        "-cpu", if iommu == Iommu::Amd { "max,vendor=AuthenticAMD" } else { "max,vendor=GenuineIntel" },
        "-m", "512M",
        "-audiodev", "none,id=mute",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01",
    ];
    // The IOMMU must come before the devices.
    arguments.extend(match iommu {
        // VFIO in the guest needs caching mode. The split interrupt controller is what intremap needs.
        Iommu::Intel | Iommu::IntelOff => vec![
            "-M", "q35,kernel-irqchip=split",
            "-device", "intel-iommu,intremap=on,caching-mode=on",
        ],
        Iommu::Amd => vec!["-M", "q35", "-device", "amd-iommu,intremap=off"],
        Iommu::Virtio => vec!["-M", "q35", "-device", "virtio-iommu-pci,bus=pcie.0,addr=09.0"],
        _ => vec!["-M", "q35"],
    });
    // Option ROMs only cost boot time, and not every QEMU package has them: `romfile=`. Bus and
    // slot are always given, or a device may land on the second host bridge.
    arguments.extend([
        "-device", "pci-serial,bus=pcie.0,addr=02.0",
        "-device", "pcie-pci-bridge,id=conventional,bus=pcie.0,addr=03.0",
        "-device", "pcie-root-port,id=port2,bus=pcie.0,addr=04.0,chassis=2,slot=2",
        "-device", "virtio-rng-pci,bus=pcie.0,addr=07.0",
        "-device", "pxb-pcie,id=second,bus_nr=0x41,bus=pcie.0,addr=08.0",
        "-device", "pcie-root-port,id=port42,bus=second,addr=00.0,chassis=42,slot=42",
        "-device", "bochs-display,bus=port42,addr=00.0,multifunction=on,romfile=",
        "-device", "intel-hda,bus=port42,addr=00.1",
        "-device", "pcie-root-port,id=port43,bus=second,addr=01.0,chassis=43,slot=43",
        "-device", "bochs-display,bus=port43,addr=00.0,multifunction=on,romfile=",
        "-device", "intel-hda,bus=port43,addr=00.1",
        "-device", "ich9-usb-ehci1,id=usb,bus=pcie.0,addr=1d.7,multifunction=on",
        "-device", "ich9-usb-uhci1,masterbus=usb.0,firstport=0,bus=pcie.0,addr=1d.0,multifunction=on",
        "-device", "ich9-usb-uhci2,masterbus=usb.0,firstport=2,bus=pcie.0,addr=1d.1,multifunction=on",
    ]);
    if iommu != Iommu::Virtio {
        arguments.extend([
            "-device", "e1000,bus=conventional,addr=01.0,romfile=",
            "-device", "ES1370,bus=conventional,addr=02.0,audiodev=mute",
            "-device", "sdhci-pci,bus=conventional,addr=03.0",
        ]);
    }
    if iommu != Iommu::Amd {
        arguments.extend([
            "-blockdev", "driver=null-co,node-name=disk,size=67108864,read-zeroes=on",
            "-device", "nvme,bus=port2,addr=00.0,drive=disk,serial=test",
        ]);
    }
    // The kernel counts timer interrupts over a moment, and panics where a busy host gave the
    // machine no time in it. A panic, reset at once, ends the machine.
    let mut kernel_parameters = vec!["console=ttyS0", "no_timer_check", "panic=-1"];
    kernel_parameters.extend(QUICK);
    kernel_parameters.extend(match iommu {
        Iommu::Intel => Some("intel_iommu=on"),
        Iommu::IntelOff => Some("intel_iommu=off"),
        // QEMU remaps no interrupts here, and VFIO wants a word for that.
        Iommu::Amd | Iommu::Virtio => Some("vfio_iommu_type1.allow_unsafe_interrupts=1"),
        _ => None,
    });
    Machine {
        architecture: Architecture::X86_64,
        arguments,
        kernel_parameters,
        devices: DEVICES
            .into_iter()
            .filter(|device| !left_out(iommu).contains(&device.address))
            .collect(),
        natives: &NATIVES,
        cards: &[],
        sleeps: false,
        virtual_functions: &[],
    }
}

/// The same with two cards added. The bridge of one comes first, so that all bus numbers below
/// move; no bridge that was there has another platform.
///
/// ```text
/// 0000:00 ─┬─ 01.0  bridge to PCI ── 01 ─── 01.0  network card  a group of its own
///          ├─ 03.0  bridge to PCI ── 02 ─┬─ 01.0 02.0 03.0
///          ├─ 04.0  root port ────── 03 ─── 00.0  NVMe
///          └─ 06.0  network card                     a group of its own
/// ```
#[must_use]
#[rustfmt::skip]
pub fn with_more_cards(iommu: Iommu) -> Machine {
    let mut machine = pc(iommu);
    machine.arguments.extend([
        "-device", "pcie-pci-bridge,id=added,bus=pcie.0,addr=01.0",
        "-device", "e1000,bus=added,addr=01.0,romfile=",
        // The serial number is made of the hardware address. QEMU labels only what is on bus 0.
        "-device", "e1000e,id=lan,bus=pcie.0,addr=06.0,romfile=,mac=52:54:00:12:34:56",
        "-smbios", "type=41,designation=Onboard LAN,instance=1,kind=ethernet,pcidev=lan",
    ]);
    machine.devices = machine.devices.into_iter().map(moved).chain(ADDED_DEVICES).collect();
    machine
}

/// The same with a second disk, whose content is that of the block device node [`TWIN_DISK`].
///
/// ```text
/// 0000:00 ─┬─ 04.0  root port ────── 02 ─── 00.0  NVMe          a group of its own
///          └─ 06.0  root port ────── 03 ─── 00.0  NVMe          a group of its own
/// ```
#[must_use]
#[rustfmt::skip]
pub fn with_twin_disk(iommu: Iommu) -> Machine {
    let mut machine = pc(iommu);
    machine.arguments.extend([
        "-device", "pcie-root-port,id=port3,bus=pcie.0,addr=06.0,chassis=3,slot=3",
        "-device", "nvme,bus=port3,addr=00.0,drive=twin,serial=twin",
    ]);
    machine.devices.push(disk(MOUNTED));
    machine
}

/// The block device node that is the second disk of [`with_twin_disk`].
pub const TWIN_DISK: &str = "twin";

/// The same with a third disk, whose content is that of the node [`THIRD_DISK`].
///
/// ```text
/// 0000:00 ─┬─ 04.0  root port ────── 02 ─── 00.0  NVMe          a group of its own
///          ├─ 06.0  root port ────── 03 ─── 00.0  NVMe          a group of its own
///          └─ 09.0  root port ────── 04 ─── 00.0  NVMe          a group of its own
/// ```
#[must_use]
#[rustfmt::skip]
pub fn with_system_disks(iommu: Iommu) -> Machine {
    let mut machine = with_twin_disk(iommu);
    machine.arguments.extend([
        "-device", "pcie-root-port,id=port4,bus=pcie.0,addr=09.0,chassis=4,slot=4",
        "-device", "nvme,bus=port4,addr=00.0,drive=third,serial=third",
    ]);
    machine.devices.push(disk(SECOND_DISK));
    machine
}

/// The block device node that is the third disk of [`with_system_disks`].
pub const THIRD_DISK: &str = "third";

/// The devices that [`framebuffer`]'s scenarios speak of.
const SCREEN: [Device; 2] = [
    device(GPU, "screen", "1234:1111:1af4:1100", "030000", "bochs-drm"),
    audio(GPU_AUDIO),
];

/// A PC whose firmware sets up a framebuffer in the memory of [`GPU`], a VGA card that shares its group
/// with [`GPU_AUDIO`].
#[must_use]
#[rustfmt::skip]
pub fn framebuffer() -> Machine {
    Machine {
        architecture: Architecture::X86_64,
        arguments: vec![
            "-M", "q35,kernel-irqchip=split",
            "-cpu", "max,vendor=GenuineIntel",
            "-m", "512M",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01",
            "-device", "intel-iommu,intremap=on,caching-mode=on",
            "-device", "pxb-pcie,id=second,bus_nr=0x41,bus=pcie.0,addr=08.0",
            "-device", "pcie-root-port,id=port42,bus=second,addr=00.0,chassis=42,slot=42",
            // Its ROM is for firmware without EFI.
            "-device", "VGA,bus=port42,addr=00.0,multifunction=on,romfile=",
            "-device", "intel-hda,bus=port42,addr=00.1",
        ],
        kernel_parameters: [&["console=ttyS0", "no_timer_check", "panic=-1", "intel_iommu=on"], &QUICK[..]].concat(),
        devices: SCREEN.to_vec(),
        natives: &["bochs", "snd_hda_intel"],
        cards: &[],
        sleeps: false,
        virtual_functions: &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_has_its_place() {
        let machine = pc(Iommu::Intel);
        let devices = machine
            .arguments
            .windows(2)
            .filter(|pair| pair[0] == "-device");
        let on_a_bus =
            devices.filter(|pair| !pair[1].contains("iommu") && !pair[1].contains("isa-"));
        for pair in on_a_bus {
            assert!(
                pair[1].contains("bus=") && pair[1].contains("addr="),
                "{}",
                pair[1]
            );
        }
    }

    #[test]
    fn the_iommu_precedes_every_pci_device() {
        let platform = |iommu, text| pc(iommu).arguments.iter().position(|a| a.starts_with(text));
        assert!(platform(Iommu::Intel, "intel-iommu") < platform(Iommu::Intel, "pci-serial"));
        assert_eq!(platform(Iommu::Absent, "intel-iommu"), None);
        assert!(
            pc(Iommu::IntelOff)
                .kernel_parameters
                .contains(&"intel_iommu=off")
        );
    }
}
