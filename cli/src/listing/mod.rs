//! A machine as lines: [`groups`], or the [`tree`] of its bridges.

pub mod groups;
mod notes;
pub mod tree;

use crate::facts::group::Lending;
use crate::facts::{Group, Machine};
use crate::terminal::{Screen, Tone};

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// What belongs to the machine itself, too.
    pub machine: bool,
    /// All that is known of each function.
    pub all: bool,
}

/// The line that all begins with: the IOMMU, and how many groups can be lent.
#[must_use]
pub fn summary(machine: &Machine, screen: Screen) -> String {
    let numbered = || machine.groups.iter().filter(|group| group.number.is_some());
    if numbered().next().is_none() {
        let advice = machine
            .advice
            .as_deref()
            .unwrap_or("look for it in the firmware setup");
        let text = format!("No function has an IOMMU group, so none can be lent: {advice}.\n");
        return screen.wrap(&text, 0);
    }
    let kind = match &*machine.iommu {
        "intel" => "Intel VT-d",
        "amd" => "AMD-Vi",
        "smmuv3" => "Arm SMMU version 3",
        "smmu" => "Arm SMMU",
        "virtio" => "virtio-iommu",
        "s390" => "IBM Z",
        _ => "some",
    };
    let (rest, useful): (Vec<_>, Vec<_>) =
        numbered().partition(|group| machine.is_of_no_use(group));
    let mut counts = Vec::new();
    for (lending, words) in [
        (&[Lending::Lent][..], "bound to VFIO"),
        (&[Lending::Can, Lending::InUse], "can be lent"),
        (&[Lending::Unknown], "not known before the boot"),
        (&[Lending::Cannot, Lending::Machine], "cannot be lent"),
    ] {
        let is_one = |group: &&&Group| lending.contains(&group.verdict.lending);
        counts.push((useful.iter().filter(is_one).count(), words));
    }
    counts.push((rest.len(), "of the machine itself and its chipset"));
    counts.retain(|(count, _)| *count > 0);
    let parts = counts
        .iter()
        .map(|(count, words)| format!("{count} {words}"));
    let parts: Vec<_> = parts.collect();
    let groups = counted(numbered().count(), "IOMMU group");
    screen.wrap(
        &format!("IOMMU: {kind}; {groups}: {}\n", parts.join(", ")),
        0,
    )
}

/// What could not be found out.
#[must_use]
pub fn untold(machine: &Machine, by_root: bool, screen: Screen) -> String {
    if machine.untold.is_empty() {
        return String::new();
    }
    let mut text = match by_root {
        true => "\nNot all could be found out:\n".to_owned(),
        false => "\nNot all is shown to an ordinary user; root may see more:\n".to_owned(),
    };
    for untold in &machine.untold {
        let line = crate::terminal::one_line(untold);
        text.extend([&screen.wrap(&format!("  {line}"), 4), "\n"]);
    }
    text
}

/// A number of things: `1 group`, `2 groups`.
#[must_use]
pub fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

/// The tone of what is said of lending.
fn tone(lending: Lending) -> Tone {
    match lending {
        Lending::Lent => Tone::Strong,
        Lending::Can => Tone::Good,
        Lending::InUse | Lending::Unknown => Tone::Warning,
        Lending::Cannot => Tone::Bad,
        Lending::Machine => Tone::Faint,
    }
}

/// `Group 12`, or what stands for it where there is none.
fn title(group: &Group) -> String {
    match group.number {
        Some(number) => format!("Group {number}"),
        None => "No group".to_owned(),
    }
}

/// Each word by itself: what is wrapped keeps its tone and no blank has it.
fn toned(screen: Screen, tone: Tone, text: &str) -> String {
    let words = text.split(' ').map(|word| screen.paint(tone, word));
    words.collect::<Vec<_>>().join(" ")
}
