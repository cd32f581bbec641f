//! Compares what a guest saw with what its scenario demands.

mod boot_case;
mod ending;
mod evidence;
mod failures;
mod first;
mod hotplug;
mod ids;
mod installed;
mod memory;
mod record;
mod rerun;
mod run;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod units;

use crate::architecture::Architecture;
use crate::boot_case::Case;
use crate::scenario::Scenario;
use crate::storage::{Boot, Stack};
use crate::wire;
pub use evidence::Evidence;
use evidence::Records;
pub use failures::Failure;
use failures::{Failures, list};

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
        boot_case::judge(case, records, failures);
    })
}

/// Compares `evidence` with every demand of a boot in which functions come and go.
#[must_use]
pub fn judge_hotplug(name: &str, case: &crate::hotplug::Case, evidence: &Evidence) -> Judgement {
    judge_boot(name, Architecture::X86_64, evidence, |records, failures| {
        hotplug::judge(case, records, failures);
    })
}

/// Compares `evidence` with every demand of a boot of a system that firmware boots from its disk.
#[must_use]
pub fn judge_installed(
    name: &str,
    boot: &crate::installed::Boot,
    evidence: &Evidence,
) -> Judgement {
    judge_boot(name, Architecture::X86_64, evidence, |records, failures| {
        installed::judge(boot, records, failures);
    })
}

/// Compares `evidence` with every demand of a boot of a system whose units of the real root are enabled.
#[must_use]
pub fn judge_units(boot: crate::units::Boot, evidence: &Evidence) -> Judgement {
    let name = crate::units::NAME;
    judge_boot(name, Architecture::X86_64, evidence, |records, failures| {
        units::judge(boot, records, failures);
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
