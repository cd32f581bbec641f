//! Cards that are put into a PC while it runs.

use super::{Card, Device, Iommu, Machine, audio, device, disk, pc};

/// A network card that is plugged in.
pub const HOT_NIC: &str = "0000:03:00.0";
/// A disk that is plugged in.
pub const HOT_DISK: &str = "0000:04:00.0";
/// The first function of a card that is plugged in.
pub const HOT_CARD: &str = "0000:05:00.0";
/// A disk that is plugged in and makes virtual functions.
pub const HOT_PF: &str = "0000:06:00.0";
/// What is made of it.
pub const HOT_VF: [&str; 4] = [
    "0000:06:00.1",
    "0000:06:00.2",
    "0000:06:00.3",
    "0000:06:00.4",
];
/// The second function of that card, in the group of [`HOT_CARD`].
pub const HOT_CARD_AUDIO: &str = "0000:05:00.1";

const fn nic(address: &'static str) -> Device {
    let ids = "8086:10d3:8086:0000";
    device(address, "network card", ids, "020000", "e1000e")
}

#[rustfmt::skip]
const CARDS: [Card; 4] = [
    Card { name: "nic", functions: &[
        (nic(HOT_NIC), "e1000e,bus=hot3,addr=00.0,romfile="),
    ] },
    Card { name: "disk", functions: &[
        (disk(HOT_DISK), "nvme,bus=hot4,addr=00.0,drive=hot,serial=hot"),
    ] },
    // A kernel that scans the bus puts functions into one group where the header of each says that there
    // are several.
    Card { name: "card", functions: &[
        (nic(HOT_CARD), "e1000e,bus=hot5,addr=00.0,multifunction=on,romfile="),
        (audio(HOT_CARD_AUDIO), "intel-hda,bus=hot5,addr=00.1,multifunction=on"),
    ] },
    Card { name: "maker", functions: &[
        (disk(HOT_PF), "nvme,bus=hot6,addr=00.0,serial=maker,subsys=maker,sriov_max_vfs=4,sriov_vq_flexible=8,\
                        sriov_vi_flexible=4,max_ioqpairs=26,msix_qsize=27"),
    ] },
];

/// [`pc`] with four ports more, which are empty until a card of its own is plugged into each.
///
/// ```text
/// 0000:00 ─┬─ 06.0  root port ────── 03    network card
///          ├─ 09.0  root port ────── 04    NVMe
///          ├─ 0a.0  root port ────── 05    another with audio beside it, in one group
///          └─ 0b.0  root port ────── 06    NVMe that makes virtual functions, a group each
/// ```
#[must_use]
#[rustfmt::skip]
pub fn with_ports(iommu: Iommu) -> Machine {
    let mut machine = pc(iommu);
    machine.arguments.extend([
        "-device", "pcie-root-port,id=hot3,bus=pcie.0,addr=06.0,chassis=3,slot=3",
        "-device", "pcie-root-port,id=hot4,bus=pcie.0,addr=09.0,chassis=4,slot=4",
        "-device", "pcie-root-port,id=hot5,bus=pcie.0,addr=0a.0,chassis=5,slot=5",
        "-device", "pcie-root-port,id=hot6,bus=pcie.0,addr=0b.0,chassis=6,slot=6",
        "-device", "nvme-subsys,id=maker",
        "-blockdev", "driver=null-co,node-name=hot,size=67108864,read-zeroes=on",
    ]);
    machine.cards = &CARDS;
    machine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_has_a_port_and_an_address_of_its_own() {
        let machine = with_ports(Iommu::Intel);
        for card in machine.cards {
            for (device, words) in card.functions {
                assert!(machine.device(device.address).is_none(), "{}", card.name);
                let bus = words.split(',').find_map(|word| word.strip_prefix("bus="));
                let port = format!("pcie-root-port,id={},", bus.unwrap());
                let ports = machine.arguments.iter().filter(|a| a.starts_with(&port));
                assert_eq!(ports.count(), 1, "{words}");
            }
        }
    }
}
