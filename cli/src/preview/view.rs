//! A whole plan as a value: what text, JSON and a page show of it.

use std::cell::RefCell;
use std::path::Path;

use log::{Level, LevelFilter, Log, Metadata, Record as Message};
use serde::Serialize;
use vfio_bind_agent::bind::outcome::{Fate, Outcome};
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::tree::POLICY;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::plan::decision::{Decision, Step};
use vfio_bind_agent::record::{EXIT_DONE, EXIT_NOT_BOUND, Record, State, lines};
use vfio_bind_agent::run;
use vfio_bind_agent::text::cmdline::parameters;

use crate::names::Names;
use crate::preview::known::Known;
use crate::preview::next_boot::{Basis, NextBoot};
use crate::preview::{in_use, mapping, module, notes, policy_file, taken};

/// What a run would do, and all that there is to say of it.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The kernel command line that was planned for.
    pub command_line: String,
    /// Those of its words that are about this.
    pub words: Vec<String>,
    /// The image whose policy and protections count; null where those of the system do.
    pub image: Option<String>,
    /// How the run would end, in a word.
    pub state: String,
    /// The IOMMU that the kernel uses.
    pub iommu: String,
    /// How many functions the machine has.
    pub function_count: usize,
    /// How many IOMMU groups.
    pub group_count: u32,
    /// `auto`, or the driver that is asked for.
    pub driver: String,
    /// `vfio.group=`.
    pub group_policy: String,
    /// `vfio.onfail=`.
    pub on_failure: String,
    /// The groups that the plan speaks of, in the order of the addresses in them.
    pub groups: Vec<Group>,
    /// What would be lost, or will not work.
    pub warnings: Vec<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What is wrong in the policy file, with its lines.
    pub policy_file: Vec<String>,
    /// What the agent would say: mistakes, and the sum of it all.
    pub messages: Vec<Said>,
    /// What this plan could not go by.
    pub limits: Vec<String>,
    /// The exit status: 0 all that is asked would be done, 1 not, 2 there is an error in what is asked.
    pub exit_status: u8,
}

/// An IOMMU group in a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its number; null for what has no group.
    pub number: Option<u32>,
    /// Those of its functions that the plan speaks of, and its other endpoints.
    pub functions: Vec<Planned>,
}

/// A function in a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// Where it is.
    pub address: String,
    /// Vendor and device.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is, in a word or two.
    pub kind: &'static str,
    /// The driver that has it now.
    pub driver: Option<String>,
    /// What becomes of it.
    pub becomes: Becomes,
    /// The driver that it goes to.
    pub to: Option<String>,
    /// What it is set to before (`vfio.set=`).
    pub settings: Vec<String>,
    /// Why it is refused or left.
    pub why: Option<String>,
    /// What asks for it: a selector, or the function that it shares a group with.
    pub cause: Option<String>,
}

/// What becomes of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Becomes {
    /// It goes to a vfio driver.
    Bound,
    /// It has that driver already.
    Already,
    /// It was asked for, and is not bound.
    Refused,
    /// It shares a group with what is bound, and stays.
    Left,
    /// The plan does not speak of it.
    Stays,
}

/// A message of the agent's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// `error`, `warning` or `info`.
    pub level: &'static str,
    /// What it says.
    pub text: String,
}

/// Plans for the kernel command line `line` on the system at `root`.
#[must_use]
pub fn make(root: &Path, boot: &NextBoot<'_>, line: &[u8]) -> Preview {
    let mut view = None;
    run::rehearse(boot, line, run::Extent::Whole, &mut |record| {
        view = Some(Preview::of(record, root, boot, line));
        record.exit()
    });
    // It is always given a record.
    view.unwrap_or_else(Preview::nothing)
}

impl Preview {
    fn nothing() -> Self {
        Self {
            command_line: String::new(),
            words: Vec::new(),
            image: None,
            state: State::NoPci.to_string(),
            iommu: String::new(),
            function_count: 0,
            group_count: 0,
            driver: String::new(),
            group_policy: String::new(),
            on_failure: String::new(),
            groups: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            policy_file: Vec::new(),
            messages: Vec::new(),
            limits: Vec::new(),
            exit_status: EXIT_NOT_BOUND,
        }
    }

    fn of(record: &Record<'_>, root: &Path, boot: &NextBoot<'_>, line: &[u8]) -> Self {
        let Basis {
            image,
            known,
            unread,
            stale,
        } = boot.basis;
        let address = |step: &Step| record.inventory.get(step.function).map(|f| f.address);
        let bound: Vec<_> = record.plan.bound().filter_map(address).collect();
        let mut warnings = stale.clone();
        warnings.extend(in_use::warnings(root, &bound));
        warnings.extend(refused_by_vfio(record, root, &bound));
        if !bound.is_empty() && record.policy.auto {
            warnings.extend(module::missing(root, boot, image.as_ref()));
        }
        let usage = taken::usage(root, &taken::taken(record));
        let used = usage.users.keys().filter_map(|function| {
            let users = usage.text(*function)?;
            Some(format!("{function} is in use now: {users}"))
        });
        let mut notes = notes::notes(record, boot, root, known);
        notes.extend(used.chain(usage.told.iter().cloned()));
        let (policy_file, messages) = said(record, known);
        let mut limits = known.told.clone();
        limits.extend(unread.iter().map(|why| {
            format!(
                "the image that will boot was not looked into ({why}): policy and protections are those of \
                 /etc and of this boot"
            )
        }));
        let without_agent = image.as_ref().is_some_and(|image| !image.contents.agent);
        let exit_status = match record.exit() {
            EXIT_DONE if without_agent && !record.plan.steps.is_empty() => EXIT_NOT_BOUND,
            exit => exit,
        };
        Self {
            command_line: String::from_utf8_lossy(line).trim_end().to_owned(),
            words: words(line),
            image: image.as_ref().map(|image| image.path.display().to_string()),
            state: record.state.to_string(),
            iommu: record.iommu.to_string(),
            function_count: record.inventory.len(),
            group_count: record.groups,
            driver: match record.policy.auto {
                true => "auto".to_owned(),
                false => record.policy.driver.to_string(),
            },
            group_policy: record.policy.group.to_string(),
            on_failure: record.policy.on_failure.to_string(),
            groups: groups(record, &Names::of(root)),
            warnings,
            notes,
            policy_file,
            messages,
            limits,
            exit_status,
        }
    }

    /// All functions that it speaks of, with their groups.
    pub fn functions(&self) -> impl Iterator<Item = &Planned> {
        self.groups.iter().flat_map(|group| &group.functions)
    }
}

/// The words of a command line that are about functions for guests.
fn words(line: &[u8]) -> Vec<String> {
    let ours = parameters(line).filter(|word| {
        let name = word.name.strip_prefix(b"rd.").unwrap_or(word.name);
        let starts = ["vfio.", "vfio_pci.", "vfio-pci."].into_iter();
        !word.after_dashes
            && starts
                .map(str::as_bytes)
                .any(|start| name.starts_with(start))
    });
    let spelled = ours.map(|word| {
        let name = String::from_utf8_lossy(word.name);
        match word.value.map(String::from_utf8_lossy) {
            Some(value) if value.contains(' ') => format!("{name}=\"{value}\""),
            Some(value) => format!("{name}={value}"),
            None => name.into_owned(),
        }
    });
    spelled.collect()
}

/// The groups that a plan speaks of, with all their endpoints.
fn groups(record: &Record<'_>, names: &Names) -> Vec<Group> {
    let inventory = record.inventory;
    let mut groups: Vec<Group> = Vec::new();
    for step in &record.plan.steps {
        let Some(first) = inventory.get(step.function) else {
            continue;
        };
        if groups.iter().any(|group| group.number == first.group) {
            continue;
        }
        let members = inventory
            .iter()
            .filter(|(_, member)| member.group == first.group);
        let members = members.filter_map(|(index, member)| {
            let mut steps = record.plan.steps.iter().zip(&record.outcomes.steps);
            let step = steps.find(|(step, _)| step.function == index);
            // Of what no plan speaks of, the other endpoints of a group matter to its reader.
            let shown = step.is_some() || (member.group.is_some() && member.is_endpoint());
            shown.then(|| planned(record, step, member, names))
        });
        groups.push(Group {
            number: first.group,
            functions: members.collect(),
        });
    }
    groups
}

fn planned(
    record: &Record<'_>,
    step: Option<(&Step, &Outcome)>,
    function: &Function,
    names: &Names,
) -> Planned {
    let mut planned = Planned {
        address: function.address.to_string(),
        id: function.id.to_string(),
        name: names.name(&function.id),
        kind: function.id.kind(),
        driver: function.driver.as_deref().map(str::to_owned),
        becomes: Becomes::Stays,
        to: None,
        settings: Vec::new(),
        why: None,
        cause: None,
    };
    let Some((step, outcome)) = step else {
        return planned;
    };
    planned.cause = Some(step.reason(record.policy).to_string());
    match step.decision {
        Decision::Bind => {
            planned.becomes = match outcome.fate {
                Fate::Already => Becomes::Already,
                _ => Becomes::Bound,
            };
            planned.to = Some(record.driver(step).to_string());
            let settings = record.policy.settings_of(function);
            planned.settings = settings.iter().map(ToString::to_string).collect();
        }
        Decision::Refuse(refusal) => {
            planned.becomes = Becomes::Refused;
            planned.why = Some(refusal.to_string());
        }
        Decision::Leave(leave) => {
            planned.becomes = Becomes::Left;
            planned.why = Some(leave.told(function.driver.as_deref()).to_string());
        }
    }
    planned
}

/// The groups that are bound and that VFIO refuses all the same.
fn refused_by_vfio(record: &Record<'_>, root: &Path, bound: &[Address]) -> Vec<String> {
    let mut all = record.inventory.functions().iter();
    let mut groups: Vec<_> = all
        .by_ref()
        .filter(|function| bound.contains(&function.address))
        .filter_map(|function| function.group)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|group| mapping::is_one_to_one(root, *group));
    groups.into_iter().map(mapping::warning).collect()
}

/// What the agent would say, and what of it is in the policy file, with its lines.
fn said(record: &Record<'_>, known: &Known) -> (Vec<String>, Vec<Said>) {
    let file = known.policy.as_deref().unwrap_or_default();
    let mut findings = policy_file::findings(file);
    let told = findings
        .iter()
        .map(|finding| finding.told(POLICY))
        .collect();
    let messages = heard(|| {
        lines::tell_rest_but(record, |problem| {
            let problem = problem.to_string();
            let place = findings.iter().position(|finding| finding.text == problem);
            // Each only once: the command line may have the same mistake.
            place.map(|place| findings.swap_remove(place)).is_some()
        });
    });
    (told, messages)
}

thread_local! {
    static HEARD: RefCell<Option<Vec<Said>>> = const { RefCell::new(None) };
}

/// The messages of what is done in this thread.
fn heard(act: impl FnOnce()) -> Vec<Said> {
    if log::set_logger(&Listener).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    HEARD.set(Some(Vec::new()));
    act();
    HEARD.take().unwrap_or_default()
}

/// Keeps what the agent's library says.
struct Listener;

impl Log for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, message: &Message<'_>) {
        let level = match message.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            _ => "info",
        };
        HEARD.with_borrow_mut(|heard| {
            if let Some(heard) = heard {
                heard.push(Said {
                    level,
                    text: message.args().to_string(),
                });
            }
        });
    }

    fn flush(&self) {}
}
