//! Intel VMD controllers, which an initramfs sees before vmd has them.

use crate::support::{Card, FakeMachine};
use crate::taken::take;

#[test]
fn a_vmd_controller_is_known_by_its_id() {
    for device in [
        0x201d, 0x28c0, 0x467f, 0x4c3d, 0x7d0b, 0x9a0b, 0xa77f, 0xad0b, 0xb06f, 0xb60b,
    ] {
        // Class 08 as well, so that nothing but its ID speaks for it.
        for class in [0x01_0400, 0x08_8000] {
            let machine = FakeMachine::new(&[
                Card::new("0000:00:0e.0", 0x8086, device, class, 9),
                Card::new("0000:00:0f.0", 0x8086, 0x1572, 0x02_0000, 9),
            ]);
            for line in ["vfio.bind=00:0f.0", "vfio.bind=00:0f.0 vfio.group=listed"] {
                let taken = take(&machine, line);
                let shown = format!("8086:{device:04x}, {class:06x}, {line}");
                assert_eq!((taken.bound.len(), taken.exit), (0, 1), "{shown}");
                assert!(
                    taken.says("it shares its IOMMU group with the VMD controller 0000:00:0e.0"),
                    "{shown}: {}",
                    taken.messages
                );
            }
            let taken = take(&machine, "vfio.bind=00:0e.0");
            assert_eq!((taken.bound.len(), taken.exit), (2, 0), "8086:{device:04x}");
        }
    }
    // The same number of another vendor is another device.
    let machine = FakeMachine::new(&[
        Card::new("0000:00:0e.0", 0x10de, 0x9a0b, 0x03_0000, 9),
        Card::new("0000:00:0f.0", 0x8086, 0x1572, 0x02_0000, 9),
    ]);
    assert_eq!(take(&machine, "vfio.bind=00:0f.0").bound.len(), 2);
}
