//! Systems on a disk that firmware boots by a real boot loader: what is done in them, and undone again.
//!
//! A [`System`] is a loader and a [`Course`] of boots. Each [`Boot`] says what is to be found in it, and what is
//! done at its end, which the next one shows.

mod commands;

use crate::lent;
use crate::machine::{GPU, GPU_AUDIO, Iommu, Machine, with_twin_disk};
use crate::protocol::{Orders, Step};
use crate::scenario::NATIVES;
use commands::*;

/// The functions that are taken: what `vfio.bind=` of the documents names, and what shares its group.
pub const TAKEN: [&str; 2] = [GPU, GPU_AUDIO];
/// How the list of what the system boots from starts: the controller of its disk.
pub const PROTECTED: &str = "vfio.protect=0000:00:06.0/00.0@1b36:0010 ";
/// Where the archive lies that `cargo xtask cpio` makes, and the list that is in it, below [`SOURCE`].
pub const ARCHIVE_AND_LIST: [&str; 2] = ["vfio-bind.img", "protected.conf"];
/// Where a boot's orders lie until it is their turn, by the boot's name.
pub const NEXT: &str = "/root/orders";
/// Where an installation lies as `cargo xtask install` leaves it, below this.
pub const SOURCE: &str = "/root/vfio-bind";

/// What boots a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// GRUB, with a configuration by grub-mkconfig.
    Grub,
    /// systemd-boot, with entries by kernel-install.
    SystemdBoot,
    /// systemd-boot, with unified kernel images by kernel-install and ukify.
    Unified,
}

/// What its owner does, from an untouched system to an untouched system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// By hand, as docs/install.md says.
    ByHand,
    /// By hand, with an archive beside an image that knows nothing of us.
    Archive,
    /// By `vfio-bind setup`: tried and not confirmed, tried and kept, and undone.
    SetUp,
    /// By `vfio-bind setup`, without a try, and undone.
    SetUpAtOnce,
    /// A package installed, a card set up, lent, given back and undone, and the package purged.
    Journey,
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// What boots it.
    pub loader: Loader,
    /// What is done in it.
    pub course: Course,
}

/// What is found in a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Native drivers, and nothing of us has run.
    Untouched,
    /// Native drivers; the image has an agent that nothing was asked of.
    Unasked,
    /// What was asked for is bound.
    Bound,
    /// Native drivers, and nothing of us is left in the system or in its image.
    Clean,
}

/// One of the boots of a course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// A word for it.
    pub name: &'static str,
    /// What is found in it.
    pub state: State,
    /// What is done in it then, as root, where an installation was laid under target/install.
    commands: Vec<String>,
    /// What there must be in what that prints.
    pub prints: Vec<String>,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::new(Loader::Grub, Course::ByHand),
        Self::new(Loader::SystemdBoot, Course::ByHand),
        Self::new(Loader::Grub, Course::Archive),
        Self::new(Loader::SystemdBoot, Course::Archive),
        Self::new(Loader::Grub, Course::SetUp),
        Self::new(Loader::SystemdBoot, Course::SetUp),
        Self::new(Loader::Unified, Course::SetUpAtOnce),
        Self::new(Loader::Grub, Course::Journey),
    ];

    const fn new(loader: Loader, course: Course) -> Self {
        Self { loader, course }
    }

    /// Its row's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.course, self.loader) {
            (Course::ByHand, Loader::Grub) => "disk-grub",
            (Course::ByHand, _) => "disk-systemd-boot",
            (Course::Archive, Loader::Grub) => "archive-grub",
            (Course::Archive, _) => "archive-systemd-boot",
            (Course::SetUp, Loader::Grub) => "setup-grub",
            (Course::SetUp, _) => "setup-systemd-boot",
            (Course::SetUpAtOnce, _) => "uki-systemd-boot",
            (Course::Journey, _) => "journey",
        }
    }

    /// One sentence.
    #[must_use]
    pub fn proves(self) -> &'static str {
        match (self.course, self.loader) {
            (Course::ByHand, Loader::Grub) => {
                "what the documents say installs it and removes it, where GRUB boots"
            }
            (Course::Archive, Loader::Grub) => {
                "an archive that GRUB is given binds, behind the image and in front of it"
            }
            (Course::SetUp, Loader::Grub) => {
                "`setup` tries it once, keeps it and takes it out again, where GRUB boots"
            }
            (Course::SetUpAtOnce, _) => {
                "`setup` has its words in a unified kernel image, and takes them out again"
            }
            (Course::Journey, _) => {
                "a system is as on its first day after a package, `setup`, a card lent and given back, and a purge"
            }
            (_, Loader::SystemdBoot | Loader::Unified) => "the same where systemd-boot does",
        }
    }

    /// Its boots, in order.
    #[must_use]
    pub fn boots(self) -> Vec<Boot> {
        let is_grub = self.loader == Loader::Grub;
        let (note, note_stays) = match is_grub {
            true => (GRUB_NOTE, &GRUB_NOTE_STAYS),
            false => (ENTRY_NOTE, &ENTRY_NOTE_STAYS),
        };
        let undo: &[_] = &[STATUS, note, UNDO];
        match self.course {
            Course::ByHand => {
                let (words, no_words): (&[_], _) = match is_grub {
                    true => (&[GRUB_WORDS], NO_GRUB_WORDS),
                    false => (&[ENTRY_LINE, ENTRY_WORDS], NO_ENTRY_WORDS),
                };
                vec![
                    boot("before", State::Untouched, &[&[LAY], words, &[REBUILD]]),
                    boot("bound", State::Bound, &[&[no_words], &NO_FILES, &[REBUILD]]),
                    boot("after", State::Clean, &[&LEFT]),
                ]
            }
            Course::Archive => {
                let (first, then, back): (&[_], &[_], &[_]) = match is_grub {
                    true => (&[ARCHIVE, TYPED], &[GRUB_ARCHIVE], &[NO_GRUB_WORDS]),
                    false => (
                        &[ENTRY_ARCHIVE],
                        &[ARCHIVE, PLUGIN, ENTRY_LINE, REBUILD],
                        &[NO_ENTRY_WORDS, NO_ENTRY_ARCHIVE, REBUILD],
                    ),
                };
                vec![
                    boot("before", State::Untouched, &[&[SAME_LIST], first]),
                    boot("once", State::Bound, &[then]),
                    boot("stays", State::Bound, &[back, &[NO_ARCHIVE]]),
                    boot("after", State::Clean, &[&LEFT]),
                ]
            }
            Course::SetUp => {
                let menu: &[_] = if is_grub { &[MENU] } else { &[] };
                vec![
                    boot("before", State::Untouched, &[menu, &[LAY, REBUILD, TRY]]),
                    boot("tried", State::Bound, &[&[STATUS]]),
                    boot("back", State::Unasked, &[&[TRY]]),
                    boot("again", State::Bound, &[&[STATUS, KEEP]]),
                    boot("kept", State::Bound, &[undo, &NO_FILES, &[REBUILD]]),
                    boot("after", State::Clean, &[note_stays, &LEFT]),
                ]
            }
            Course::SetUpAtOnce => vec![
                boot("before", State::Untouched, &[&[LAY, REBUILD, SET]]),
                boot("bound", State::Bound, &[undo, &NO_FILES, &[REBUILD]]),
                boot("after", State::Clean, &[note_stays, &LEFT]),
            ],
            Course::Journey => journey(),
        }
    }

    /// The script that is run at the end of a boot; its own end are the orders of the next one.
    #[must_use]
    pub fn script(self, boot: &Boot) -> String {
        let lines: String = boot
            .commands
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        let trace = if boot.state == State::Clean {
            ""
        } else {
            "set -x\n"
        };
        let boots = self.boots();
        let mut rest = boots.iter().skip_while(|other| *other != boot);
        let own = rest.next().unwrap_or(boot);
        let next = rest.next().unwrap_or(own).name;
        format!("cd {SOURCE}\n{trace}{lines}cp {NEXT}/{next} /scenario.json\nsync\n")
    }

    /// What is looked at in a boot, and then done.
    #[must_use]
    pub fn orders(self, boot: &Boot) -> Orders {
        let mut steps = vec![Step::Inherit, Step::Snapshot(NATIVES.to_owned())];
        if boot.state == State::Bound {
            steps.push(Step::UseFunctions(TAKEN.map(str::to_owned).to_vec()));
        }
        steps.push(Step::Script(boot.script()));
        Orders {
            scenario: format!("{}-{}", self.name(), boot.name),
            steps,
        }
    }
}

fn boot(name: &'static str, state: State, commands: &[&[&str]]) -> Boot {
    let commands = commands.concat();
    Boot {
        name,
        state,
        commands: commands.into_iter().map(str::to_owned).collect(),
        prints: Vec::new(),
    }
}

/// From the first day back to it. Its kernel has no /dev/iommu (Debian's 6.12 is without `CONFIG_IOMMUFD`), and so
/// no machine that opens the card by that.
fn journey() -> Vec<Boot> {
    // What the shell itself would say of them looks like what they print.
    let lend = ["set +x\n", lent::FUNCTIONS, &lent::lend()].concat();
    let back = lent::give_back();
    let before = boot(
        "before",
        State::Untouched,
        &[&[MENU, REBUILD, SUMS, INSTALL, SET]],
    );
    let mut bound = boot(
        "bound",
        State::Bound,
        &[&[STATUS, &lend, &back, UNDO, PURGE]],
    );
    bound.prints = [lent::lends(), lent::gives_back()].concat();
    let after = boot("after", State::Clean, &[&LEFT, &[DIFFERENCE]]);
    vec![before, bound, after]
}

impl Boot {
    /// The place of its script.
    #[must_use]
    pub fn script(&self) -> String {
        format!("{SOURCE}/{}.sh", self.name)
    }
}

/// The machine that they run on.
#[must_use]
pub fn machine() -> Machine {
    with_twin_disk(Iommu::Intel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_by_hand_is_what_the_documents_say() {
        let told: String = include_str!("../../docs/install.md")
            .lines()
            .map(|line| line.trim_start().replace("sudo ", "") + "\n")
            .collect();
        let by_hand = System::ALL
            .into_iter()
            .filter(|one| matches!(one.course, Course::ByHand | Course::Archive));
        for boot in by_hand
            .flat_map(System::boots)
            .filter(|boot| boot.state != State::Clean)
        {
            let told_commands = boot
                .commands
                .iter()
                .filter(|text| ![SAME_LIST, TYPED].contains(&text.as_str()));
            for line in told_commands.flat_map(|text| text.lines()) {
                let line = line.trim_start();
                assert!(
                    told.contains(&format!("{line}\n")),
                    "docs/install.md has no line `{line}`"
                );
            }
        }
        assert!(told.contains(&format!("vfio.bind={GPU}")));
    }

    #[test]
    fn each_boot_leads_to_the_next() {
        for system in System::ALL {
            let boots = system.boots();
            for pair in boots.windows(2) {
                let next = format!("cp {NEXT}/{} /scenario.json\n", pair[1].name);
                assert!(system.script(&pair[0]).contains(&next), "{next}");
            }
            assert_eq!(boots.first().map(|boot| boot.state), Some(State::Untouched));
            assert_eq!(boots.last().map(|boot| boot.state), Some(State::Clean));
        }
    }
}
