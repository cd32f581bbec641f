//! The planner against [`oracle`], by random policies on the captured machines.
//!
//! `VFIO_BIND_CASES=100000 cargo test -p vfio-bind-agent --test machine agreement` tries more of them. Where
//! the two differ, docs/policy.md says which is right, and a table test of the planner gets one more row.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use crate::asked::Policy;
use crate::oracle::{EMPTY_SLOT, Node, expected};
use crate::plan::MACHINES;
use crate::random::{Drafted, drafted};
use crate::support::{Card, FakeMachine, Virtual, address, network, topology, write};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseError, TestRunner};
use rustix::io::Errno;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::run;

/// What was read of a machine, or which way a link leads.
type Cache = RefCell<BTreeMap<String, Result<Vec<u8>, Errno>>>;

/// A machine with every kind of name.
pub struct Real {
    machine: FakeMachine,
    nodes: Vec<Node>,
    /// Nothing changes in it.
    files: Cache,
    links: Cache,
}

impl Real {
    fn new(name: &str) -> Self {
        let machine = FakeMachine::from_topology(name);
        let cards = topology(name);
        let vacant = format!("sys/bus/pci/slots/{EMPTY_SLOT}/address");
        write(&machine, &vacant, "0000:fe:1f\n");
        let mut ways = BTreeMap::new();
        for (at, card) in cards.iter().enumerate() {
            let (domain, rest) = card.address.split_once(':').unwrap();
            let bus = u32::from_str_radix(&rest[..2], 16).unwrap();
            let leads = |other: &&Card| {
                other.bridge
                    && other.address.starts_with(domain)
                    && other
                        .buses
                        .is_some_and(|(first, _)| u32::from(first) == bus && bus > 0)
            };
            let above = cards
                .iter()
                .find(leads)
                .map(|bridge| format!("{}/{}", ways[&bridge.address], bridge.address));
            let way = above.unwrap_or_else(|| format!("{domain}:{bus:02x}"));
            machine.put_behind(&card.address, &way);
            ways.insert(card.address.clone(), way);
            name_it(&machine, at, &card.address);
        }
        let machine = make_some(machine, &cards, &ways);
        let nodes = machine.addresses();
        let nodes = nodes
            .iter()
            .map(|address| Node::read(&machine, address))
            .collect();
        Self {
            machine,
            nodes,
            files: Cache::default(),
            links: Cache::default(),
        }
    }
}

/// How many virtual functions each of two functions has, of one more that it could make.
const MADE: u16 = 3;

/// The same with virtual functions: those of one function are on a bus of their own, those of another one, where
/// there is room, in its slot.
fn make_some(
    mut machine: FakeMachine,
    cards: &[Card],
    ways: &BTreeMap<String, String>,
) -> FakeMachine {
    let suits = |card: &&Card| {
        let native = card
            .driver
            .as_deref()
            .is_some_and(|driver| driver != "vfio-pci");
        native && !card.bridge && card.group.is_some() && matches!(card.class >> 16, 1 | 2)
    };
    for (first, card) in [1u16, 0].into_iter().zip(cards.iter().filter(suits)) {
        let pf = Address::parse(card.address.as_bytes()).unwrap();
        let vf = |offset: u16, index: u16| {
            let id = pf.routing_id().checked_add(offset)?.checked_add(index)?;
            Some(Address::from_routing_id(pf.domain, id).to_string())
        };
        let there = machine.addresses();
        let is_free = |offset: &u16| {
            let mut own = (0..MADE).map(|index| vf(*offset, index));
            own.all(|vf| vf.is_some_and(|vf| !there.contains(&vf)))
        };
        let offsets = [1].into_iter().chain((1..0xff).map(|bus| bus << 8));
        let Some(offset) = offsets.skip(first.into()).find(is_free) else {
            continue;
        };
        let kind = Virtual {
            offset,
            stride: 1,
            total: MADE + 1,
            ids: [card.ids[0], card.ids[1] + u32::from(first)],
            class: card.class,
            ..network()
        };
        machine = machine.with_virtual(&card.address, kind);
        machine.make_virtual(&card.address, MADE);
        for vf in (0..MADE).filter_map(|index| vf(offset, index)) {
            machine.put_behind(&vf, &ways[&card.address]);
        }
    }
    machine
}

/// Gives a function a name of some kind; some names are those of two devices.
pub fn name_it(machine: &FakeMachine, at: usize, address: &str) {
    let own = |file: &str| format!("sys/bus/pci/devices/{address}/{file}");
    let number = if at % 8 < 4 { at / 8 } else { 100 + at };
    match at % 4 {
        0 => {
            let mut config = vec![0; 0x110];
            config[0x100..0x104].copy_from_slice(&0x0001_0003u32.to_le_bytes());
            config[0x104..0x108].copy_from_slice(&(number as u32 / 2).to_le_bytes());
            config[0x108..0x10c].copy_from_slice(&0x0011_2233u32.to_le_bytes());
            write(machine, &own("config"), config);
        }
        1 if address.ends_with(".0") => {
            let device = address.strip_suffix(".0").unwrap();
            write(
                machine,
                &format!("sys/bus/pci/slots/{at}/address"),
                format!("{device}\n"),
            );
        }
        2 => write(
            machine,
            &own("label"),
            format!("Onboard LAN {}\n", number / 2),
        ),
        _ => write(
            machine,
            &own("firmware_node/path"),
            format!("\\_SB_.PCI0.D{number:03X}\n"),
        ),
    }
}

/// A machine's tree with other files in some places.
pub struct Image<'m> {
    real: &'m Real,
    display: Option<String>,
    files: BTreeMap<String, String>,
}

/// As much as there is room for, of what is in the cache or gets there.
fn from_cache<'b>(
    cache: &Cache,
    path: &str,
    buffer: &'b mut [u8],
    read: impl FnOnce() -> Result<Vec<u8>, Errno>,
) -> Result<&'b [u8], Errno> {
    let mut cache = cache.borrow_mut();
    if !cache.contains_key(path) {
        cache.insert(path.to_owned(), read());
    }
    let content = cache[path].as_deref().map_err(|errno| *errno)?;
    Ok(copy(content, buffer))
}

fn copy<'b>(content: &[u8], buffer: &'b mut [u8]) -> &'b [u8] {
    let length = content.len().min(buffer.len());
    buffer[..length].copy_from_slice(&content[..length]);
    &buffer[..length]
}

impl Root for Image<'_> {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        let Real { machine, files, .. } = self.real;
        match self.files.get(path) {
            Some(text) => Ok(copy(&text.as_bytes()[offset as usize..], buffer)),
            None if path.starts_with("etc/") || path == "proc/iomem" => Err(Errno::NOENT),
            None if offset > 0 => machine.read_at(path, offset, buffer),
            None => from_cache(files, path, buffer, || {
                machine.read(path, &mut [0; 4096]).map(<[u8]>::to_vec)
            }),
        }
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let Real { machine, links, .. } = self.real;
        from_cache(links, path, buffer, || {
            machine.link(path, &mut [0; 4096]).map(<[u8]>::to_vec)
        })
    }

    fn exists(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.real.machine.exists(path)
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        let inside = self
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(path)?.strip_prefix('/'));
        let names: Vec<_> = inside.collect();
        match path.starts_with("etc/") {
            true => names.iter().for_each(|name| each(name.as_bytes())),
            false => self.real.machine.list(path, each)?,
        }
        Ok(())
    }
}

/// What the agent would take, and its exit status.
fn planned(image: &Image<'_>, line: &str) -> (BTreeSet<String>, u8) {
    let mut planned = BTreeSet::new();
    let exit = run::rehearse(image, line.as_bytes(), run::Extent::Whole, &mut |record| {
        let bound = record
            .plan
            .steps
            .iter()
            .filter(|step| step.decision == Decision::Bind);
        planned.extend(bound.map(|step| address(record, step)));
        record.exit()
    });
    (planned, exit)
}

/// All that a plan comes to, and whether the whole machine was looked at for it.
fn told(image: &Image<'_>, line: &str, extent: run::Extent) -> (Vec<String>, bool) {
    let mut told = Vec::new();
    let mut whole = true;
    let exit = run::rehearse(image, line.as_bytes(), extent, &mut |record| {
        whole = record.inventory.whole;
        for step in &record.plan.steps {
            let function = record.inventory.get(step.function).unwrap();
            let (address, reason) = (function.address, step.reason(record.policy));
            told.push(format!("{address} {reason} {:?}", step.decision));
        }
        let problems = record.policy.problems.iter();
        told.extend(problems.map(|problem| problem.to_string()));
        told.extend(crate::support::unmatched(record));
        told.push(format!(
            "{} {}",
            record.state, record.plan.without_kernel_ids
        ));
        record.exit()
    });
    told.push(exit.to_string());
    (told, whole)
}

/// Compares what is planned after a look at the whole machine and at what is needed; gives whether less
/// was looked at.
fn compare_extents(image: &Image<'_>, line: &str) -> Result<bool, String> {
    let (all, _) = told(image, line, run::Extent::Whole);
    let (needed, whole) = told(image, line, run::Extent::Needed);
    match all == needed {
        true => Ok(!whole),
        false => Err(format!(
            "`{line}`: the whole machine\n{all:#?}\nwhat is needed\n{needed:#?}"
        )),
    }
}

/// A machine with the files of a policy, and a display that it boots on.
fn image<'m>(
    real: &'m Real,
    display: Option<&str>,
    framebuffer: bool,
    policy: &Policy,
) -> Image<'m> {
    let mut files: BTreeMap<_, _> = policy
        .files()
        .into_iter()
        .map(|(file, text)| (file.to_owned(), text))
        .collect();
    if let Some(address) = display {
        match framebuffer {
            true => files.insert(
                "proc/iomem".to_owned(),
                format!("c0000000-c0ffffff : {address}\n  c0000000-c02fffff : BOOTFB\n"),
            ),
            false => files.insert(
                format!("sys/bus/pci/devices/{address}/boot_vga"),
                "1\n".to_owned(),
            ),
        };
    }
    let display = display.map(str::to_owned);
    Image {
        real,
        display,
        files,
    }
}

/// Compares the two, and says what is compared where they differ.
fn compare(image: &Image<'_>, policy: &Policy) -> Result<usize, String> {
    let (planned, expected) = (
        planned(image, &policy.line()),
        expected(&image.real.nodes, image.display.as_deref(), policy),
    );
    match planned == expected {
        true => Ok(expected.0.len()),
        false => Err(format!(
            "`{}` with {:?}\nthe agent would take {:?}\ndocs/policy.md says {:?}",
            policy.line(),
            image.files,
            planned,
            expected
        )),
    }
}

/// How many cases are compared.
pub fn compared_cases() -> u32 {
    std::env::var("VFIO_BIND_CASES").map_or(2000, |text| text.parse().unwrap())
}

thread_local! {
    static REAL: Vec<Real> = MACHINES.iter().map(|name| Real::new(name)).collect();
}

/// A machine, which of its displays it boots on, whether that has the firmware's framebuffer, and a policy.
pub fn case() -> impl Strategy<Value = (usize, Option<Index>, bool, Drafted)> {
    let display = prop::option::weighted(0.7, any::<Index>());
    (0..MACHINES.len(), display, any::<bool>(), drafted())
}

/// Does `then` with a case, made real.
pub fn with_case<T>(
    (machine, display, framebuffer, drafted): (usize, Option<Index>, bool, Drafted),
    then: impl FnOnce(&Image<'_>, &Policy) -> Result<T, String>,
) -> Result<T, TestCaseError> {
    REAL.with(|machines| {
        let real = &machines[machine];
        let is_display = |node: &&Node| node.class >> 8 == 0x0300;
        let displays: Vec<_> = real.nodes.iter().filter(is_display).collect();
        let display = display.filter(|_| !displays.is_empty());
        let display = display.map(|index| &*index.get(&displays).address);
        let policy = drafted.policy(&real.nodes);
        then(&image(real, display, framebuffer, &policy), &policy)
            .map_err(|error| TestCaseError::fail(format!("{}: {error}", MACHINES[machine])))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(compared_cases()))]
    #[test]
    fn what_is_taken_is_what_readme_says(case in case()) {
        with_case(case, compare)?;
    }
}

#[test]
fn a_look_at_what_is_needed_gives_the_same_plan() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(compared_cases()));
    let (less, all) = (Cell::new(0), Cell::new(0));
    let ran = runner.run(&case(), |case| {
        let is_less = with_case(case, |image, policy| compare_extents(image, &policy.line()))?;
        less.set(less.get() + u32::from(is_less));
        all.set(all.get() + 1);
        Ok(())
    });
    ran.unwrap();
    let (less, all) = (less.get(), all.get());
    assert!(less * 10 > all, "the whole machine but for {less} of {all}");
}

/// Otherwise nothing would be compared of what `vf:` means.
#[test]
fn most_machines_have_virtual_functions() {
    REAL.with(|machines| {
        let made = |real: &&Real| real.nodes.iter().any(|node| node.made_by.is_some());
        let shared = |real: &&Real| {
            let mut all = real.nodes.iter();
            all.any(|node| {
                node.made_by
                    .as_ref()
                    .is_some_and(|(pf, _)| pf[..10] == node.address[..10])
            })
        };
        let (made, shared) = (machines.iter().filter(made), machines.iter().filter(shared));
        assert!(made.count() > 8);
        assert!(shared.count() > 2);
    });
}
