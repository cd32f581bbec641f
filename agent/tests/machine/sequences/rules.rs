//! What must hold after each run. It shares nothing with the agent: what is to be taken is what
//! [`oracle`](crate::oracle) says, and the rest is what the machine shows.

use std::collections::BTreeMap;

use serde_json::Value;
use vfio_bind_agent::bind::outcome::Fate;
use vfio_bind_agent::machine::Machine;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::plan::focus::Focus;
use vfio_bind_agent::record::{Record, State, report};
use vfio_bind_agent::run;

use super::world::{World, all_nodes};
use crate::asked::{Policy, Word};
use crate::oracle::{Node, expected};
use crate::snapshots::{begin_journal, with_journal};
use crate::support::{FakeMachine, address};

/// The driver and the override of a function.
type Held = (Option<String>, String);

fn held(machine: &FakeMachine) -> BTreeMap<String, Held> {
    let addresses = machine.addresses().into_iter();
    let held = addresses.map(|a| (a.clone(), (machine.driver(&a), machine.driver_override(&a))));
    held.collect()
}

/// The machine before a run.
pub(super) struct Before {
    held: BTreeMap<String, Held>,
    /// What the run will find on vfio-pci.
    taken: Vec<String>,
}

impl Before {
    pub(super) fn of(machine: &FakeMachine) -> Self {
        let held = held(machine);
        let on_vfio = |held: &Held| held.0.as_deref() == Some("vfio-pci");
        let taken = held.iter().filter(|(_, held)| on_vfio(held));
        Self {
            taken: taken.map(|(address, _)| address.clone()).collect(),
            held,
        }
    }
}

/// A step of a record.
#[derive(Clone, Debug)]
struct Step {
    binds: bool,
    fate: Fate,
    driver: Option<String>,
    target: String,
}

/// What a run did, and what it says of it.
#[derive(Debug)]
pub(super) struct Seen {
    exit: u8,
    state: State,
    steps: BTreeMap<String, Step>,
    groups: BTreeMap<u32, Option<bool>>,
    unasked: Vec<String>,
    events: Vec<String>,
    report: Value,
}

impl Seen {
    /// For all that is asked for, or for one function, of which this knows whether it is in use.
    pub(super) fn of_run(machine: &FakeMachine, line: &str, focus: Option<&str>) -> Self {
        begin_journal();
        machine.take_events();
        let mut seen = None;
        let line = line.as_bytes();
        let mut then = |record: &Record<'_>| {
            seen = Some(Self::of(machine, record));
            record.exit()
        };
        match focus {
            None => run::perform(machine, line, &|| 0, &mut then),
            Some(function) => {
                let focus = Focus {
                    function: Address::parse(function.as_bytes()).unwrap(),
                    knows_use: true,
                };
                run::follow(machine, line, focus, &|| 0, &mut then)
            }
        };
        seen.unwrap()
    }

    /// In a few lines.
    pub(super) fn told(&self) -> String {
        let Self {
            exit,
            state,
            steps,
            events,
            ..
        } = self;
        format!("  {state}, exit {exit}\n  {steps:?}\n  {events:?}")
    }

    fn of(machine: &FakeMachine, record: &Record<'_>) -> Self {
        let tree = crate::support::open(machine.root());
        let written = tree.replace(report::DIRECTORY, report::FILE, &|output| {
            with_journal(&mut |journal| report::write(record, b"6.1.0-test", journal, output));
        });
        written.unwrap();
        let text = std::fs::read_to_string(machine.path("run/vfio-bind/report.json")).unwrap();
        let steps = record.plan.steps.iter().zip(&record.outcomes.steps);
        let steps = steps.map(|(step, outcome)| {
            let shown = Step {
                binds: step.decision == Decision::Bind,
                fate: outcome.fate,
                driver: outcome.driver.as_ref().map(ToString::to_string),
                target: record.driver(step).to_string(),
            };
            (address(record, step), shown)
        });
        let unasked = record.outcomes.unasked.iter();
        let groups = record.outcomes.groups.iter();
        Self {
            exit: record.exit(),
            state: record.state,
            steps: steps.collect(),
            groups: groups.map(|status| (status.group, status.viable)).collect(),
            unasked: unasked.map(|one| one.address.to_string()).collect(),
            events: machine.take_events(),
            report: serde_json::from_str(&text).unwrap(),
        }
    }
}

/// Whether a word of the policy is there, in a file or on the line.
fn says(policy: &Policy, wanted: &[&str]) -> bool {
    let mut words = policy.words();
    words.any(|word| matches!(word, Word::Other(text) if wanted.contains(text)))
}

/// The driver that the policy names.
fn target(policy: &Policy) -> &'static str {
    let named = policy.words().filter_map(|word| match word {
        Word::Other("vfio.driver=pci-stub") => Some("pci-stub"),
        Word::Other("vfio.driver=auto") => Some("vfio-pci"),
        _ => None,
    });
    named.last().unwrap_or("vfio-pci")
}

/// All that is wrong after a run.
pub(super) fn broken(
    world: &World,
    before: &Before,
    seen: &Seen,
    focus: Option<&str>,
    again: bool,
) -> Vec<String> {
    let World {
        machine, policy, ..
    } = world;
    let after = held(machine);
    let mut nodes = all_nodes();
    nodes.retain(|node| after.contains_key(&node.address));
    for node in &mut nodes {
        node.group = machine.group(&node.address);
        node.taken = before.taken.contains(&node.address);
    }
    let (asked, exit) = expected(&nodes, None, policy);
    let rules = Rules {
        world,
        before,
        seen,
        after: &after,
        nodes: &nodes,
        target: target(policy),
        hold: says(policy, &["vfio.onfail=hold"]),
        alone: focus.is_some(),
    };
    let mut found = Vec::new();
    for address in after.keys() {
        let wrong = match asked.contains(address) && rules.is_about(focus, address) {
            true => rules.of_asked(address),
            false => rules.of_others(address, asked.contains(address)),
        };
        found.extend(wrong.into_iter().map(|text| format!("{address}: {text}")));
    }
    found.extend(rules.of_the_record());
    // What is missing elsewhere is not the matter of a run for one function.
    let exit = if focus.is_some() { seen.exit } else { exit };
    found.extend(rules.of_the_exit(exit));
    let all_done = seen.steps.values().all(|step| {
        matches!(
            step.fate,
            Fate::Bound | Fate::Already | Fate::Refused | Fate::Left
        )
    });
    // What vfio-pci has been given nobody can read, and to give it once more changes nothing.
    let mut new = seen
        .events
        .iter()
        .filter(|event| !event.contains("/new_id"));
    if again && all_done && !machine.trouble.no_module && new.next().is_some() {
        found.push(format!("there was something left to do: {:?}", seen.events));
    }
    found
}

struct Rules<'a> {
    world: &'a World,
    before: &'a Before,
    seen: &'a Seen,
    after: &'a BTreeMap<String, Held>,
    nodes: &'a [Node],
    target: &'static str,
    hold: bool,
    /// Whether the run is one for one function.
    alone: bool,
}

/// What is said where it is not so.
fn unless(holds: bool, text: &str) -> Option<String> {
    (!holds).then(|| text.to_owned())
}

impl Rules<'_> {
    fn machine(&self) -> &FakeMachine {
        &self.world.machine
    }

    fn group(&self, address: &str) -> Option<&str> {
        let node = self.nodes.iter().find(|node| node.address == address)?;
        node.group.as_deref()
    }

    /// Whether a run is about a function: all of them are about all, or about one and its group.
    fn is_about(&self, focus: Option<&str>, address: &str) -> bool {
        focus.is_none_or(|focus| {
            let group = self.group(focus);
            focus == address || (group.is_some() && group == self.group(address))
        })
    }

    /// Whether a function has a native driver that is there, and does not have it.
    fn is_dead(&self, address: &str) -> bool {
        let (driver, _) = &self.after[address];
        driver.is_none() && self.machine().has_native(address)
    }

    /// Whether the kernel can bind all of a function's group to the target.
    fn can_be_bound(&self, address: &str) -> bool {
        let trouble = &self.machine().trouble;
        let refused = |other: &String| {
            self.target.contains("vfio")
                && self.group(other).is_some()
                && self.group(other) == self.group(address)
                && self.before.held[other].0.as_deref() != Some(self.target)
        };
        let there = self.machine().has_driver(self.target);
        there
            && !trouble
                .probe_refuses
                .iter()
                .filter(|a| self.after.contains_key(*a))
                .any(refused)
    }

    /// What is to be taken.
    fn of_asked(&self, address: &str) -> Vec<String> {
        let (before, after) = (&self.before.held[address], &self.after[address]);
        let on_target = after.0.as_deref() == Some(self.target);
        let Some(step) = self.seen.steps.get(address).filter(|step| step.binds) else {
            return vec!["it is asked for, and not in the plan".to_owned()];
        };
        let mut found = Vec::new();
        if self.seen.state == State::DryRun {
            found.extend(unless(before == after, "a dry run touched it"));
            return found;
        }
        found.extend(unless(
            on_target || !self.can_be_bound(address),
            "it could be bound, and is not",
        ));
        found.extend(unless(
            !on_target || after.1 == self.target || before.0 == after.0,
            "it is bound without an override",
        ));
        let wrong = match self.hold {
            true => unless(
                on_target || (after.0.is_none() && after.1 == self.target),
                "it is asked for and not held",
            ),
            false => unless(
                on_target || before == after || !self.is_dead(address),
                "its native driver is there, and does not get it back",
            )
            .or_else(|| {
                unless(
                    on_target || after.1 == before.1,
                    "its override is not as it was",
                )
            }),
        };
        found.extend(wrong);
        let lacks = |(other, step): (&String, &Step)| {
            step.binds
                && self.group(other) == self.group(address)
                && !matches!(step.fate, Fate::Bound | Fate::Already)
        };
        found.extend(unless(
            self.hold || step.fate != Fate::Bound || !self.seen.steps.iter().any(lacks),
            "it is bound, and not the rest of its group",
        ));
        let fits = match step.fate {
            Fate::Bound => on_target && before.0.as_deref() != Some(self.target),
            Fate::Already => on_target && before.0.as_deref() == Some(self.target),
            Fate::Held => after.0.is_none() && self.hold,
            Fate::Returned => !on_target && !self.hold,
            _ => false,
        };
        found.extend(unless(
            fits,
            &format!("{} is not what became of it", step.fate),
        ));
        found
    }

    /// What is to be left alone, whoever asks for it, and what is not the matter of a run for one function.
    fn of_others(&self, address: &str, asked: bool) -> Vec<String> {
        let (before, after) = (&self.before.held[address], &self.after[address]);
        let mut found = Vec::new();
        let step = self.seen.steps.get(address);
        found.extend(unless(
            step.is_none_or(|step| !step.binds),
            "the plan takes it, and nobody asks for it",
        ));
        found.extend(unless(after.1 == before.1, "its override is not as it was"));
        // What its override asks for comes by itself, and is told where it is the matter of the run.
        let invited = before.0.is_none() && after.0.as_deref() == Some(&*before.1);
        // Its turn comes, and vfio-pci has its ID.
        let early = asked && before.0.is_none() && self.is_on_vfio(address);
        let told = self.seen.unasked.iter().any(|other| other == address);
        let offered = self.world.late && self.wakings(address) > 0;
        let native = offered && before.0.is_none() && !self.is_on_vfio(address);
        found.extend(unless(
            before.0 == after.0
                || (invited && (told || self.alone || self.target == "pci-stub"))
                || native
                || early,
            "its driver is not what it was",
        ));
        found.extend(unless(
            self.writes(address) == self.wakings(address) * 4,
            "it was written to",
        ));
        found.extend(unless(
            before == after || !self.is_dead(address) || !after.1.is_empty(),
            "it is left without its driver",
        ));
        found
    }

    fn is_on_vfio(&self, address: &str) -> bool {
        self.after[address]
            .0
            .as_deref()
            .is_some_and(|driver| driver.contains("vfio"))
    }

    fn writes(&self, address: &str) -> usize {
        let events = self.seen.events.iter();
        // Drivers are kept off what it may make, not off itself.
        let own = events.filter(|event| !event.contains("/sriov_drivers_autoprobe"));
        own.filter(|event| event.contains(address)).count()
    }

    /// How often the kernel was made to group a function, which takes four writes.
    fn wakings(&self, address: &str) -> usize {
        let woken = format!("{address}/driver_override = pcieport");
        let events = self.seen.events.iter();
        let wakings = events.filter(|event| **event == woken).count();
        if self.world.late { wakings } else { 0 }
    }

    /// Memory and report say what the machine shows.
    fn of_the_record(&self) -> Vec<String> {
        let mut found = Vec::new();
        let report = &self.seen.report;
        let functions = report["functions"].as_array().unwrap();
        found.extend(unless(
            functions.len() == self.seen.steps.len(),
            "the report has others",
        ));
        for function in functions {
            let address = function["address"].as_str().unwrap();
            let (driver, _) = &self.after[address];
            let node = self
                .nodes
                .iter()
                .find(|node| node.address == address)
                .unwrap();
            let step = &self.seen.steps[address];
            let group = function["group"].as_u64().map(|group| group.to_string());
            let wrong = [
                (step.driver == *driver, "the record has another driver"),
                (
                    function["driver_now"].as_str() == driver.as_deref(),
                    "the report has another",
                ),
                (
                    function["driver_before"].as_str() == self.before.held[address].0.as_deref()
                        || self.world.late,
                    "the report has another before",
                ),
                (
                    function["outcome"] == step.fate.to_string(),
                    "the report has another end",
                ),
                (group == node.group, "the report has another group"),
                (step.target == self.target, "the record has another target"),
            ];
            let wrong = wrong.into_iter().filter(|(holds, _)| !holds);
            found.extend(wrong.map(|(_, text)| format!("{address}: {text}")));
        }
        found.extend(unless(
            report["exit"] == self.seen.exit,
            "the report has another exit",
        ));
        let bound = self
            .seen
            .steps
            .iter()
            .filter(|(_, step)| matches!(step.fate, Fate::Bound | Fate::Already));
        for (address, _) in bound {
            let node = self
                .nodes
                .iter()
                .find(|node| node.address == *address)
                .unwrap();
            let group: u32 = node.group.as_ref().unwrap().parse().unwrap();
            let usable = self.machine().group_viable(group).ok();
            let told = self.seen.groups.get(&group).copied().flatten();
            found.extend(unless(
                told == usable,
                &format!("{address}: its group is {usable:?}"),
            ));
        }
        found
    }

    /// Zero is no lie, and what is not so is never zero.
    fn of_the_exit(&self, planned: u8) -> Vec<String> {
        let bound = |step: &Step| matches!(step.fate, Fate::Bound | Fate::Already | Fate::Planned);
        let missed = self
            .seen
            .steps
            .values()
            .any(|step| step.binds && !bound(step));
        let unusable = self
            .seen
            .groups
            .values()
            .any(|usable| *usable == Some(false));
        let off = matches!(self.seen.state, State::Off | State::CrashKernel);
        let wanted = match missed || unusable || !self.seen.unasked.is_empty() {
            true if !off => 1,
            _ => planned,
        };
        let text = format!(
            "the exit status is {}, and should be {wanted}",
            self.seen.exit
        );
        unless(self.seen.exit == wanted, &text)
            .into_iter()
            .collect()
    }
}
