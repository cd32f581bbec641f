//! Names that stay when addresses change, what is protected, and which driver suits a model.

use crate::machine::{
    ADDED, CARD_READER, CARD_READER_MOVED, LAN, NIC, NIC_MOVED, NVME, SOUND, SOUND_MOVED,
};
use crate::scenario::{Run, Scenario, VARIANT};

/// The network card behind the conventional bridge, wherever that bus is.
const PATH: &str = "vfio.bind=00:03.0/01.0";

pub(super) fn scenarios() -> Vec<Scenario> {
    let lan = || Run::new("agent").bound(&[LAN]);
    let refused = |run: Run| run.exit(1).quiet();
    vec![
        Scenario::new(
            "path",
            "a path through the bridges names a function",
            PATH,
            Run::new("agent").bound(&[NIC, SOUND, CARD_READER]),
        ),
        Scenario::new(
            "path-on-other-buses",
            "the same path names the same function when an added card has moved all buses",
            PATH,
            Run::new("agent").bound(&[NIC_MOVED, SOUND_MOVED, CARD_READER_MOVED]),
        )
        .with_more_cards(),
        Scenario::new(
            "address-on-other-buses",
            "there, the address that the function had names the added card",
            "vfio.bind=0000:01:01.0",
            Run::new("agent").bound(&[ADDED]),
        )
        .with_more_cards(),
        Scenario::new(
            "other-id",
            "@ID refuses what sits in a place by now, with both IDs and where the other one is",
            "vfio.bind=0000:02:01.0@1b36:0010",
            refused(Run::new("agent").refused(&[NIC_MOVED]))
                .says("8086:100e sits there now")
                .says("0000:02:01.0@1b36:0010: 0000:03:00.0 is 1b36:0010 now"),
        )
        .with_more_cards(),
        Scenario::new(
            "serial-number",
            "a serial number, read from configuration space, names a card",
            "vfio.bind=dsn:52-54-00-ff-ff-12-34-56",
            lan(),
        )
        .with_more_cards(),
        Scenario::new(
            "slot-name",
            "the name of a physical slot names the card in it",
            "vfio.bind=slot:2",
            Run::new("agent").bound(&[NVME]),
        )
        .with_own_slots(),
        Scenario::new(
            "label",
            "the firmware's label, with a space in it, names a card",
            "\"vfio.bind=label:Onboard LAN\"",
            lan(),
        )
        .with_more_cards(),
        Scenario::new(
            "acpi-node",
            "the path of a node in ACPI names a card",
            "vfio.bind=acpi:\\_SB_.PCI0.S30_",
            lan(),
        )
        .with_more_cards(),
        Scenario::new(
            "class",
            "a class names every function of it, and what it sweeps up beside a protected one stays",
            "vfio.bind=class:0805,class:0108 vfio.protect=0000:01:01.0",
            Run::new("agent")
                .bound(&[NVME])
                .refused(&[CARD_READER])
                .exit(1),
        ),
        Scenario::new(
            "protected-sibling",
            "a protected sibling keeps its whole group, before the first write",
            "vfio.bind=0000:01:02.0 vfio.protect=00:03.0/01.0",
            refused(Run::new("agent").refused(&[SOUND]))
                .says("0000:01:01.0 of its IOMMU group is protected"),
        ),
        Scenario::new(
            "variant",
            "the vfio driver made for a model takes it, found in the image's own index of modules",
            "vfio.bind=0000:02:00.0",
            Run::new("agent")
                .bound(&[NVME])
                .says("-> vfio_bind_variant"),
        )
        .with_module(VARIANT)
        .driver(VARIANT),
        Scenario::new(
            "variant-declined",
            "vfio.driver=vfio-pci takes it all the same",
            "vfio.bind=0000:02:00.0 vfio.driver=vfio-pci",
            Run::new("agent").bound(&[NVME]),
        )
        .with_module(VARIANT),
        Scenario::new(
            "forced",
            "vfio.force takes the group all the same",
            "vfio.bind=0000:01:02.0 vfio.protect=00:03.0/01.0 vfio.force",
            Run::new("agent").bound(&[NIC, SOUND, CARD_READER]),
        ),
    ]
}
