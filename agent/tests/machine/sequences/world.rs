//! The machine, and what may happen to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use proptest::sample::Index;
use vfio_bind_agent::machine::{Loading, Machine};

use super::rules::{Before, Seen, broken};
use crate::agreement::name_it;
use crate::asked::{Item, KernelId, Policy, Target, Word};
use crate::oracle::{EMPTY_SLOT, Node};
use crate::random::Drafted;
use crate::support::{Card, FakeMachine, Trouble, network, write};

/// A function: address, IDs, class, group, native driver, bridges above it, and the bus behind it.
type Part = (
    &'static str,
    [u32; 2],
    u32,
    u32,
    &'static str,
    &'static str,
    u8,
);

/// Twins, a card of two functions, a group with what belongs to the machine, and a disk.
const PARTS: [Part; 12] = [
    (
        "0000:00:1c.0",
        [0x8086, 0xa338],
        0x06_0400,
        1,
        "pcieport",
        "0000:00",
        1,
    ),
    (
        "0000:00:1d.0",
        [0x8086, 0xa330],
        0x06_0400,
        16,
        "pcieport",
        "0000:00",
        2,
    ),
    (
        "0000:01:00.0",
        [0x10de, 0x1b80],
        0x03_0000,
        15,
        "nouveau",
        "0000:00/0000:00:1c.0",
        0,
    ),
    (
        "0000:01:00.1",
        [0x10de, 0x10f0],
        0x04_0300,
        15,
        "snd_hda_intel",
        "0000:00/0000:00:1c.0",
        0,
    ),
    (
        "0000:02:00.0",
        [0x144d, 0xa808],
        0x01_0802,
        16,
        "nvme",
        "0000:00/0000:00:1d.0",
        0,
    ),
    (
        "0000:02:00.1",
        [0x8086, 0x15f3],
        0x02_0000,
        16,
        "igc",
        "0000:00/0000:00:1d.0",
        0,
    ),
    (
        "0000:03:00.0",
        [0x8086, 0x1572],
        0x02_0000,
        17,
        "i40e",
        "0000:03",
        0,
    ),
    (
        "0000:03:00.1",
        [0x8086, 0x1572],
        0x02_0000,
        17,
        "i40e",
        "0000:03",
        0,
    ),
    (
        "0000:04:00.0",
        [0x10de, 0x1b80],
        0x03_0000,
        18,
        "nouveau",
        "0000:04",
        0,
    ),
    (
        "0000:00:1f.0",
        [0x8086, 0xa303],
        0x06_0100,
        19,
        "lpc_ich",
        "0000:00",
        0,
    ),
    (
        "0000:00:1f.3",
        [0x8086, 0xa348],
        0x04_0300,
        19,
        "snd_hda_intel",
        "0000:00",
        0,
    ),
    (
        "0000:00:1f.4",
        [0x8086, 0xa323],
        0x0c_0500,
        19,
        "i801_smbus",
        "0000:00",
        0,
    ),
];

/// What could make virtual functions, and is never asked to: policies speak of them all the same.
const PF: &str = "0000:03:00.0";

const DRIVERS: [&str; 7] = [
    "nouveau",
    "snd_hda_intel",
    "nvme",
    "igc",
    "i40e",
    "lpc_ich",
    "i801_smbus",
];

/// By the way to it.
fn is_behind(part: &Part, bridge: &Part) -> bool {
    part.5.ends_with(bridge.0)
}

fn driver(at: &Index) -> &'static str {
    DRIVERS[at.index(DRIVERS.len())]
}

fn card((address, [vendor, device], class, group, _, _, bus): &Part) -> Card {
    let card = Card::new(address, *vendor, *device, *class, *group);
    match bus {
        0 => card,
        bus => card.bridge_to(*bus, *bus),
    }
}

#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// The agent is run on the whole machine.
    Run,
    /// It is run for one function.
    Follow(Index),
    Plug(Index),
    Unplug(Index),
    /// What is removed and found again: its override is lost.
    Rescan(Index),
    Load(Index),
    Unload(Index),
    /// By somebody who gives it the IDs that modprobe would.
    LoadVfio,
    UnloadVfio,
}

fn happening() -> impl Strategy<Value = Happening> {
    let which = any::<Index>;
    prop_oneof![
        4 => Just(Happening::Run),
        4 => which().prop_map(Happening::Follow),
        2 => which().prop_map(Happening::Plug),
        2 => which().prop_map(Happening::Unplug),
        2 => which().prop_map(Happening::Rescan),
        2 => which().prop_map(Happening::Load),
        2 => which().prop_map(Happening::Unload),
        1 => Just(Happening::LoadVfio),
        1 => Just(Happening::UnloadVfio),
    ]
}

pub(super) fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    prop::collection::vec(happening(), 0..10)
}

/// How a machine begins.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    /// What is not plugged in yet.
    absent: Vec<Index>,
    /// Drivers that are not loaded yet.
    unloaded: Vec<Index>,
    vfio_loaded: bool,
    /// The image has no vfio-pci.
    no_module: bool,
    /// What vfio-pci's probe refuses.
    refused: Option<Index>,
    /// Groups come with the first probe.
    late: bool,
    /// What is asked for besides the rest of the policy.
    asked: Vec<Index>,
    hold: bool,
}

pub(super) fn beginning() -> impl Strategy<Value = Beginning> {
    let some = || prop::collection::vec(any::<Index>(), 0..5);
    let rest = (
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.15, any::<Index>()),
        prop::bool::weighted(0.25),
        prop::collection::vec(any::<Index>(), 0..3),
        prop::bool::weighted(0.3),
    );
    (some(), some(), rest).prop_map(|(absent, unloaded, rest)| {
        let (vfio_loaded, no_module, refused, late, asked, hold) = rest;
        Beginning {
            absent,
            unloaded,
            vfio_loaded,
            no_module,
            refused,
            late,
            asked,
            hold,
        }
    })
}

/// A machine with its policy, and all that has happened to it.
pub(super) struct World {
    pub(super) machine: FakeMachine,
    pub(super) policy: Policy,
    pub(super) late: bool,
    history: RefCell<Vec<String>>,
}

impl Beginning {
    pub(super) fn world(&self, drafted: &Drafted) -> World {
        let nodes = all_nodes();
        let mut policy = drafted.policy(&nodes);
        if !self.asked.is_empty() {
            let asked = self.asked.iter().map(|at| Item {
                excludes: false,
                target: Target::Function(at.get(&nodes).place),
                virtuals: None,
                id: None,
                short: true,
            });
            policy.line.push(Word::Bind(asked.collect()));
        }
        if self.hold {
            policy.line.push(Word::Other("vfio.onfail=hold"));
        }
        let ids = kernel_ids(&policy);
        let by_ids = nodes
            .iter()
            .filter(|node| ids.iter().any(|id| node.is_like(id)));
        let trouble = Trouble {
            no_module: self.no_module,
            probe_refuses: (self.refused.iter())
                .map(|at| at.get(&PARTS).0.to_owned())
                .collect(),
            by_ids: by_ids.map(|node| node.address.clone()).collect(),
            ..Trouble::default()
        };
        let machine = empty().with(trouble);
        // Which IOMMU it is decides when groups come.
        let (kind, late) = match self.late {
            true => ("0000:00:07.0", self.late),
            false => ("dmar0", false),
        };
        let machine = match late {
            true => machine.with_late_groups(kind),
            false => machine,
        };
        fs::create_dir_all(machine.path("sys/class/iommu").join(kind)).unwrap();
        fs::remove_file(machine.path("etc/vfio-bind/protected.conf")).unwrap();
        for (file, text) in policy.files() {
            write(&machine, file, text);
        }
        let unloaded: Vec<_> = self.unloaded.iter().map(driver).collect();
        for driver in DRIVERS.iter().filter(|driver| !unloaded.contains(driver)) {
            machine.load_driver(driver);
        }
        let absent: Vec<_> = self.absent.iter().map(|at| at.get(&PARTS).0).collect();
        let is_absent = |part: &Part| absent.contains(&part.0);
        for part in &PARTS {
            let mut above = PARTS.iter().filter(|bridge| is_behind(part, bridge));
            if !is_absent(part) && !above.any(is_absent) {
                plug(&machine, part);
            }
        }
        let machine = match self.vfio_loaded {
            true => machine.with_vfio_pci(),
            false => machine,
        };
        World {
            machine,
            policy,
            late: self.late,
            history: RefCell::default(),
        }
    }
}

/// A machine without functions.
fn empty() -> FakeMachine {
    let machine = FakeMachine::new(&[]);
    let vacant = format!("sys/bus/pci/slots/{EMPTY_SLOT}/address");
    write(&machine, &vacant, "0000:fe:1f\n");
    machine
}

thread_local! {
    /// All that may ever be there: policies are about that.
    static NODES: Vec<Node> = {
        let machine = empty();
        PARTS.iter().for_each(|part| plug(&machine, part));
        PARTS.map(|part| Node::read(&machine, part.0)).into()
    };
}

/// The functions that a machine may have.
pub(super) fn all_nodes() -> Vec<Node> {
    NODES.with(Clone::clone)
}

/// The IDs that modprobe gives to vfio-pci: the last list that it reads.
fn kernel_ids(policy: &Policy) -> Vec<KernelId> {
    let on_line = policy.line.iter().filter_map(|word| match word {
        Word::Ids(ids) => Some(ids),
        _ => None,
    });
    let ids = policy.modprobe.iter().chain(on_line).next_back();
    ids.cloned().unwrap_or_default()
}

fn plug(machine: &FakeMachine, part: &Part) {
    let (address, _, class, _, native, bridges, _) = part;
    machine.plug(&card(part), native, bridges);
    if class >> 8 == 0x0604 {
        machine.take_port(address);
    }
    if *address == PF {
        machine.offer_virtual(address, network());
    }
    let at = PARTS.iter().position(|other| other.0 == *address).unwrap();
    name_it(machine, at, address);
    show_slots(machine);
}

/// A slot is there as long as something is in it.
fn show_slots(machine: &FakeMachine) {
    let present = machine.addresses();
    for (at, part) in PARTS.iter().enumerate() {
        let Some(device) = part.0.strip_suffix(".0").filter(|_| at % 4 == 1) else {
            continue;
        };
        let slot = format!("sys/bus/pci/slots/{at}");
        match present.iter().any(|address| address.starts_with(device)) {
            true => write(machine, &format!("{slot}/address"), format!("{device}\n")),
            false => drop(fs::remove_dir_all(machine.path(&slot))),
        }
    }
}

impl World {
    pub(super) fn line(&self) -> String {
        self.policy.line()
    }

    pub(super) fn files(&self) -> BTreeMap<&'static str, String> {
        self.policy.files().into_iter().collect()
    }

    /// What was done to the machine, by whom.
    pub(super) fn history(&self) -> String {
        self.history.borrow().join("\n")
    }

    /// What happens, and what is wrong then.
    pub(super) fn see(&mut self, happening: &Happening) -> Result<(), String> {
        self.note(&format!("{happening:?}"));
        let machine = &self.machine;
        match happening {
            Happening::Run => return self.run(None),
            Happening::Follow(at) => return self.run(Some(at.get(&PARTS).0)),
            Happening::Plug(at) => self.plug(at.get(&PARTS)),
            Happening::Unplug(at) => self.unplug(at.get(&PARTS)),
            Happening::Rescan(at) => {
                let present = machine.addresses();
                self.unplug(at.get(&PARTS));
                let found = PARTS
                    .iter()
                    .filter(|part| present.iter().any(|a| a == part.0));
                found.for_each(|part| self.plug(part));
            }
            Happening::Load(at) => machine.load_driver(driver(at)),
            Happening::Unload(at) => machine.unload_driver(driver(at)),
            Happening::LoadVfio if !machine.has_driver("vfio-pci") => {
                let _ = machine.load_module("vfio-pci", Loading::default());
            }
            Happening::LoadVfio => {}
            Happening::UnloadVfio => machine.unload_driver("vfio-pci"),
        }
        machine.take_events();
        Ok(())
    }

    fn has(&self, part: &Part) -> bool {
        let addresses = self.machine.addresses();
        addresses.iter().any(|address| address == part.0)
    }

    fn plug(&self, part: &Part) {
        let mut above = PARTS.iter().filter(|bridge| is_behind(part, bridge));
        if !self.has(part) && above.all(|bridge| self.has(bridge)) {
            plug(&self.machine, part);
        }
    }

    /// What is behind it goes first.
    fn unplug(&self, part: &Part) {
        for gone in PARTS.iter().rev() {
            if gone.0 == part.0 || is_behind(gone, part) {
                self.machine.remove(gone.0);
            }
        }
        show_slots(&self.machine);
    }

    fn note(&self, text: &str) {
        self.history.borrow_mut().push(text.to_owned());
    }

    /// Runs the agent, and once more, which must find nothing to do.
    fn run(&self, focus: Option<&str>) -> Result<(), String> {
        for again in [false, true] {
            let before = Before::of(&self.machine);
            let seen = Seen::of_run(&self.machine, &self.line(), focus);
            self.note(&seen.told());
            let broken = broken(self, &before, &seen, focus, again);
            if !broken.is_empty() {
                let again = if again { "a second run: " } else { "" };
                return Err(format!("{again}{}", broken.join("; ")));
            }
        }
        Ok(())
    }
}
