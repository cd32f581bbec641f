//! What the owner asked for: parameters -> [`Policy`].

pub mod grammar;
pub mod handed;
pub mod kernel_ids;
pub mod lookalike;
pub(crate) mod makers;
pub mod modprobe_conf;
pub mod nearest;
pub mod presence;
pub mod problem;
pub mod reach;
pub mod resolve;
pub mod selector;
pub mod setting;
pub mod sources;
pub mod sriov;
pub mod virtual_functions;
mod vocabulary;
mod words;

use core::fmt;

use crate::machine::inventory::Function;
use crate::policy::handed::Handed;
use crate::policy::modprobe_conf::Line;
use crate::policy::problem::{Problem, Severity};
use crate::policy::selector::{MAX_SELECTORS, Selector, Source, Target};
use crate::policy::setting::{KINDS, MAX_SETTINGS, Setting, Settings};
use crate::policy::sriov::{MAX_MAKINGS, Making};
use crate::text::DriverName;
use heapless::Vec;

/// The most problems that are kept; the others are counted.
pub const MAX_PROBLEMS: usize = 64;

/// What happens to the rest of an IOMMU group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GroupPolicy {
    /// All endpoints of the group are bound.
    #[default]
    Endpoints,
    /// The group is refused unless every endpoint was selected.
    Strict,
    /// Only what was selected is bound.
    Listed,
}

impl fmt::Display for GroupPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoints => "endpoints",
            Self::Strict => "strict",
            Self::Listed => "listed",
        })
    }
}

/// What happens to a function that could not be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// Its native driver gets it back.
    #[default]
    Native,
    /// It is kept without a driver.
    Hold,
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Hold => "hold",
        })
    }
}

/// The driver that is bound unless `vfio.driver=` names another.
pub const VFIO_PCI: &str = "vfio-pci";

/// What the owner of the machine asked for.
pub struct Policy<'a> {
    /// In the order written: `vfio.bind=`, then `vfio_pci.ids=`.
    pub selectors: Vec<Selector<'a>, MAX_SELECTORS>,
    /// `vfio.set=`, in the order written.
    pub settings: Vec<Settings<'a>, MAX_SETTINGS>,
    /// `vfio.sriov=`, in the order written.
    pub makings: Vec<Making<'a>, MAX_MAKINGS>,
    /// `vfio.bind=off`: do nothing at all.
    pub off: bool,
    /// `vfio.group=`
    pub group: GroupPolicy,
    /// `vfio.driver=`; vfio-pci where that is `auto`.
    pub driver: DriverName,
    /// `vfio.driver=auto`, the default: a function with a vfio driver of its own gets that one.
    pub auto: bool,
    /// `vfio.onfail=`
    pub on_failure: OnFailure,
    /// `vfio.dry_run`: plan and report only.
    pub dry_run: bool,
    /// `vfio.force`: bind what is protected, too.
    pub force: bool,
    /// Whether all that the system boots from is known, so that what is not protected is free. Without
    /// such a list what stores is taken only where it is named one by one.
    pub listed: bool,
    /// Whether the kernel hands a word to its own module vfio, for that is how it reads `vfio.X`.
    pub heard: bool,
    /// `intel_iommu=igfx_off`: Intel's own display gets no IOMMU group.
    pub igfx_off: bool,
    /// The lists of IDs that vfio-pci may be handed, whether they count here or not.
    pub handed: Handed<'a>,
    /// What modprobe.d has run in place of loading vfio-pci.
    pub install: Option<&'a Line>,
    /// What the owner should look at.
    pub problems: Vec<Problem<'a>, MAX_PROBLEMS>,
    /// Problems beyond [`MAX_PROBLEMS`].
    pub more_problems: usize,
}

impl<'a> Policy<'a> {
    /// One that was not read yet: it has not even a driver.
    pub const EMPTY: Self = Self {
        selectors: Vec::new(),
        settings: Vec::new(),
        makings: Vec::new(),
        off: false,
        group: GroupPolicy::Endpoints,
        driver: DriverName::new(),
        auto: false,
        on_failure: OnFailure::Native,
        dry_run: false,
        force: false,
        listed: false,
        heard: false,
        igfx_off: false,
        handed: Handed::EMPTY,
        install: None,
        problems: Vec::new(),
        more_problems: 0,
    };

    /// Whether nothing was asked for, `off` and mistakes included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // What a list leaves open matters only to those who ask for something.
        let open = |problem: &Problem<'_>| matches!(problem, Problem::Unprotected(_));
        !self.asks() && !self.off && self.problems.iter().all(open)
    }

    /// Whether any function is to be taken: what is protected is no reason to do anything.
    #[must_use]
    pub fn selects(&self) -> bool {
        self.selectors
            .iter()
            .any(|selector| !selector.source.protects())
    }

    /// Whether anything is to be done at all: functions taken, or virtual ones made.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.selects() || !self.makings.is_empty()
    }

    /// Whether a selector that takes names a function, or its place.
    #[must_use]
    pub fn asks_for(&self, function: &Function) -> bool {
        let mut takes = self.selectors.iter().filter(|s| !s.excludes);
        takes.any(|selector| selector.points_at(function))
    }

    /// What a function is to be set to where it is bound. Of several values for the same the last one counts,
    /// as everywhere on the kernel command line.
    #[inline(never)] // Inlined, it makes the executable larger.
    #[must_use]
    pub fn settings_of(&self, function: &Function) -> Vec<Setting<'a>, KINDS> {
        let mut all: Vec<Setting<'a>, KINDS> = Vec::new();
        for settings in &self.settings {
            if !settings.selector.matches(function) {
                continue;
            }
            for setting in settings.each() {
                match all.iter_mut().find(|earlier| earlier.is_like(&setting)) {
                    Some(earlier) => *earlier = setting,
                    // There is room for one of each kind.
                    None => drop(all.push(setting)),
                }
            }
        }
        all
    }

    /// All selectors, those of settings and of what is made last: they have to be found on the machine alike.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Selector<'a>> {
        let settings = self.settings.iter().map(|settings| &settings.selector);
        let makings = self.makings.iter().map(|making| &making.selector);
        self.selectors.iter().chain(settings).chain(makings)
    }

    /// One of the [places](Policy::places).
    pub(crate) fn place_mut(&mut self, at: usize) -> Option<&mut Selector<'a>> {
        let Some(at) = at.checked_sub(self.selectors.len()) else {
            return self.selectors.get_mut(at);
        };
        match at.checked_sub(self.settings.len()) {
            None => self.settings.get_mut(at).map(|one| &mut one.selector),
            Some(at) => self.makings.get_mut(at).map(|one| &mut one.selector),
        }
    }

    /// Whether a mistake may hide what must be left alone, so that nothing may be bound.
    #[must_use]
    pub fn forbids_binding(&self) -> bool {
        self.more_problems > 0 || self.problems.iter().any(Problem::forbids_binding)
    }

    /// Whether any part of the policy has no effect.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.more_problems > 0
            || self
                .problems
                .iter()
                .any(|problem| problem.severity() == Severity::Error)
    }

    /// Keeps a problem, or counts it.
    pub fn problem(&mut self, problem: Problem<'a>) {
        if self.problems.push(problem).is_err() {
            self.more_problems = self.more_problems.saturating_add(1);
        }
    }

    pub(crate) fn kernel_ids(&mut self, value: &'a [u8]) {
        // It was told that the kernel rejects it.
        if value.len() >= kernel_ids::VALUE_LIMIT {
            return;
        }
        for item in kernel_ids::items(value) {
            let Some(pattern) = item.pattern else {
                self.problem(Problem::InvalidId(item.text));
                continue;
            };
            if let Some(quirk) = item.quirk {
                self.problem(Problem::OddId(item.text, quirk));
            }
            self.select(Selector {
                text: item.text,
                source: Source::KernelIds,
                excludes: false,
                target: Target::Id(pattern),
                virtual_functions: None,
                expected: None,
                everywhere: false,
                confirmed: false,
            });
        }
    }

    pub(crate) fn select(&mut self, selector: Selector<'a>) {
        let told = |problem: &Problem<'_>| matches!(problem, Problem::TooManySelectors);
        if self.selectors.push(selector).is_err() && !self.problems.iter().any(told) {
            self.problem(Problem::TooManySelectors);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::*;
    use crate::policy::problem::Place;
    use crate::policy::sources::Sources;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;
    use std::{format, vec};

    pub(crate) fn policy(line: &str) -> Policy<'_> {
        read(line.as_bytes())
    }

    pub(crate) fn read(line: &[u8]) -> Policy<'_> {
        Policy::read(&Sources {
            line,
            ..Sources::default()
        })
    }

    pub(crate) fn selectors(policy: &Policy<'_>) -> Vec<String> {
        let sign = |s: &Selector<'_>| if s.excludes { "!" } else { "" };
        policy
            .selectors
            .iter()
            .map(|s| format!("{}{}", sign(s), s.target))
            .collect()
    }

    pub(crate) fn problems(policy: &Policy<'_>) -> Vec<String> {
        policy.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn bindings_add_up_and_ids_are_replaced() {
        let policy = policy(
            "quiet vfio.bind=0000:42:00.0,!43:00.0 rd.vfio.bind=10de:1b80 vfio_pci.ids=1:2 \
             vfio-pci.ids=1234:1111,8086:2668 root=/dev/sda1",
        );
        assert_eq!(
            selectors(&policy),
            [
                "0000:42:00.0",
                "!0000:43:00.0",
                "10de:1b80",
                "1234:1111",
                "8086:2668"
            ]
        );
        assert_eq!(
            problems(&policy),
            ["vfio_pci.ids is given more than once; the kernel uses the last one"]
        );
        assert!(!policy.has_errors());
    }

    #[test]
    fn the_last_ids_count_even_when_empty() {
        assert_eq!(
            selectors(&policy("vfio_pci.ids=1:2 vfio_pci.ids=")),
            [""; 0]
        );
    }

    #[test]
    fn other_peoples_parameters_are_left_alone() {
        let policy = policy(
            "quiet vfio.enable_unsafe_noiommu_mode=1 vfio_iommu_type1.allow_unsafe_interrupts=1 \
             vfio-pci.disable_vga=1 vfio_pci.nointxmask=1 pci-stub.ids=10de:1b80 vfiox.bind=1 \
             xvfio.bind=1 10de:1b80 -- vfio_bind=1",
        );
        assert!(policy.is_empty(), "{:?}", problems(&policy));
    }

    #[test]
    fn whoever_asks_for_anything_is_answered() {
        for line in ["vfio.bind=42:00.0", "vfio.bind=off", "vfio.bnid=42:00.0"] {
            assert!(!read(line.as_bytes()).is_empty(), "{line}");
        }
        for line in ["", "vfio.protect=42:00.0", "vfio.group=listed"] {
            assert!(read(line.as_bytes()).is_empty(), "{line}");
        }
    }

    /// What was written, what is said, and whether it forbids binding.
    const MISTAKES: &[(&str, &[&str], bool)] = &[
        (
            "vfio.bind=0000:4z:00.0",
            &["vfio.bind: `0000:4z:00.0`: expected a bus of two digits at `4z`"],
            false,
        ),
        (
            "vfio.bind=42:00.0,!4z:00.0",
            &[
                "vfio.bind: `!4z:00.0`: expected a bus of two digits at `4z`; what it excludes \
               is unknown, so nothing is bound",
            ],
            true,
        ),
        ("vfio.bind", &["vfio.bind names no function"], false),
        ("vfio.bind=", &["vfio.bind names no function"], false),
        ("vfio.bind=,", &["vfio.bind names no function"], false),
        (
            "vfio.group=strickt",
            &["vfio.group=`strickt`: expected endpoints, strict or listed; strict is used"],
            false,
        ),
        (
            "vfio.group",
            &["vfio.group has no value: expected endpoints, strict or listed; strict is used"],
            false,
        ),
        (
            "vfio.onfail=kill",
            &["vfio.onfail=`kill`: expected native or hold; native is used"],
            false,
        ),
        (
            "vfio.driver=a/b",
            &["vfio.driver=`a/b`: expected the name of a driver; nothing is bound"],
            true,
        ),
        (
            "vfio.dry_run=maybe",
            &["vfio.dry_run=`maybe`: expected 1 or 0; 1 is used"],
            false,
        ),
        (
            "vfio.protect=4z:00.0",
            &[
                "vfio.protect: `4z:00.0`: expected a bus of two digits at `4z`; what it excludes \
               is unknown, so nothing is bound",
            ],
            true,
        ),
        ("vfio.protect", &["vfio.protect names no function"], false),
        (
            "vfio.force=maybe",
            &["vfio.force=`maybe`: expected 1 or 0; 0 is used"],
            false,
        ),
        (
            "vfio.bnid=42:00.0",
            &[
                "vfio.bnid is no parameter of vfio-bind and is ignored; see vfio-bind-agent(8) for the list",
            ],
            false,
        ),
        (
            "-- vfio.bind=42:00.0",
            &[
                "vfio.bind stands behind `--`, where the kernel leaves all to init; it is ignored, \
               put it in front",
            ],
            false,
        ),
        (
            "vfio_pci.ids",
            &["vfio_pci.ids has no value; the kernel does not load vfio-pci with it; remove it"],
            false,
        ),
        (
            "vfio_pci.ids=10de",
            &["vfio_pci.ids: `10de`: invalid id string, the kernel skips it; write vendor:device"],
            false,
        ),
        (
            "vfio_pci.ids=1:2:3:4:30000",
            &[
                "vfio_pci.ids: `1:2:3:4:30000`: a class without a mask filters nothing; add \
               `:ffffff` to compare all of it",
            ],
            false,
        ),
    ];

    #[test]
    fn every_mistake_is_told_and_none_widens_what_is_bound() {
        for (line, expected, forbids) in MISTAKES {
            let policy = policy(line);
            assert_eq!(&problems(&policy), expected, "{line}");
            assert_eq!(policy.forbids_binding(), *forbids, "{line}");
        }
        assert_eq!(policy("vfio.group=strickt").group, GroupPolicy::Strict);
        assert!(policy("vfio.dry_run=maybe").dry_run);
    }

    #[test]
    fn what_is_beyond_the_limit_may_be_an_error() {
        let line = format!("vfio_pci.ids={}", "1:2:,".repeat(MAX_PROBLEMS));
        assert!(!policy(&line).has_errors());
        assert!(policy(&format!("{line}1:2:")).has_errors());
    }

    #[test]
    fn limits_are_told() {
        let many = vec!["42:00.0"; MAX_SELECTORS + 9].join(",");
        let line = format!("vfio.bind={many}");
        let policy = policy(&line);
        assert_eq!(policy.selectors.len(), MAX_SELECTORS);
        assert!(policy.forbids_binding());
        assert_eq!(policy.problems.len(), 1, "told once");

        let line = format!("vfio_pci.ids={}", "x,".repeat(MAX_PROBLEMS + 3));
        let policy = read(line.as_bytes());
        assert_eq!(
            (policy.problems.len(), policy.more_problems),
            (MAX_PROBLEMS, 3)
        );
        assert!(policy.forbids_binding());

        let long = format!("vfio_pci.ids={}", "1:2,".repeat(256));
        let policy = read(long.as_bytes());
        assert!(policy.selectors.is_empty());
        assert_eq!(
            policy.problems.first(),
            Some(&Problem::IdsTooLong(Place::Line, 1024))
        );
        let fits = format!("vfio_pci.ids={}1:2", "1:2,".repeat(255));
        let policy = read(fits.as_bytes());
        assert_eq!(policy.selectors.len(), 256);
    }

    proptest! {
        #[test]
        fn no_command_line_panics(
            bytes: Vec<u8>, words in "(vfio[._](bind|pci.ids|group|driver)=[!0-9a-f:.,*]{0,20} ){0,4}",
        ) {
            let _ = read(&bytes);
            let _ = problems(&policy(&words));
        }
    }
}
