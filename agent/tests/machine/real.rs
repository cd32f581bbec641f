//! Plans for the captured machines against a second, simple computation, and under any order.
//!
//! The computation reads the tree itself, not the inventory: groups from the `iommu_group` links,
//! bridges by `secondary_bus_number`, classes from `modalias`, as docs/policy.md says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::plan::MACHINES;
use crate::support::FakeMachine;
use proptest::prelude::*;
use proptest::sample::Index;
use rustix::io::Errno;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::run;

/// What sysfs shows of a function.
#[derive(Clone, Debug)]
struct Node {
    id: String,
    class: u32,
    bridge: bool,
    group: Option<String>,
}

impl Node {
    /// Intel's table of VMD controllers.
    fn is_vmd(&self) -> bool {
        let models = "201d 28c0 467f 4c3d 7d0b 9a0b a77f ad0b b06f b60b";
        let mut models = models.split(' ');
        models.any(|model| self.id == format!("8086:{model}"))
    }

    /// Machine and ISA bridges, memory controllers, SMBus, IOMMUs.
    fn is_system(&self) -> bool {
        self.class >> 16 == 0x05 || matches!(self.class >> 8, 0x0600 | 0x0601 | 0x0c05 | 0x0806)
    }
}

fn nodes(machine: &FakeMachine) -> BTreeMap<String, Node> {
    let entries = fs::read_dir(machine.path("sys/bus/pci/devices")).unwrap();
    let node = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let last = |link: &str| {
            let target = fs::read_link(path.join(link)).ok()?;
            Some(target.file_name()?.to_str()?.to_owned())
        };
        // pci:v000010DEd00001B80sv00001458sd00003702bc03sc00i00
        let modalias = fs::read_to_string(path.join("modalias")).unwrap();
        let digits = |from: usize, count: usize| modalias[from..from + count].to_lowercase();
        let class = [(44, 2), (48, 2), (51, 2)].map(|(from, count)| digits(from, count));
        let node = Node {
            id: format!("{}:{}", digits(9, 4), digits(18, 4)),
            class: u32::from_str_radix(&class.concat(), 16).unwrap(),
            bridge: path.join("secondary_bus_number").exists(),
            group: last("iommu_group"),
        };
        (path.file_name().unwrap().to_str().unwrap().to_owned(), node)
    };
    entries.map(node).collect()
}

/// What becomes of functions, in a word.
type Result = BTreeMap<String, &'static str>;

/// What `vfio.bind=ADDRESS` alone comes to.
fn expected(nodes: &BTreeMap<String, Node>, address: &str) -> Result {
    let node = &nodes[address];
    let endpoints = || {
        nodes
            .iter()
            .filter(|(_, other)| other.group == node.group && !other.bridge)
    };
    let mut beside_vmd = endpoints()
        .filter(|(other, _)| *other != address)
        .map(|(_, other)| other.is_vmd());
    if node.bridge || node.group.is_none() || beside_vmd.any(|vmd| vmd) {
        return Result::from([(address.to_owned(), "refuse")]);
    }
    endpoints()
        .map(|(other, member)| {
            let stays = member.is_system() && other != address;
            (other.clone(), if stays { "leave" } else { "bind" })
        })
        .collect()
}

/// What the plan comes to.
fn planned(root: &dyn Root, line: &str) -> Result {
    let mut result = Result::new();
    run::rehearse(root, line.as_bytes(), run::Extent::Whole, &mut |record| {
        for step in &record.plan.steps {
            let address = record.inventory.get(step.function).unwrap().address;
            let word = match step.decision {
                Decision::Bind => "bind",
                Decision::Refuse(_) => "refuse",
                Decision::Leave(_) => "leave",
            };
            result.insert(address.to_string(), word);
        }
        record.exit()
    });
    result
}

#[test]
fn each_function_as_the_only_selector() {
    let mut count = 0;
    for name in MACHINES {
        let machine = FakeMachine::from_topology(name);
        let nodes = nodes(&machine);
        for address in nodes.keys() {
            let planned = planned(&machine, &format!("vfio.bind={address}"));
            assert_eq!(planned, expected(&nodes, address), "{name}: {address}");
            count += 1;
        }
    }
    assert!(count > 600, "{count} functions");
}

/// A root that lists in another order.
struct Shuffled<'m> {
    machine: &'m FakeMachine,
    /// Where each entry goes among those before it.
    places: Vec<Index>,
}

impl Root for Shuffled<'_> {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> std::result::Result<&'b [u8], Errno> {
        self.machine.read_at(path, offset, buffer)
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> std::result::Result<&'b [u8], Errno> {
        self.machine.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        self.machine.exists(path)
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> std::result::Result<(), Errno> {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        let mut places = self.places.iter().cycle();
        self.machine.list(path, &mut |entry| {
            let at = places.next().unwrap().index(entries.len() + 1);
            entries.insert(at, entry.to_vec());
        })?;
        entries.iter().for_each(|entry| each(entry));
        Ok(())
    }
}

/// A selector made of a function of the machine at hand.
#[derive(Clone, Debug)]
struct Asked {
    function: Index,
    by_id: bool,
    excludes: bool,
}

fn asked() -> impl Strategy<Value = Asked> {
    (any::<Index>(), any::<bool>(), prop::bool::weighted(0.3)).prop_map(
        |(function, by_id, excludes)| Asked {
            function,
            by_id,
            excludes,
        },
    )
}

thread_local! {
    /// Every machine, made once.
    static REAL: Vec<(FakeMachine, BTreeMap<String, Node>)> = MACHINES
        .iter()
        .map(|name| {
            let machine = FakeMachine::from_topology(name);
            let nodes = nodes(&machine);
            (machine, nodes)
        })
        .collect();
}

proptest! {
    #[test]
    fn no_plan_of_a_real_machine_takes_what_it_may_not(
        machine in any::<Index>(),
        asked in prop::collection::vec(asked(), 1..6),
        group in prop::sample::select(&["endpoints", "strict", "listed"][..]),
        places in prop::collection::vec(any::<Index>(), 1..64),
    ) {
        REAL.with(|machines| {
            let (machine, nodes) = machine.get(machines);
            let addresses: Vec<_> = nodes.keys().collect();
            let mut line = format!("vfio.group={group}");
            let (mut taken, mut excluded) = (BTreeSet::new(), BTreeSet::new());
            for Asked { function, by_id, excludes } in asked {
                let address = *function.get(&addresses);
                let id = &nodes[address].id;
                let same = |other: &&String| match by_id {
                    true => nodes[*other].id == *id,
                    false => *other == address,
                };
                let meant = addresses.iter().copied().filter(same);
                let (mark, set) = if excludes { ("!", &mut excluded) } else { ("", &mut taken) };
                set.extend(meant);
                line += &format!(" vfio.bind={mark}{}", if by_id { id } else { address });
            }
            let plan = planned(machine, &line);
            for (address, word) in &plan {
                let node = &nodes[address];
                if *word == "bind" {
                    prop_assert!(!node.bridge && node.group.is_some(), "{line}: {address}");
                    prop_assert!(!excluded.contains(address), "{line}: {address} is excluded");
                    let named = taken.contains(address);
                    prop_assert!(
                        named || (group == "endpoints" && !node.is_system()),
                        "{line}: nobody asked for {address}"
                    );
                }
            }
            for address in taken.difference(&excluded) {
                prop_assert!(plan.contains_key(*address), "{line}: no word of {address}");
            }
            let shuffled = Shuffled { machine, places };
            prop_assert_eq!(planned(&shuffled, &line), plan);
            Ok(())
        })?;
    }
}
