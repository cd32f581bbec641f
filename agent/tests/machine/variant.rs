//! `vfio.driver=auto`: an index as depmod writes it, and what comes of it.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{Card, FakeMachine, Trouble};
use vfio_bind_agent::machine::alias_index::Aliases;
use vfio_bind_agent::pci::id::DeviceId;
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND};
use vfio_bind_agent::run;

const NIC: &str = "0000:03:00.2";
const GPU: &str = "0000:42:00.0";

/// A node of the tree that becomes the file.
#[derive(Default)]
struct Node {
    prefix: Vec<u8>,
    children: BTreeMap<u8, Node>,
    values: Vec<String>,
}

impl Node {
    fn insert(&mut self, key: &[u8], value: &str) {
        match key.split_first() {
            None => self.values.push(value.to_owned()),
            Some((first, rest)) => self.children.entry(*first).or_default().insert(rest, value),
        }
    }

    /// Takes the only child of a node without values into its prefix.
    fn compress(&mut self) {
        self.children.values_mut().for_each(Self::compress);
        if self.values.is_empty() && self.children.len() == 1 {
            let (letter, child) = self.children.pop_first().unwrap();
            self.prefix.push(letter);
            self.prefix.extend(child.prefix);
            (self.children, self.values) = (child.children, child.values);
        }
    }

    /// Appends what is below it and then itself; gives its place.
    fn write(&self, file: &mut Vec<u8>) -> u32 {
        let places: BTreeMap<_, _> = self
            .children
            .iter()
            .map(|(letter, child)| (*letter, child.write(file)))
            .collect();
        let mut place = u32::try_from(file.len()).unwrap();
        if !self.prefix.is_empty() {
            place |= 0x8000_0000;
            file.extend(&self.prefix);
            file.push(0);
        }
        if let (Some(first), Some(last)) = (places.keys().next(), places.keys().last()) {
            place |= 0x2000_0000;
            file.extend([*first, *last]);
            for letter in *first..=*last {
                let child = places.get(&letter).copied().unwrap_or_default();
                file.extend(child.to_be_bytes());
            }
        }
        if !self.values.is_empty() {
            place |= 0x4000_0000;
            file.extend(u32::try_from(self.values.len()).unwrap().to_be_bytes());
            for value in &self.values {
                file.extend(7u32.to_be_bytes());
                file.extend(value.as_bytes());
                file.push(0);
            }
        }
        place
    }
}

fn index(aliases: &[(&str, &str)]) -> Vec<u8> {
    let mut root = Node::default();
    for (alias, module) in aliases {
        root.insert(alias.as_bytes(), module);
    }
    root.compress();
    let mut nodes = vec![0; 12];
    let place = root.write(&mut nodes);
    nodes[..4].copy_from_slice(&0xb007_f457u32.to_be_bytes());
    nodes[4..8].copy_from_slice(&0x0002_0001u32.to_be_bytes());
    nodes[8..12].copy_from_slice(&place.to_be_bytes());
    nodes
}

/// The aliases of some drivers, as modules.alias has them.
const ALIASES: [(&str, &str); 7] = [
    ("pci:v000015B3d0000101Esv*sd*bc*sc*i*", "mlx5_core"),
    ("vfio_pci:v*d*sv*sd*bc*sc*i*", "vfio_pci"),
    ("vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*", "mlx5_vfio_pci"),
    (
        "vfio_pci:v000019E5d0000A251sv*sd*bc*sc*i*",
        "hisi_acc_vfio_pci",
    ),
    (
        "vfio_pci:v00001AF4d00001041sv00001AF4sd*bc*sc*i*",
        "virtio_vfio_pci",
    ),
    ("vfio_pci:v00008086d*sv*sd*bc03sc*i*", "xe_vfio_pci"),
    ("virtio:d00000001v*", "virtio_net"),
];

fn put(machine: &FakeMachine, bytes: &[u8]) {
    let folder = machine.path("lib/modules/6.1.0-test");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("modules.alias.bin"), bytes).unwrap();
    fs::create_dir_all(machine.path("proc/sys/kernel")).unwrap();
    fs::write(machine.path("proc/sys/kernel/osrelease"), "6.1.0-test\n").unwrap();
}

fn machine() -> FakeMachine {
    let machine = FakeMachine::new(&[
        Card::new(NIC, 0x15b3, 0x101e, 0x02_0000, 3).on("mlx5_core"),
        Card::new(GPU, 0x1234, 0x1111, 0x03_0000, 15),
    ]);
    put(&machine, &index(&ALIASES));
    machine
}

#[test]
fn the_driver_with_the_fewest_wildcards_is_the_best() {
    let machine = machine();
    let aliases = Aliases::open(&machine).unwrap();
    for (vendor, device, subvendor, class, best) in [
        (0x15b3, 0x101e, 0, 0x02_0000, Some("mlx5_vfio_pci")),
        (0x15b3, 0x101d, 0, 0x02_0000, None),
        (0x19e5, 0xa251, 7, 0x10_0000, Some("hisi_acc_vfio_pci")),
        (0x1af4, 0x1041, 0x1af4, 0x02_0000, Some("virtio_vfio_pci")),
        (0x1af4, 0x1041, 0x1af5, 0x02_0000, None),
        (0x8086, 0x56c0, 0, 0x03_8000, Some("xe_vfio_pci")),
        (0x8086, 0x56c0, 0, 0x04_0300, None),
    ] {
        let id = DeviceId {
            vendor,
            device,
            subvendor,
            class,
            ..DeviceId::default()
        };
        assert_eq!(aliases.best(&id).unwrap().as_deref(), best, "{id}");
    }
}

#[test]
fn an_index_that_is_cut_or_bent_is_told_and_never_trusted() {
    let whole = index(&ALIASES);
    let id = DeviceId {
        vendor: 0x15b3,
        device: 0x101e,
        ..DeviceId::default()
    };
    let machine = machine();
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 0xff;
        for bytes in [&whole[..at], &bent] {
            put(&machine, bytes);
            // Whatever it answers, it comes to an end and says only names that are in the file.
            if let Some(aliases) = Aliases::open(&machine) {
                let _ = aliases.best(&id);
            }
        }
    }
}

fn drive(machine: &FakeMachine, line: &str) -> u8 {
    run::perform(machine, line.as_bytes(), &|| 0, &mut |record| record.exit())
}

#[test]
fn each_function_gets_its_own_driver() {
    let machine = machine();
    assert_eq!(drive(&machine, "vfio.bind=03:00.2,42:00.0"), EXIT_DONE);
    assert_eq!(machine.driver(NIC).as_deref(), Some("mlx5_vfio_pci"));
    assert_eq!(machine.driver(GPU).as_deref(), Some("vfio-pci"));
    let events = machine.take_events();
    let loads = events.iter().filter(|event| event.starts_with("modprobe"));
    assert_eq!(
        loads.collect::<Vec<_>>(),
        ["modprobe mlx5_vfio_pci", "modprobe vfio-pci"]
    );
}

#[test]
fn a_name_forces_one_and_no_index_means_vfio_pci() {
    let machine = machine();
    assert_eq!(
        drive(&machine, "vfio.bind=03:00.2 vfio.driver=vfio-pci"),
        EXIT_DONE
    );
    assert_eq!(machine.driver(NIC).as_deref(), Some("vfio-pci"));

    let machine = self::machine();
    fs::remove_dir_all(machine.path("lib")).unwrap();
    assert_eq!(drive(&machine, "vfio.bind=03:00.2"), EXIT_DONE);
    assert_eq!(machine.driver(NIC).as_deref(), Some("vfio-pci"));
}

#[test]
fn a_driver_that_cannot_be_loaded_gives_the_function_back() {
    let machine = machine().with(Trouble::no_module());
    assert_eq!(drive(&machine, "vfio.bind=03:00.2,42:00.0"), EXIT_NOT_BOUND);
    assert_eq!(machine.driver(NIC).as_deref(), Some("mlx5_core"));
    assert_eq!(machine.driver_override(NIC), "");
}

#[test]
fn what_a_module_calls_its_driver_is_what_counts() {
    for (driver, expected) in [("mlx5-of-vfio", "mlx5-of-vfio"), ("", "vfio-pci")] {
        let machine = machine().with(Trouble {
            named: vec![("mlx5_vfio_pci", driver)],
            ..Trouble::default()
        });
        assert_eq!(drive(&machine, "vfio.bind=03:00.2"), EXIT_DONE, "{driver}");
        assert_eq!(machine.driver(NIC).as_deref(), Some(expected));
        assert_eq!(machine.driver_override(NIC), expected);
        // Once more, with the driver there.
        assert_eq!(drive(&machine, "vfio.bind=03:00.2"), EXIT_DONE, "{driver}");
        let events = machine.take_events();
        let overrides = events
            .iter()
            .filter(|event| event.contains("driver_override"));
        assert_eq!(overrides.count(), 1, "{events:?}");
    }
}

#[test]
fn a_driver_that_cannot_be_loaded_is_asked_for_once_and_leaves_all_to_vfio_pci() {
    const SECOND: &str = "0000:03:00.3";
    let machine = machine().with(Trouble {
        missing: vec!["mlx5_vfio_pci"],
        ..Trouble::default()
    });
    machine.insert(&Card::new(SECOND, 0x15b3, 0x101e, 0x02_0000, 4).on("mlx5_core"));
    let line = "vfio.bind=03:00.2,03:00.3,42:00.0";
    assert_eq!(drive(&machine, line), EXIT_DONE);
    for address in [NIC, SECOND, GPU] {
        assert_eq!(machine.driver(address).as_deref(), Some("vfio-pci"));
    }
    let events = machine.take_events().into_iter();
    let loads: Vec<_> = events
        .filter(|event| event.starts_with("modprobe"))
        .collect();
    assert_eq!(loads, ["modprobe mlx5_vfio_pci", "modprobe vfio-pci"]);
}

#[test]
fn a_group_of_which_one_driver_is_missing_is_not_taken_from_the_others() {
    let machine = machine().with(Trouble {
        missing: vec!["vfio-pci"],
        ..Trouble::default()
    });
    // It shares the group of the NIC, which has a driver of its own to go to.
    let sibling = "0000:03:00.3";
    machine.insert(&Card::new(sibling, 0x8086, 0x10d3, 0x02_0000, 3).on("e1000e"));
    assert_eq!(drive(&machine, "vfio.bind=03:00.2"), EXIT_NOT_BOUND);
    assert_eq!(machine.driver(NIC).as_deref(), Some("mlx5_core"));
    assert_eq!(machine.driver(sibling).as_deref(), Some("e1000e"));
    let events = machine.take_events();
    let unbound = events.iter().any(|event| event.contains("unbind"));
    assert!(!unbound, "{events:?}");
}
