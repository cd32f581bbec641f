//! What the words of the command line select.

use crate::machine::{
    CARD_READER, GPU, GPU_AUDIO, NIC, NVME, SOUND, TWIN, TWIN_AUDIO, USB_A, USB_B, USB_C,
};
use crate::scenario::{Run, Scenario};

pub(super) fn scenarios() -> Vec<Scenario> {
    let card = || Run::new("agent").bound(&[GPU, GPU_AUDIO]);
    let bridged = || Run::new("agent").bound(&[NIC, SOUND, CARD_READER]);
    vec![
        Scenario::new(
            "gpu-by-address",
            "one address takes a card whole, graphics and audio, ahead of both native drivers",
            "vfio.bind=0000:42:00.0",
            card().says("0000:42:00.0").says("0000:42:00.1"),
        ),
        Scenario::new(
            "gpu-by-short-address",
            "an address without its domain, in the initramfs spelling of the parameter",
            "rd.vfio.bind=42:00.0",
            card(),
        ),
        Scenario::new(
            "nvme-by-id",
            "vendor and device select, in a group without siblings",
            "vfio.bind=1b36:0010",
            Run::new("agent").bound(&[NVME]),
        ),
        Scenario::new(
            "gpu-by-full-id",
            "subsystem, class and mask narrow an ID, and both cards of that make are taken",
            "vfio.bind=1234:1111:1af4:1100:038000:ffffff",
            card().bound(&[TWIN, TWIN_AUDIO]),
        ),
        Scenario::new(
            "gpu-by-kernel-ids",
            "vfio_pci.ids= with any device of a class selects as in the kernel, siblings included",
            "vfio_pci.ids=1274:ffffffff:ffffffff:ffffffff:00040000:00ff0000",
            bridged(),
        ),
        Scenario::new(
            "twins",
            "of two cards with equal IDs the one that is named is taken, the other stays native",
            "vfio.bind=0000:43:00.0",
            Run::new("agent").bound(&[TWIN, TWIN_AUDIO]),
        ),
        Scenario::new(
            "behind-a-bridge",
            "three cards behind a conventional bridge go together, and their bridge stays",
            "vfio.bind=0000:01:01.0",
            bridged(),
        ),
        Scenario::new(
            "slot",
            "an address without function is the whole slot",
            "vfio.bind=0000:42:00 vfio.group=listed",
            card(),
        ),
        Scenario::new(
            "slot-star",
            "so is `.*`, with functions that are not neighbours",
            "vfio.bind=0000:00:1d.* vfio.group=listed",
            Run::new("agent").bound(&[USB_A, USB_B, USB_C]),
        ),
        Scenario::new(
            "added-up",
            "several parameters add up, quotes and dashes are the kernel's",
            "vfio.bind=42:00.0 quiet word=\"a b\" \"vfio.bind=1b36:0010\" vfio-pci.ids=1234:1111 \
             rd.vfio.bind=!43:00.0",
            card().bound(&[NVME]),
        ),
        Scenario::new(
            "vanished",
            "a function that is not in the machine is named, and the others are taken",
            "vfio.bind=0000:42:00.0,0000:99:00.0",
            card().exit(1).says("0000:99:00.0"),
        ),
        Scenario::new(
            "not-ours",
            "a command line without any of our words changes nothing",
            "vfio_pcie.ids=1234:1111 bind=42:00.0 -- vfio.bind=42:00.0",
            Run::new("agent").state("nothing-asked").warning("`--`"),
        )
        .then(
            Run::new("without a word")
                .under("root=/dev/sda1 quiet")
                .traceless(),
        ),
    ]
}
