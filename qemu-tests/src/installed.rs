//! Systems on a disk that firmware boots by a real boot loader: what is done in them, and undone again.
//!
//! A [`System`] is a loader and a [`Course`] of boots. Each [`Boot`] says what is to be found in it, and what is
//! done at its end, which the next one shows.

use crate::machine::{GPU, GPU_AUDIO, Iommu, Machine, with_twin_disk};
use crate::protocol::{Orders, Step};
use crate::scenario::NATIVES;

/// The functions that are taken: what `vfio.bind=` of the documents names, and what shares its group.
pub const TAKEN: [&str; 2] = [GPU, GPU_AUDIO];
/// How the list of what the system boots from starts: the controller of its disk.
pub const PROTECTED: &str = "vfio.protect=0000:00:06.0/00.0@1b36:0010 ";
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
}

/// What its owner does, from an untouched system to an untouched system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// By hand, as docs/install.md says.
    ByHand,
    /// By `vfio-bind setup`: tried and not confirmed, tried and kept, and undone.
    SetUp,
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
    commands: Vec<&'static str>,
}

/// Files in their places.
const LAY: &str = "cp -r --no-preserve=ownership target/install/. /";
/// The words for GRUB.
const GRUB_WORDS: &str = "\
echo 'GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT vfio.bind=0000:42:00.0\"' |
    tee /etc/default/grub.d/vfio-bind.cfg
update-grub";
/// The words for systemd-boot.
const ENTRY_WORDS: [&str; 2] = [
    "tr ' ' '\\n' </proc/cmdline | grep -v '^initrd=' | paste -sd ' ' | tee /etc/kernel/cmdline",
    "sed -i 's/$/ vfio.bind=0000:42:00.0/' /etc/kernel/cmdline",
];
/// The image; with systemd-boot its entry, too.
const REBUILD: &str = "update-initramfs -u";
/// And back.
const NO_GRUB_WORDS: &str = "rm /etc/default/grub.d/vfio-bind.cfg\nupdate-grub";
const NO_ENTRY_WORDS: &str = "sed -i 's/ vfio\\.bind=[^ ]*//g' /etc/kernel/cmdline";
const NO_FILES: [&str; 2] = [
    "(cd target/install && find . ! -type d) | (cd / && xargs rm -f)",
    "rm -rf /etc/vfio-bind /var/lib/vfio-bind /usr/lib/dracut/modules.d/50vfio-bind",
];
/// Prints what is left, in the system and in the image.
const LEFT: [&str; 3] = [
    "find / -xdev -name '*vfio-bind*' ! -path '/root/*' ! -path '/proc/*'",
    "lsinitramfs /boot/initrd.img-$(uname -r) | grep vfio-bind || :",
    "grep -o 'vfio[^ ]*' /proc/cmdline || :",
];

/// GRUB as its installation leaves it: the menu of the first boot is a few lines of the laboratory.
const MENU: &str = "grub-editenv /boot/grub/grubenv create\nupdate-grub";
/// Asks for the next boot only.
const TRY: &str = "vfio-bind setup --try --yes 42:00.0";
/// What was tried becomes what is.
const KEEP: &str = "vfio-bind setup --keep --yes";
/// Whether this boot did as asked.
const STATUS: &str = "vfio-bind status";
/// Takes it out.
const UNDO: &str = "vfio-bind setup --undo --yes";
/// The owner writes something of his own behind ours.
const GRUB_NOTE: &str = "echo '# a note of the owner' >>/etc/default/grub";
const ENTRY_NOTE: &str = "sed -i 's/ mitigations=off/ mitigations=off quiet/' /etc/kernel/cmdline";
/// Which is there still, and nothing else of it.
const GRUB_NOTE_STAYS: [&str; 2] = [
    "grep -qx '# a note of the owner' /etc/default/grub",
    "! grep -r vfio /etc/default /boot/grub/grub.cfg /boot/grub/custom.cfg",
];
const ENTRY_NOTE_STAYS: [&str; 2] = [
    "grep -q ' quiet' /etc/kernel/cmdline",
    "! grep -r vfio /etc/kernel /boot/efi/loader",
];

impl System {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::new(Loader::Grub, Course::ByHand),
        Self::new(Loader::SystemdBoot, Course::ByHand),
        Self::new(Loader::Grub, Course::SetUp),
        Self::new(Loader::SystemdBoot, Course::SetUp),
    ];

    const fn new(loader: Loader, course: Course) -> Self {
        Self { loader, course }
    }

    /// Its row's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.course, self.loader) {
            (Course::ByHand, Loader::Grub) => "disk-grub",
            (Course::ByHand, Loader::SystemdBoot) => "disk-systemd-boot",
            (Course::SetUp, Loader::Grub) => "setup-grub",
            (Course::SetUp, Loader::SystemdBoot) => "setup-systemd-boot",
        }
    }

    /// One sentence.
    #[must_use]
    pub fn proves(self) -> &'static str {
        match (self.course, self.loader) {
            (Course::ByHand, Loader::Grub) => {
                "what the documents say installs it and removes it, where GRUB boots"
            }
            (Course::SetUp, Loader::Grub) => {
                "`setup` tries it once, keeps it and takes it out again, where GRUB boots"
            }
            (_, Loader::SystemdBoot) => "the same where systemd-boot does",
        }
    }

    /// Its boots, in order.
    #[must_use]
    pub fn boots(self) -> Vec<Boot> {
        let boot = |name, state, commands: &[&[&'static str]]| Boot {
            name,
            state,
            commands: commands.concat(),
        };
        let menu: &[_] = match self.loader {
            Loader::Grub => &[MENU],
            Loader::SystemdBoot => &[],
        };
        let (words, no_words, note, note_stays): (&[_], _, _, &[_]) = match self.loader {
            Loader::Grub => (&[GRUB_WORDS], NO_GRUB_WORDS, GRUB_NOTE, &GRUB_NOTE_STAYS),
            Loader::SystemdBoot => (&ENTRY_WORDS, NO_ENTRY_WORDS, ENTRY_NOTE, &ENTRY_NOTE_STAYS),
        };
        match self.course {
            Course::ByHand => vec![
                boot("before", State::Untouched, &[&[LAY], words, &[REBUILD]]),
                boot("bound", State::Bound, &[&[no_words], &NO_FILES, &[REBUILD]]),
                boot("after", State::Clean, &[&LEFT]),
            ],
            Course::SetUp => vec![
                boot("before", State::Untouched, &[menu, &[LAY, REBUILD, TRY]]),
                boot("tried", State::Bound, &[&[STATUS]]),
                boot("back", State::Unasked, &[&[TRY]]),
                boot("again", State::Bound, &[&[STATUS, KEEP]]),
                boot(
                    "kept",
                    State::Bound,
                    &[&[STATUS, note, UNDO], &NO_FILES, &[REBUILD]],
                ),
                boot("after", State::Clean, &[note_stays, &LEFT]),
            ],
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
            .filter(|one| one.course == Course::ByHand);
        for boot in by_hand
            .flat_map(System::boots)
            .filter(|boot| boot.state != State::Clean)
        {
            for line in boot.commands.iter().flat_map(|text| text.lines()) {
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
