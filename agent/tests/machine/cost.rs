//! What a plan costs, as a ratio within one run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use vfio_bind_agent::machine::inventory::{Function, Inventory};
use vfio_bind_agent::machine::sriov::Role;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::pci::id::DeviceId;
use vfio_bind_agent::plan::Planning;
use vfio_bind_agent::policy::Policy;
use vfio_bind_agent::policy::sources::Sources;

fn inventory(functions: u16) -> Box<Inventory> {
    let mut inventory = Box::<Inventory>::default();
    for number in 0..functions {
        let [bus, rest] = number.to_be_bytes();
        let address = format!("0000:{bus:02x}:{:02x}.{}", rest >> 3, rest & 7);
        inventory.add(Function {
            address: Address::parse(address.as_bytes()).unwrap(),
            id: DeviceId {
                vendor: 0x8086,
                device: 0x10ed + u32::from(number % 2),
                class: 0x02_0000,
                ..DeviceId::default()
            },
            group: Some(7),
            bridge: false,
            buses: (0, 0),
            way: None,
            boot_display: false,
            in_doubt: false,
            role: Role::Plain,
            driver: None,
        });
    }
    inventory.sort();
    inventory
}

fn time(line: &str, functions: u16) -> Duration {
    let inventory = inventory(functions);
    let policy = Policy::read(&Sources {
        line: line.as_bytes(),
        ..Sources::default()
    });
    let once = || {
        let start = Instant::now();
        let mut planning = Planning::EMPTY;
        planning.make(&policy, &inventory);
        black_box(&planning.plan);
        start.elapsed()
    };
    (0..5).map(|_| once()).min().unwrap()
}

#[test]
fn a_plan_costs_as_much_for_each_function_of_a_large_group_as_of_a_small_one() {
    for line in [
        "vfio.bind=8086:10ed",
        // Refused as a whole.
        "vfio.bind=8086:10ed vfio.group=strict",
        "vfio.bind=8086:10ed,!07:1f.7",
        "vfio_pci.ids=8086:10ed",
    ] {
        let (small, large) = (time(line, 256), time(line, 2048));
        // Eight times as many: 8 where the cost of each is the same, 64 where it grows with their number.
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        assert!(ratio < 24.0, "{line}: {small:?}, {large:?}");
    }
}
