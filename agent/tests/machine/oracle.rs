//! What docs/policy.md and the man page say of a policy on a machine: which functions are taken, and the exit
//! status of the plan.
//!
//! It was written from those two pages alone, and knows no file of the library. It reads the tree of a
//! machine itself, and gets the policy as what it means, of which the agent gets the text.

use std::collections::BTreeSet;
use std::fs;

use crate::asked::{Effect, Item, KernelId, Policy, Target, Word};
use crate::support::FakeMachine;

/// A slot of each machine, without a card.
pub const EMPTY_SLOT: &str = "vacant";

/// Where a function is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub domain: u32,
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

impl Place {
    fn device(self) -> (u32, u8, u8) {
        (self.domain, self.bus, self.device)
    }
}

/// What sysfs shows of a function.
#[derive(Clone, Debug)]
pub struct Node {
    pub address: String,
    pub place: Place,
    /// Vendor, device, subvendor, subdevice.
    pub ids: [u32; 4],
    pub class: u32,
    /// The buses behind a bridge.
    buses: Option<(u8, u8)>,
    pub group: Option<String>,
    /// Through the bridges, where there are any.
    pub path: Option<String>,
    pub serial: Option<u64>,
    pub slot: Option<String>,
    pub label: Option<String>,
    pub acpi: Option<String>,
    /// Whether vfio-pci has it already.
    pub taken: bool,
    /// How many virtual functions it makes at most.
    pub makes: u16,
    /// What made it, where it is a virtual function, and which of those it is: "the number in their `virtfnN`
    /// link".
    pub made_by: Option<(String, u16)>,
}

fn hex(digits: &str) -> u32 {
    u32::from_str_radix(digits, 16).unwrap()
}

impl Node {
    pub fn read(machine: &FakeMachine, address: &str) -> Self {
        let entry = machine.path("sys/bus/pci/devices").join(address);
        let text = |file: &str| Some(fs::read_to_string(entry.join(file)).ok()?.trim().to_owned());
        let fields: Vec<_> = address.split([':', '.']).map(hex).collect();
        let place = Place {
            domain: fields[0],
            bus: fields[1] as u8,
            device: fields[2] as u8,
            function: fields[3] as u8,
        };
        // pci:v000010DEd00001B80sv00001458sd00003702bc03sc00i00
        let modalias = text("modalias").unwrap();
        let part = |from: usize, count: usize| hex(&modalias[from..from + count]);
        let bus = |file: &str| text(file)?.parse().ok();
        let group = fs::read_link(entry.join("iommu_group")).ok();
        let slots = fs::read_dir(machine.path("sys/bus/pci/slots"))
            .unwrap()
            .map(Result::unwrap);
        let mut own_slot = slots.filter(|slot| {
            let place = fs::read_to_string(slot.path().join("address")).unwrap();
            address.starts_with(place.trim())
        });
        // ../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0
        let real = fs::read_link(&entry).unwrap();
        let steps: Vec<_> = real
            .iter()
            .map(|step| step.to_str().unwrap())
            .skip(5)
            .collect();
        let below = steps
            .iter()
            .skip(1)
            .map(|step| format!("/{}", &step[step.len() - 4..]));
        Self {
            address: address.to_owned(),
            place,
            ids: [(5, 8), (14, 8), (24, 8), (34, 8)].map(|(from, count)| part(from, count)),
            class: part(44, 2) << 16 | part(48, 2) << 8 | part(51, 2),
            buses: bus("secondary_bus_number").zip(bus("subordinate_bus_number")),
            group: group.map(|link| link.file_name().unwrap().to_str().unwrap().to_owned()),
            // Of a virtual function it is that of a place where nothing else is.
            path: (steps.len() > 1 && !entry.join("physfn").exists())
                .then(|| format!("{}{}", steps[0], below.collect::<String>())),
            serial: fs::read(entry.join("config")).ok().map(|config| {
                let half = |at: usize| u32::from_le_bytes(config[at..at + 4].try_into().unwrap());
                u64::from(half(0x108)) << 32 | u64::from(half(0x104))
            }),
            slot: own_slot
                .next()
                .map(|slot| slot.file_name().into_string().unwrap()),
            label: text("label"),
            acpi: text("firmware_node/path"),
            taken: machine.driver(address).as_deref() == Some("vfio-pci"),
            makes: text("sriov_totalvfs").map_or(0, |total| total.parse().unwrap()),
            made_by: fs::read_link(entry.join("physfn")).ok().map(|link| {
                let pf = link.file_name().unwrap().to_str().unwrap();
                let own = |index: &u16| {
                    let link = format!("sys/bus/pci/devices/{pf}/virtfn{index}");
                    fs::read_link(machine.path(&link)).is_ok_and(|link| link.ends_with(address))
                };
                (pf.to_owned(), (0..).find(own).unwrap())
            }),
        }
    }

    /// "Machine bridges, ISA bridges, memory controllers, SMBus and IOMMUs".
    fn is_system(&self) -> bool {
        self.class >> 16 == 0x05 || [0x0600, 0x0601, 0x0c05, 0x0806].contains(&(self.class >> 8))
    }

    /// "What stores (class 01)".
    fn stores(&self) -> bool {
        self.class >> 16 == 0x01
    }

    /// "An Intel VMD controller, known by its ID".
    fn is_vmd(&self) -> bool {
        let models = [
            0x201d, 0x28c0, 0x467f, 0x4c3d, 0x7d0b, 0x9a0b, 0xa77f, 0xad0b, 0xb06f, 0xb60b,
        ];
        self.ids[0] == 0x8086 && models.contains(&self.ids[1])
    }

    fn has(&self, id: (u32, u32)) -> bool {
        (self.ids[0], self.ids[1]) == id
    }

    pub fn is_like(&self, (ids, class): &KernelId) -> bool {
        ids.iter()
            .zip(self.ids)
            .all(|(asked, own)| asked.is_none_or(|id| id == own))
            && class.is_none_or(|(class, mask)| (class ^ self.class) & mask == 0)
    }

    fn is_behind(&self, bridge: &Self) -> bool {
        let within =
            |(first, last): (u8, u8)| first > 0 && (first..=last).contains(&self.place.bus);
        bridge.place.domain == self.place.domain && bridge.buses.is_some_and(within)
    }
}

/// The one question: the rules of docs/policy.md, for one machine and one policy.
struct Oracle<'a> {
    nodes: &'a [Node],
    /// The display that the machine boots on.
    display: Option<&'a str>,
    binds: Vec<&'a Item>,
    excludes: Vec<&'a Item>,
    protects: Vec<&'a Item>,
    /// Those of the owner among them.
    owners: Vec<&'a Item>,
    ids: &'a [KernelId],
    group: &'a str,
    force: bool,
    /// "An image that has no list of what its system boots from, or one that says it is not whole".
    unlisted: bool,
    /// Nothing is done at all.
    off: bool,
    /// "Could not be understood".
    unclear: bool,
    /// "A mistake in any other part of the policy is told".
    mistaken: bool,
}

impl<'a> Oracle<'a> {
    fn new(nodes: &'a [Node], display: Option<&'a str>, policy: &'a Policy) -> Self {
        let mut this = Self {
            nodes,
            display,
            binds: Vec::new(),
            excludes: Vec::new(),
            protects: Vec::new(),
            owners: Vec::new(),
            ids: [&policy.modprobe, &policy.modules]
                .into_iter()
                .flatten()
                .next_back()
                .map_or(&[], Vec::as_slice),
            group: "endpoints",
            force: false,
            unlisted: policy.recorded.is_none(),
            // "In a crash kernel, which inherits the command line".
            off: policy
                .line
                .iter()
                .any(|word| matches!(word, Word::Other("elfcorehdr=0x1"))),
            unclear: false,
            // In a file only its own words count.
            mistaken: policy
                .file
                .iter()
                .any(|word| matches!(word, Word::Other(text) if !text.contains("vfio"))),
        };
        for word in policy.recorded.iter().flatten().chain(policy.words()) {
            match word {
                Word::Bind(items) => {
                    this.binds
                        .extend(items.iter().filter(|item| !item.excludes));
                    this.excludes
                        .extend(items.iter().filter(|item| item.excludes));
                }
                Word::Protect(items) => this.protects.extend(items),
                Word::Ids(ids) => this.ids = ids,
                Word::Group(mode) => {
                    this.group = mode;
                    this.mistaken |= *mode == "most";
                }
                Word::Force(force) => this.force = *force,
                Word::Off => this.off = true,
                Word::Unprotected(_) => this.unlisted = true,
                Word::Mistake(text, effect) => {
                    this.mistaken = true;
                    this.force &= !text.starts_with("vfio.force");
                    this.unclear |= *effect == Effect::BindsNothing;
                }
                Word::Other(_) => {}
            }
        }
        let protects = |word: &'a Word| match word {
            Word::Protect(items) => items.as_slice(),
            _ => &[],
        };
        this.owners = policy.words().flat_map(protects).collect();
        let mut recorded = policy.recorded.iter().flatten().flat_map(protects);
        let shared = |item: &&Item| this.is_shared(&item.target);
        this.unclear |= this.excludes.iter().chain(&this.protects).any(shared)
            || this.excludes.iter().any(|item| this.is_in_vain(item))
            // "Where a PF that an exclusion names is not there, or is another, nothing is bound".
            || this.owners.iter().any(|item| {
                item.virtuals.is_some() && item.id.is_some() && this.is_in_vain(item)
            });
        this.unlisted |= recorded.any(|item| this.is_in_vain(item));
        this
    }

    /// "A slot without a card is no mistake where no ID is given", nor "a domain that vmd brings later", nor, of
    /// virtual functions, "what is not made yet".
    fn comes_later(&self, item: &Item) -> bool {
        if item.virtuals.is_some() && self.is_there(item) {
            let mut all = self.nodes.iter();
            return all.any(|pf| self.can_make(item, pf));
        }
        let domain = match &item.target {
            Target::Function(place) | Target::Device(place) => place.domain,
            Target::Path(path) => hex(path.split(':').next().unwrap()),
            Target::Slot(name) => return name == EMPTY_SLOT && item.id.is_none(),
            _ => return false,
        };
        domain > 0xffff
            && self.nodes.iter().any(Node::is_vmd)
            && self.nodes.iter().all(|node| node.place.domain != domain)
    }

    /// "If an exclusion without `@ID` matches nothing".
    fn is_in_vain(&self, item: &Item) -> bool {
        let by_id = item.id.is_some() && item.virtuals.is_none();
        !by_id && !self.comes_later(item) && !self.is_there(item)
    }

    /// Whether what the selector describes is there: "`@ID` speaks of the PF" behind `vf:`.
    fn is_there(&self, item: &Item) -> bool {
        let mut all = self.nodes.iter();
        all.any(|node| self.names(item, node) && item.id.is_none_or(|id| node.has(id)))
    }

    /// Whether a function makes any virtual function that is meant.
    fn can_make(&self, item: &Item, pf: &Node) -> bool {
        let makes = |ranges: &Vec<(u16, u16)>| match ranges.as_slice() {
            [] => pf.makes > 0,
            ranges => ranges.iter().any(|(first, _)| *first < pf.makes),
        };
        item.virtuals.as_ref().is_some_and(makes) && self.names(item, pf) && self.fits(item, pf)
    }

    /// "Behind an ID or a class it narrows"; otherwise one function of a device with the ID will do.
    fn fits(&self, item: &Item, node: &Node) -> bool {
        let narrows = matches!(item.target, Target::Id(..) | Target::Class(..));
        self.sits_there(item) && (!narrows || item.id.is_none_or(|id| node.has(id)))
    }

    /// "A serial number that two devices share means neither, nor does another name of two functions".
    fn is_shared(&self, target: &Target) -> bool {
        let several = |mut owners: Vec<(u32, u8, u8, u8)>| {
            owners.dedup();
            owners.len() > 1
        };
        let owners = |name: &dyn Fn(&Node) -> bool, whole: bool| {
            let all = self
                .nodes
                .iter()
                .filter(|node| name(node))
                .map(|node| node.place);
            all.map(|at| {
                (
                    at.domain,
                    at.bus,
                    at.device,
                    if whole { 0 } else { at.function },
                )
            })
            .collect()
        };
        match target {
            Target::Serial(serial) => several(owners(&|node| node.serial == Some(*serial), true)),
            Target::Label(name) => {
                several(owners(&|node| node.label.as_ref() == Some(name), false))
            }
            Target::Acpi(name) => several(owners(&|node| node.acpi.as_ref() == Some(name), false)),
            _ => false,
        }
    }

    /// What a selector describes of a function: that itself, or behind `vf:` what made it, if it is one of those
    /// that are meant.
    fn described<'n>(&'n self, item: &Item, node: &'n Node) -> Option<&'n Node> {
        let Some(ranges) = &item.virtuals else {
            return Some(node);
        };
        let (pf, index) = node.made_by.as_ref()?;
        let is_meant = ranges.is_empty()
            || ranges
                .iter()
                .any(|(first, last)| (first..=last).contains(&index));
        let mut all = self.nodes.iter();
        all.find(|other| other.address == *pf).filter(|_| is_meant)
    }

    /// Whether a function is where the selector points, whatever `@ID` says.
    fn is_at(&self, item: &Item, node: &Node) -> bool {
        let described = self.described(item, node);
        described.is_some_and(|node| self.names(item, node))
    }

    /// Whether a function is the target of a selector.
    fn names(&self, item: &Item, node: &Node) -> bool {
        if self.is_shared(&item.target) {
            return false;
        }
        match &item.target {
            Target::Function(place) => *place == node.place,
            Target::Device(place) => place.device() == node.place.device(),
            Target::Path(path) => node.path.as_ref() == Some(path),
            Target::Id(ids, class) => node.is_like(&(*ids, *class)),
            Target::Class(class, digits) => node.class >> (24 - 4 * digits) == *class,
            Target::Serial(serial) => {
                let mut owners = self
                    .nodes
                    .iter()
                    .filter(|other| other.serial == Some(*serial));
                owners.any(|owner| owner.place.device() == node.place.device())
            }
            Target::Slot(name) => node.slot.as_ref() == Some(name),
            Target::Label(name) => node.label.as_ref() == Some(name),
            Target::Acpi(name) => node.acpi.as_ref() == Some(name),
        }
    }

    /// "Only if that sits there now, in one function of a device".
    fn sits_there(&self, item: &Item) -> bool {
        let there = |id| {
            self.nodes
                .iter()
                .any(|node| self.names(item, node) && node.has(id))
        };
        item.id.is_none_or(there)
    }

    fn selects(&self, item: &Item, node: &Node) -> bool {
        let described = self.described(item, node);
        described.is_some_and(|node| self.names(item, node) && self.fits(item, node))
    }

    /// "Whatever is to be left alone and has moved is known by its `@ID`".
    fn spares(&self, item: &Item, node: &Node) -> bool {
        let by_id = || {
            item.id.is_some_and(|id| node.has(id))
                && item.virtuals.is_none()
                && !self.sits_there(item)
                && !self.comes_later(item)
        };
        self.is_at(item, node) || by_id()
    }

    fn is_named(&self, node: &Node) -> bool {
        self.ids.iter().any(|id| node.is_like(id))
            || self.binds.iter().any(|item| self.selects(item, node))
    }

    /// "One by one (address, path, slot, serial number, label or ACPI node)".
    fn is_named_alone(&self, node: &Node) -> bool {
        let alone = |item: &&&Item| !matches!(item.target, Target::Id(..) | Target::Class(..));
        self.binds
            .iter()
            .filter(alone)
            .any(|item| self.selects(item, node))
    }

    /// "Unless they are named by whole ID or one by one".
    fn may_be_taken(&self, node: &Node) -> bool {
        let whole = |ids: &[Option<u32>; 4]| ids[0].is_some() && ids[1].is_some();
        let by_kernel = || self.ids.iter().any(|id| whole(&id.0) && node.is_like(id));
        let by_id = |item: &&Item| {
            matches!(item.target, Target::Id(ids, _) if whole(&ids)) && self.selects(item, node)
        };
        !node.is_system()
            || self.is_named_alone(node)
            || by_kernel()
            || self.binds.iter().any(by_id)
    }

    fn is_excluded(&self, node: &Node) -> bool {
        self.excludes.iter().any(|item| self.spares(item, node))
    }

    fn is_protected(&self, node: &Node) -> bool {
        let protects = |node: &Node| self.protects.iter().any(|item| self.spares(item, node));
        protects(node)
            || self
                .nodes
                .iter()
                .any(|bridge| node.is_behind(bridge) && protects(bridge))
    }

    /// Selected, and nothing about itself speaks against it.
    fn is_selected(&self, node: &Node) -> bool {
        self.is_named(node)
            && self.may_be_taken(node)
            && node.buses.is_none()
            && !self.is_excluded(node)
    }

    /// "What is not what `@ID` names"; "behind an ID or a class it narrows".
    fn is_another(&self, node: &Node) -> bool {
        let another = |item: &&Item| {
            let a_place = !matches!(item.target, Target::Id(..) | Target::Class(..));
            a_place && self.is_at(item, node) && !self.selects(item, node)
        };
        self.binds.iter().any(another) && !self.is_named(node)
    }

    fn is_blind_to(&self, node: &Node) -> bool {
        let unknown = self.unlisted && !self.force && !node.taken;
        unknown && node.stores() && !self.is_named_alone(node)
    }

    /// Whether something in a group refuses all of it.
    fn refuses(&self, member: &Node) -> bool {
        let listed = self.group == "listed";
        let endpoint = member.buses.is_none();
        let strict = !["endpoints", "listed"].contains(&self.group);
        let display = self.display == Some(&*member.address) && !self.is_named(member);
        (self.is_protected(member) && !self.force)
            || (member.is_vmd() && !self.is_selected(member))
            || (!listed && self.is_excluded(member))
            || (!listed && display && !self.force)
            || (!listed && endpoint && self.is_blind_to(member))
            || (strict && endpoint && !member.is_system() && !self.is_selected(member))
            || (!listed && self.is_another(member))
    }

    fn takes(&self, node: &Node) -> bool {
        let group = match &node.group {
            Some(group) if !self.off && !self.unclear => group,
            _ => return false,
        };
        let members = || {
            self.nodes
                .iter()
                .filter(|other| other.group.as_ref() == Some(group))
        };
        let sibling = self.group == "endpoints"
            && !node.is_system()
            && members().any(|member| self.is_selected(member));
        node.buses.is_none()
            && (self.is_selected(node) || sibling)
            && !self.is_excluded(node)
            && !self.is_blind_to(node)
            && !members().any(|member| self.refuses(member))
    }

    /// "Exit status: 0 done or nothing to do; 1 a function that was asked for is not bound", or "a selector
    /// of `vfio.bind=` or `vfio.protect=` matches nothing"; "2 the policy has an error".
    fn exit(&self) -> u8 {
        if self.off {
            return 0;
        }
        let asks = !self.binds.is_empty() || !self.excludes.is_empty() || !self.ids.is_empty();
        // "What the policy leaves alone, but vfio-pci had it before".
        let has_it = |node: &Node| {
            let left_alone = self.is_excluded(node) || (self.is_protected(node) && !self.force);
            node.taken && left_alone && self.ids.iter().any(|id| node.is_like(id))
        };
        let asked = |node: &Node| {
            has_it(node)
                || (self.is_named(node) || self.is_another(node)) && !self.is_excluded(node)
        };
        let missed = self
            .nodes
            .iter()
            .any(|node| asked(node) && !self.takes(node));
        let any = |wanted: &dyn Fn(&Node) -> bool| self.nodes.iter().any(wanted);
        let in_vain = self.binds.iter().any(|item| {
            let waits = item.virtuals.is_some() && self.comes_later(item);
            !waits && !any(&|node| self.selects(item, node))
        });
        let protects_in_vain = self
            .owners
            .iter()
            .any(|item| !any(&|node| self.spares(item, node)) && !self.comes_later(item));
        let moved = |item: &&'a Item| !self.sits_there(item) && !self.comes_later(item);
        let has_moved = || self.excludes.iter().chain(&self.owners).any(moved);
        if asks && (missed || in_vain || protects_in_vain) {
            1
        } else if self.mistaken || (asks && (self.unclear || has_moved())) {
            2
        } else {
            0
        }
    }
}

/// The functions that a policy takes, and the exit status.
pub fn expected(nodes: &[Node], display: Option<&str>, policy: &Policy) -> (BTreeSet<String>, u8) {
    let oracle = Oracle::new(nodes, display, policy);
    let taken = nodes.iter().filter(|node| oracle.takes(node));
    (
        taken.map(|node| node.address.clone()).collect(),
        oracle.exit(),
    )
}
