//! What this boot did, beside the machine as it is now.
//!
//! [`look`] joins the records, the policy and the live machine; [`last_good`] remembers what a boot was like when
//! all was as asked, and [`changes`] is what is different since.

pub mod changes;
pub mod last_good;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::pci::id::DeviceId;
use vfio_bind_agent::plan::decision::Decision;
use vfio_bind_agent::policy::problem::Severity;
use vfio_bind_agent::policy::selector::Source;
use vfio_bind_agent::record::unmatched::unmatched;
use vfio_bind_agent::run::{self, Extent};
use vfio_bind_report::{Fate, Report};

use crate::inventory;
use crate::preview::known::{self, Informed};
use crate::records::{self, Run};
use crate::storage::protected::Scope;
use crate::words;

use changes::Change;
use last_good::Snapshot;

/// A function that is asked for, was bound since the boot, or is told of by a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it is, or was.
    pub address: Address,
    /// What it is.
    pub id: Option<DeviceId>,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// Why it is asked for now; none where it is not.
    pub why: Option<String>,
    /// What the boot made of it.
    pub boot: Option<Was>,
    /// What the last later run made of it.
    pub later: Option<Was>,
    /// Whether it is there now.
    pub is_there: bool,
    /// The driver that it has now.
    pub driver: Option<String>,
    /// What is not as asked, or not as it was; none where all is.
    pub wrong: Option<String>,
}

/// What a run made of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Was {
    /// What became of it.
    pub outcome: Fate,
    /// The driver when the run ended.
    pub driver: Option<String>,
    /// More about that.
    pub reason: String,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Status {
    /// What the boot says of itself; none where it left no record.
    pub boot: Option<Run>,
    /// How many later runs there are.
    pub runs: usize,
    /// Whether anything is asked for.
    pub asked: bool,
    /// The functions, by address.
    pub rows: Vec<Row>,
    /// What is wrong beside them: selectors that match nothing, mistakes in the policy.
    pub wrong: Vec<String>,
    /// What is different since the last good boot.
    pub changes: Vec<Change>,
    /// The machine as it is, to be remembered where all is as asked.
    pub snapshot: Snapshot,
}

impl Status {
    /// Whether all is as asked, or was.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.rows.iter().all(|row| row.wrong.is_none())
    }

    /// 0 where all is as asked, 1 where it is not, 2 where nobody knows what the boot did.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match (self.is_good(), &self.boot) {
            (false, _) => 1,
            (true, None) => 2,
            (true, Some(_)) => 0,
        }
    }
}

/// Looks at the system at `root`.
///
/// # Errors
/// Where its records or its kernel command line cannot be read.
pub fn look(root: &Path, tree: &Tree) -> Result<Status> {
    let line = known::command_line(root)?;
    let mut records = records::all(root)?;
    let bound = records::bound(&records);
    let known = known::gather_or_less(root, Scope::Now)?;
    let informed = Informed {
        tree,
        known: &known,
    };
    let mut status = Status {
        boot: None,
        runs: records.iter().filter(|one| !one.is_of_boot()).count(),
        asked: false,
        rows: Vec::new(),
        wrong: Vec::new(),
        changes: Vec::new(),
        snapshot: Snapshot::default(),
    };
    let mut rows: BTreeMap<Address, Row> = BTreeMap::new();
    let functions = inventory::functions(tree)?;
    run::rehearse(&informed, &line, Extent::Whole, &mut |record| {
        status.asked = record.policy.asks();
        for step in &record.plan.steps {
            let Some(function) = record.inventory.get(step.function) else {
                continue;
            };
            let mut row = row(function);
            let driver = record.driver(step).as_str();
            row.wrong = match step.decision {
                Decision::Bind if row.driver.as_deref() == Some(driver) => None,
                Decision::Bind => Some(format!("not on {driver}")),
                Decision::Refuse(refusal) => Some(format!("refused: {refusal}")),
                Decision::Leave(_) => continue,
            };
            row.why = Some(step.reason(record.policy).to_string());
            rows.insert(row.address, row);
        }
        for one in unmatched(record.policy, record.inventory, record.plan) {
            if one.selector.source != Source::KernelIds {
                status.wrong.push(one.to_string());
            }
        }
        let problems = record.policy.problems.iter();
        let errors = problems.filter(|one| one.severity() == Severity::Error);
        status.wrong.extend(errors.map(ToString::to_string));
        record.exit()
    });
    for run in &records {
        told(&run.report, run.is_of_boot(), &functions, &mut rows);
    }
    for (address, by) in &bound {
        let address = Address::parse(address.as_bytes());
        if let Some(row) = address.and_then(|address| rows.get_mut(&address))
            && row.why.is_none()
        {
            row.wrong = match (row.is_there, row.driver.as_deref()) {
                (true, Some(driver)) if driver == by => None,
                (true, _) => Some(format!("it was bound to {by} since the boot")),
                (false, _) => Some(format!("it was bound to {by} since the boot, and is gone")),
            };
        }
    }
    status.rows = rows.into_values().collect();
    status.boot = match records.first() {
        Some(first) if first.is_of_boot() => Some(records.remove(0)),
        _ => None,
    };
    status.snapshot = Snapshot::of(root, tree, &functions);
    status.changes = match last_good::before(root, &status.snapshot)? {
        Some(before) => changes::between(&before, &status.snapshot),
        None => Vec::new(),
    };
    for change in &mut status.changes {
        sturdiest(root, change);
    }
    Ok(status)
}

/// Gives what has moved the words that `vfio-bind words` gives it. Where it cannot be bound as things are, those stay
/// that say where it is.
fn sturdiest(root: &Path, change: &mut Change) {
    let is = change.is.as_ref().filter(|_| change.words.is_some());
    let address = is.and_then(|address| Address::parse(address.as_bytes()));
    let found = address.and_then(|address| words::for_addresses(root, &[address]).ok());
    if let Some(found) = found.filter(|found| !found.words.is_empty()) {
        change.words = Some(found.words.join(" "));
    }
}

fn row(function: &Function) -> Row {
    Row {
        address: function.address,
        id: Some(function.id),
        group: function.group,
        why: None,
        boot: None,
        later: None,
        is_there: true,
        driver: function.driver.as_deref().map(str::to_owned),
        wrong: None,
    }
}

/// Adds what a record tells of functions.
fn told(report: &Report, of_boot: bool, functions: &[Function], rows: &mut BTreeMap<Address, Row>) {
    let dry = report.policy.dry_run;
    for told in &report.functions {
        let Some(address) = Address::parse(told.address.as_bytes()) else {
            continue;
        };
        if told.outcome == Fate::Left && !rows.contains_key(&address) {
            continue;
        }
        let there = functions
            .iter()
            .find(|function| function.address == address);
        let entry = rows.entry(address).or_insert_with(|| match there {
            Some(function) => row(function),
            None => gone(address, told),
        });
        let given = report.given_back.iter();
        let mut given = given.filter_map(|text| text.split_once(' '));
        let back = given.find(|(one, _)| *one == told.address);
        let was = match back {
            Some((_, driver)) => Was {
                outcome: Fate::Returned,
                driver: Some(driver.to_owned()),
                reason: "the root file system did not appear".to_owned(),
            },
            None => Was {
                outcome: told.outcome,
                driver: told.driver_now.clone(),
                reason: told.reason.clone(),
            },
        };
        match (of_boot, dry) {
            (true, _) => entry.boot = Some(was),
            (false, true) => {}
            (false, false) => entry.later = Some(was),
        }
    }
}

/// A function that a record tells of, and is not there.
fn gone(address: Address, told: &vfio_bind_report::Function) -> Row {
    let hex = |text: &str| u32::from_str_radix(text, 16).unwrap_or(0);
    Row {
        address,
        id: Some(DeviceId {
            vendor: hex(&told.vendor),
            device: hex(&told.device),
            subvendor: hex(&told.subvendor),
            subdevice: hex(&told.subdevice),
            class: hex(&told.class),
        }),
        group: None,
        why: None,
        boot: None,
        later: None,
        is_there: false,
        driver: None,
        wrong: None,
    }
}
