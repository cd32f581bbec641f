//! Whether the firmware's framebuffer is where it belongs.

use super::evidence::Records;
use super::failures::{Failures, list};
use crate::machine::GPU;
use crate::protocol::Memory;
use crate::scenario::Scenario;

pub(super) fn judge(scenario: &Scenario, records: &Records, failures: &mut Failures) {
    if !scenario.looks_at_memory() {
        return;
    }
    let [before, after] = &records.memory[..] else {
        let count = records.memory.len();
        return failures.add("records of memory", "one before and one after", count);
    };
    if !is_held(before) {
        failures.add(
            "the memory of the screen before the agent",
            "a framebuffer of the firmware in it, with a driver",
            describe(before),
        );
    }
    let taken = scenario.taken().contains(&GPU);
    if is_held(after) == taken || (taken && holds_framebuffer(after)) {
        let expected = match taken {
            true => "no framebuffer in it",
            false => "the framebuffer as before",
        };
        let what = "the memory of the screen after the agent";
        failures.add(what, expected, describe(after));
    }
}

/// Whether a driver has a framebuffer there.
fn is_held(memory: &Memory) -> bool {
    let driven = |device: &String| !device.ends_with(" none");
    holds_framebuffer(memory) && memory.framebuffers.iter().any(driven)
}

/// Whether a framebuffer lies there, by the names that kernels have for it.
fn holds_framebuffer(memory: &Memory) -> bool {
    let names = [
        "BOOTFB",
        "efifb",
        "simplefb",
        "vesafb",
        "simpledrm",
        "efidrm",
        "vesadrm",
    ];
    let name = |line: &String| line.rsplit(" : ").next().map(str::to_owned);
    let mut found = memory.inside.iter().filter_map(name);
    found.any(|found| names.contains(&found.as_str()))
}

fn describe(memory: &Memory) -> String {
    let (inside, devices) = (list(&memory.inside), list(&memory.framebuffers));
    format!("in it {inside}; platform devices {devices}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Run;

    fn memory(inside: &[&str], framebuffers: &[&str]) -> Memory {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Memory {
            inside: owned(inside),
            framebuffers: owned(framebuffers),
        }
    }

    /// How many demands are not met, for a screen that is taken or not.
    fn failures(taken: bool, before: &Memory, after: &Memory) -> usize {
        let run = match taken {
            true => Run::new("agent").bound(&[GPU]),
            false => Run::new("agent"),
        };
        let scenario = Scenario::new("screen", "", "", run).framebuffer("5.10");
        let records = Records {
            memory: vec![before.clone(), after.clone()],
            ..Records::default()
        };
        let mut failures = Failures::default();
        judge(&scenario, &records, &mut failures);
        failures.0.len()
    }

    #[test]
    fn the_framebuffer_goes_with_the_screen_and_stays_with_it() {
        let held = memory(&["c0-c1 : efifb"], &["efi-framebuffer.0 efi-framebuffer"]);
        let idle = memory(&[], &["efi-framebuffer.0 none"]);
        let left = memory(&["c0-c1 : BOOTFB"], &["simple-framebuffer.0 none"]);
        let vfio = memory(&["c0-c1 : vfio-pci"], &[]);
        for (taken, before, after, count) in [
            (true, &held, &idle, 0),
            (true, &held, &vfio, 0),
            (true, &held, &held, 1),
            (true, &held, &left, 1),
            (true, &idle, &idle, 1),
            (false, &held, &held, 0),
            (false, &held, &idle, 1),
        ] {
            assert_eq!(
                failures(taken, before, after),
                count,
                "{taken} {before:?} {after:?}"
            );
        }
    }
}
