//! The tables of scenarios, by what they are about.

pub(crate) mod built_in;
mod first;
mod framebuffer;
mod ids;
mod malformed;
mod named;
mod places;
mod policy;
mod prepared;
mod selection;
mod sources;
mod stall;
mod takeover;
mod trouble;
mod virtual_functions;
mod z;

use crate::matrix;
use crate::scenario::{Run, Scenario};

/// Every scenario but those of the whole matrix. `seed` chooses the random values of the comparison
/// with the kernel.
#[must_use]
pub fn all(seed: u64) -> Vec<Scenario> {
    // The quick ones first, and last what takes longest to get.
    let mut all = selection::scenarios();
    all.extend(named::scenarios());
    all.extend(policy::scenarios());
    all.extend(sources::scenarios());
    all.extend(takeover::scenarios());
    all.extend(prepared::scenarios());
    all.extend(virtual_functions::scenarios());
    all.extend(first::scenarios());
    all.extend(trouble::scenarios());
    all.extend(places::scenarios());
    all.extend(malformed::scenarios());
    all.extend(ids::scenarios(seed));
    all.extend(stall::scenarios());
    all.extend(framebuffer::scenarios());
    all.extend(matrix::cross_section());
    all.extend(z::scenarios());
    all.extend(built_in::scenarios());
    all
}

/// Those of the smaller test run: what proves each promise once, on a PC, in the order of the promises.
#[must_use]
pub fn small(seed: u64) -> Vec<Scenario> {
    let mut all = all(seed);
    let place = |scenario: &Scenario| SMALL.iter().position(|name| *name == scenario.name);
    all.retain(|scenario| place(scenario).is_some());
    all.sort_by_key(place);
    all
}

const SMALL: [&str; 21] = [
    // Early.
    "gpu-by-address",
    "native-first",
    // What is asked for, by each kind of name.
    "added-up",
    "path-on-other-buses",
    "class",
    "variant",
    // Whole groups, also where the kernel makes them late.
    "behind-a-bridge",
    "strict-refused",
    // Nothing unasked.
    "twins",
    "exclusion",
    "excluded-sibling",
    "protected-sibling",
    "other-id",
    // Never worse than not running.
    "iommu-absent",
    "no-vfio-native",
    "malformed",
    "framebuffer-6.1",
    // Truth.
    "listed-blocked",
    "ids-as-the-kernel",
    "stalled-unbind",
    "6.12-virtio-card",
];

/// The machine as it is without the agent; no test, but what a test's machine is compared with.
#[must_use]
pub fn without_agent() -> Scenario {
    let run = Run::new("agent");
    let proves = "every device has its native driver";
    Scenario {
        runs: Vec::new(),
        ..Scenario::new("without-agent", proves, "", run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Fate;

    #[test]
    fn the_smaller_run_has_all_that_it_names_and_only_this_machines_guests() {
        use crate::architecture::Architecture;
        let small = small(0);
        assert_eq!(small.len(), SMALL.len());
        for scenario in &small {
            assert_eq!(
                scenario.architecture(),
                Architecture::X86_64,
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn names_are_unique_and_short() {
        let all = all(0);
        let mut names: Vec<_> = all.iter().map(|scenario| &*scenario.name).collect();
        assert!(names.iter().all(|name| name.len() <= 28), "{names:?}");
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn scenarios_speak_of_devices_that_are_there() {
        for scenario in all(0) {
            let machine = scenario.machine();
            let runs = scenario.runs.iter();
            for (address, _) in runs.flat_map(|run| &run.outcomes) {
                assert!(
                    machine.device(address).is_some(),
                    "{}: {address}",
                    scenario.name
                );
            }
            assert!(
                !scenario.runs.is_empty() || !scenario.ids.is_empty(),
                "{}",
                scenario.name
            );
        }
    }

    #[test]
    fn kernel_command_lines_fit_x86() {
        for scenario in all(0) {
            assert!(scenario.cmdline.len() < 1800, "{}", scenario.name);
        }
    }

    #[test]
    fn a_refused_run_writes_nothing() {
        for scenario in all(0) {
            for run in &scenario.runs {
                let refused = |(_, outcome): &(_, Fate)| *outcome == Fate::Refused;
                if !run.outcomes.is_empty() && run.outcomes.iter().all(refused) {
                    assert!(!run.writes, "{}, {}", scenario.name, run.label);
                }
            }
        }
    }
}
