//! Compares what a guest saw with what its scenario demands.

mod ending;
mod first;
mod ids;
mod image;
mod installed;
mod memory;
mod record;
mod rerun;
mod run;
mod state;
mod storage;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::architecture::Architecture;
use crate::function::Snapshot;
use crate::image::Case;
use crate::protocol::{AgentRun, IdsCase, Inherited, Loaded, Memory, Ran, Record, Used, Verdict};
use crate::scenario::Scenario;
use crate::storage::{Boot, Stack};
use crate::wire;

/// What is left of a machine that has ended.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Everything on its console.
    pub console: String,
    /// QEMU's exit status, where it exited.
    pub exit: Option<i32>,
    /// The limit in seconds, where it was ended for running too long.
    pub over_time: Option<u64>,
}

/// A demand that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was looked at.
    pub what: String,
    /// What the scenario demands.
    pub expected: String,
    /// What was there.
    pub actual: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, got {}",
            self.what, self.expected, self.actual
        )
    }
}

/// Collects failures.
#[derive(Default)]
struct Failures(Vec<Failure>);

impl Failures {
    /// Adds one.
    fn add(
        &mut self,
        what: impl fmt::Display,
        expected: impl fmt::Display,
        actual: impl fmt::Display,
    ) {
        self.0.push(Failure {
            what: what.to_string(),
            expected: expected.to_string(),
            actual: actual.to_string(),
        });
    }

    /// Demands that two things are equal.
    fn equal<T: PartialEq + fmt::Display>(
        &mut self,
        what: impl fmt::Display,
        expected: T,
        actual: T,
    ) {
        if expected != actual {
            self.add(what, expected, actual);
        }
    }
}

/// A guest's records, by kind.
#[derive(Default)]
struct Records {
    /// That of each kernel that booted.
    releases: Vec<String>,
    snapshots: Vec<Snapshot>,
    memory: Vec<Memory>,
    runs: Vec<AgentRun>,
    loaded: Vec<Loaded>,
    inherited: Vec<Inherited>,
    found: Vec<String>,
    ran: Vec<Ran>,
    used: Vec<Used>,
    ids: Vec<IdsCase>,
    verdicts: Vec<Verdict>,
}

impl Records {
    fn sort(records: Vec<Record>) -> Self {
        let mut sorted = Self::default();
        for record in records {
            match record {
                Record::Booted(release) => sorted.releases.push(release),
                Record::Loaded(loaded) => sorted.loaded.push(loaded),
                Record::Snapshot(snapshot) => sorted.snapshots.push(snapshot),
                Record::Memory(memory) => sorted.memory.push(memory),
                Record::AgentRun(run) => sorted.runs.push(run),
                Record::Inherited(inherited) => sorted.inherited.push(inherited),
                Record::Found(found) => sorted.found.extend(found),
                Record::Ran(ran) => sorted.ran.push(ran),
                Record::Used(used) => sorted.used.push(used),
                Record::IdsCase(case) => sorted.ids.push(case),
                Record::Verdict(verdict) => sorted.verdicts.push(verdict),
                // No scenario measures.
                Record::Measured(_) => {}
            }
        }
        sorted
    }

    /// The last kernel that booted; empty where none came so far.
    fn release(&self) -> String {
        self.releases.last().cloned().unwrap_or_default()
    }

    fn snapshot(&self, label: &str) -> Option<&Snapshot> {
        self.snapshots
            .iter()
            .find(|snapshot| snapshot.label == label)
    }
}

/// What is to be said of a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the machine ended as one does that has carried out its orders: only then is a
    /// failure something that the agent did.
    pub ended_well: bool,
    /// The kernel that booted, as it calls itself; empty where none came so far.
    pub release: String,
    /// Every demand that was not met; none means that the scenario passed.
    pub failures: Vec<Failure>,
}

/// Compares `evidence` with every demand of `scenario`.
#[must_use]
pub fn judge(scenario: &Scenario, evidence: &Evidence) -> Judgement {
    let architecture = scenario.architecture();
    judge_boot(
        &scenario.name,
        architecture,
        evidence,
        |records, failures| {
            let kernels = if scenario.crashes { 2 } else { 1 };
            failures.equal("kernels that booted", kernels, records.releases.len());
            first::judge(scenario, records, failures);
            state::judge(scenario, records, failures);
            for run in &scenario.runs {
                run::judge(scenario, run, records, failures);
            }
            ids::judge(scenario, records, failures);
            memory::judge(scenario, records, failures);
        },
    )
}

/// Compares `evidence` with every demand of a boot through an image that a real tool built.
#[must_use]
pub fn judge_image(name: &str, case: Case, evidence: &Evidence) -> Judgement {
    judge_boot(name, Architecture::X86_64, evidence, |records, failures| {
        image::judge(case, records, failures);
    })
}

/// Compares `evidence` with every demand of a boot of a system that firmware boots from its disk.
#[must_use]
pub fn judge_installed(name: &str, boot: crate::installed::Boot, evidence: &Evidence) -> Judgement {
    judge_boot(name, Architecture::X86_64, evidence, |records, failures| {
        installed::judge(boot, records, failures);
    })
}

/// Compares `evidence` with what is to be found after the kernel has unpacked several archives, the last
/// of them with an agent, a policy and a list: `paths`, and `kept` as the agent keeps it of the files.
#[must_use]
pub fn judge_unpacked(name: &str, paths: &[String], kept: &str, evidence: &Evidence) -> Judgement {
    judge_boot(name, Architecture::X86_64, evidence, |records, failures| {
        failures.equal("what was unpacked", list(paths), list(&records.found));
        let inherited = records.inherited.iter();
        let found: String = inherited.map(|one| one.kept.as_str()).collect();
        failures.equal("what the agent found in the image", kept, &found);
    })
}

/// Compares `evidence` with every demand of a boot of a system on two disks that told `told` of them.
#[must_use]
pub fn judge_storage(stack: Stack, boot: Boot, told: &str, evidence: &Evidence) -> Judgement {
    if boot != Boot::HalfListed {
        let name = stack.name();
        return judge_boot(name, Architecture::X86_64, evidence, |records, failures| {
            storage::judge(boot, told, records, failures);
        });
    }
    // It must not come to a proper end.
    let mut failures = Failures::default();
    let records = Records::sort(wire::decode(&evidence.console).records);
    let over_time = evidence.over_time.is_some();
    storage::judge_half(stack, &evidence.console, over_time, &records, &mut failures);
    Judgement {
        ended_well: true,
        release: records.release(),
        failures: failures.0,
    }
}

/// Compares `evidence` with what is demanded of the end of every machine, and then with `demands`: without
/// a proper end the rest would only say again that something is missing.
fn judge_boot(
    name: &str,
    architecture: Architecture,
    evidence: &Evidence,
    demands: impl FnOnce(&Records, &mut Failures),
) -> Judgement {
    let mut failures = Failures::default();
    let decoded = wire::decode(&evidence.console);
    let records = Records::sort(decoded.records);
    ending::judge(
        name,
        architecture,
        evidence,
        decoded.error,
        &records,
        &mut failures,
    );
    let ended_well = failures.0.is_empty();
    if ended_well {
        demands(&records, &mut failures);
    }
    Judgement {
        ended_well,
        release: records.release(),
        failures: failures.0,
    }
}

/// What a system on two disks told of them, where it did.
#[must_use]
pub fn told_list(evidence: &Evidence) -> Option<String> {
    let records = Records::sort(wire::decode(&evidence.console).records);
    storage::told_list(&records).ok()
}

/// A list in a sentence.
fn list<T: AsRef<str>>(items: &[T]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(", ")
}
