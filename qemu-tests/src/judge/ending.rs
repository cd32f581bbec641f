//! Whether the machine ended as one does that has carried out its orders.

use super::evidence::{Evidence, Records};
use super::failures::Failures;
use crate::architecture::Architecture;
use crate::protocol::End;
use crate::wire::WireError;

/// What the kernel prints when it is broken, as opposed to refusing something.
const KERNEL_TROUBLE: [&str; 6] = [
    "Kernel panic - ",
    "BUG: ",
    "Oops: ",
    "------------[ cut here ]------------",
    "general protection fault",
    "Unable to handle kernel",
];

/// What it prints where it was asked to break, for another kernel to boot.
const ASKED: &str = "sysrq triggered crash";

pub(super) fn judge(
    name: &str,
    architecture: Architecture,
    evidence: &Evidence,
    channel: Option<WireError>,
    records: &Records,
    failures: &mut Failures,
) {
    let was_ended = evidence.over_time.is_some() || evidence.refused.is_some();
    let trouble = |line: &&str| {
        let asked = records.releases.len() > 1 && line.contains(ASKED);
        !asked && KERNEL_TROUBLE.iter().any(|words| line.contains(words))
    };
    if let Some(line) = evidence.console.lines().find(trouble) {
        failures.add(
            "the kernel",
            "no complaint",
            format_args!("`{}`", line.trim()),
        );
    }
    if let Some(seconds) = evidence.over_time {
        let actual = format!("it was ended; {}", last_words(evidence));
        failures.add(
            "the machine",
            format_args!("to end within {seconds} s"),
            actual,
        );
    }
    if let Some(refusal) = &evidence.refused {
        failures.add("what the guest asked QEMU for", "done", refusal);
    }
    if let Some(error) = channel {
        failures.add("the guest's records", "all of them whole", error);
    }
    match &records.verdicts[..] {
        [verdict] if !verdict.broken.is_empty() => {
            failures.add("the guest", "every step carried out", &verdict.broken);
        }
        [verdict] => failures.equal("the verdict's scenario", name, &verdict.scenario),
        // A machine that was ended before has said so.
        [] if was_ended => {}
        [] => failures.add(
            "verdict records",
            "exactly 1",
            format!("0; {}", last_words(evidence)),
        ),
        other => failures.add("verdict records", "exactly 1", other.len()),
    }
    let finished = i32::from(End::Finished.status(architecture));
    if !was_ended && evidence.exit != Some(finished) {
        let actual = evidence
            .exit
            .map_or("a signal".to_owned(), |code| code.to_string());
        failures.add(
            "QEMU's exit status, the guest's second sign",
            finished,
            actual,
        );
    }
}

/// The last line that the machine, or QEMU itself, printed.
fn last_words(evidence: &Evidence) -> String {
    let mut lines = evidence.console.lines().map(str::trim);
    let last = lines.rfind(|line| !line.is_empty());
    format!("the console ends with `{}`", last.unwrap_or_default())
}
