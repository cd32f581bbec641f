//! The display that the machine boots on, which nobody may take by the way.

use crate::support::{Card, FakeMachine, write};
use crate::taken::{expect_untouched, take};

const GPU: &str = "0000:04:00.0";
const AUDIO: &str = "0000:04:00.6";
const USB: &str = "0000:04:00.3";

/// An APU, all of which is one group, and a card beside it.
fn machine() -> FakeMachine {
    FakeMachine::new(&[
        Card::new("0000:01:00.0", 0x10de, 0x1b80, 0x03_0000, 1),
        Card::new("0000:01:00.1", 0x10de, 0x10f0, 0x04_0300, 1),
        Card::new(GPU, 0x1002, 0x1638, 0x03_0000, 8),
        Card::new("0000:04:00.1", 0x1002, 0x1637, 0x04_0300, 8),
        Card::new(USB, 0x1022, 0x1639, 0x0c_0330, 8).on("xhci_hcd"),
        Card::new(AUDIO, 0x1022, 0x15e3, 0x04_0300, 8),
    ])
}

fn set_boot_vga(machine: &FakeMachine, address: &str, value: &str) {
    let file = format!("sys/bus/pci/devices/{address}/boot_vga");
    write(machine, &file, format!("{value}\n"));
}

/// Machines whose boot display is the APU's, by either sign.
fn machines() -> [(&'static str, FakeMachine); 3] {
    let by_vga = machine();
    set_boot_vga(&by_vga, GPU, "1");
    set_boot_vga(&by_vga, "0000:01:00.0", "0");
    let by_memory = machine();
    let iomem = "00000000-00000fff : Reserved\n\
                 d0000000-dfffffff : PCI Bus 0000:04\n  \
                 d0000000-dfffffff : 0000:04:00.0\n    d0000000-d07e8fff : BOOTFB\n";
    write(&by_memory, "proc/iomem", iomem);
    // The kernel's guess and the firmware's framebuffer are two displays then.
    let both = machine();
    set_boot_vga(&both, "0000:01:00.0", "1");
    write(&both, "proc/iomem", iomem);
    [("boot_vga", by_vga), ("iomem", by_memory), ("both", both)]
}

#[test]
fn the_boot_display_that_nobody_named_refuses_its_group() {
    for line in [
        "vfio.bind=04:00.6",
        "vfio.bind=class:04,!01:00.*",
        "vfio_pci.ids=1022:15e3",
        "vfio_pci.ids=1022:15e3,1002:1637,1022:1639",
        "vfio.bind=04:00.6 vfio_pci.ids=1022:1639",
    ] {
        for (sign, machine) in machines() {
            let taken = take(&machine, line);
            assert_eq!((taken.bound.len(), taken.exit), (0, 1), "{line}: {sign}");
            expect_untouched(&machine, line);
            let told = "0000:04:00.0 of its IOMMU group is the display that the machine boots on; \
                        vfio.bind=0000:04:00.0 takes it as well, as vfio.force does";
            assert!(
                taken.messages.contains(told),
                "{line}: {sign}: {}",
                taken.messages
            );
        }
    }
}

#[test]
fn who_names_the_display_or_forces_it_gets_it() {
    for line in [
        "vfio.bind=04:00.0",
        "vfio.bind=04:00.6,04:00.0",
        "vfio.bind=04:00",
        "vfio.bind=1002:1638",
        "vfio.bind=1002:*,!class:0c,04:00.3 vfio.group=listed",
        "vfio_pci.ids=1002:1638,1022:15e3",
        "vfio.bind=04:00.6 vfio_pci.ids=1002:1638",
        "vfio.bind=04:00.6 vfio.force",
    ] {
        for (sign, machine) in machines() {
            let taken = take(&machine, line);
            let there = taken.bound.contains(&GPU.to_owned());
            assert!(there, "{line}: {sign}: {}", taken.messages);
        }
    }
}

#[test]
fn under_listed_it_stays_where_it_is() {
    for (sign, machine) in machines() {
        let taken = take(&machine, "vfio.bind=04:00.6 vfio.group=listed");
        assert_eq!(taken.bound, [AUDIO], "{sign}");
    }
}

#[test]
fn another_display_goes_with_its_group() {
    let (_, machine) = machines().into_iter().next().unwrap();
    let taken = take(&machine, "vfio.bind=01:00.1");
    assert_eq!((taken.bound.len(), taken.exit), (2, 0));
}
