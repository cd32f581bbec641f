//! Systems on a disk that firmware boots by a real boot loader: what docs/install.md says is done in them,
//! and undone again.
//!
//! Each is booted three times ([`Boot`]). In the first it is installed, in the second it binds and is
//! removed, and in the third nothing of it is left.

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

/// One of the boots of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// As Debian is; then it is installed.
    Before,
    /// It binds; then it is removed.
    Bound,
    /// As before.
    After,
}

impl Boot {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Before, Self::Bound, Self::After];

    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Bound => "bound",
            Self::After => "after",
        }
    }

    /// The script that is run at its end.
    #[must_use]
    pub fn script(self) -> String {
        format!("{SOURCE}/{}.sh", self.name())
    }
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
    "rm -rf /etc/vfio-bind /usr/lib/dracut/modules.d/50vfio-bind",
];
/// Prints what is left, in the system and in the image.
const LEFT: [&str; 3] = [
    "find / -xdev -name '*vfio-bind*' ! -path '/root/*' ! -path '/proc/*'",
    "lsinitramfs /boot/initrd.img-$(uname -r) | grep vfio-bind || :",
    "grep -o 'vfio[^ ]*' /proc/cmdline || :",
];

impl Loader {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Grub, Self::SystemdBoot];

    /// Its row's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grub => "disk-grub",
            Self::SystemdBoot => "disk-systemd-boot",
        }
    }

    /// One sentence.
    #[must_use]
    pub fn proves(self) -> &'static str {
        match self {
            Self::Grub => "what the documents say installs it and removes it, where GRUB boots",
            Self::SystemdBoot => "the same where systemd-boot does",
        }
    }

    /// What the documents have done, as root, where an installation was laid under target/install.
    fn commands(self, boot: Boot) -> Vec<&'static str> {
        match (boot, self) {
            (Boot::Before, Self::Grub) => vec![LAY, GRUB_WORDS, REBUILD],
            (Boot::Before, Self::SystemdBoot) => [&[LAY], &ENTRY_WORDS[..], &[REBUILD]].concat(),
            (Boot::Bound, Self::Grub) => [&[NO_GRUB_WORDS], &NO_FILES[..], &[REBUILD]].concat(),
            (Boot::Bound, Self::SystemdBoot) => {
                [&[NO_ENTRY_WORDS], &NO_FILES[..], &[REBUILD]].concat()
            }
            (Boot::After, _) => LEFT.to_vec(),
        }
    }

    /// The script of a boot; it ends with the orders of the next.
    #[must_use]
    pub fn script(self, boot: Boot) -> String {
        let lines: String = self
            .commands(boot)
            .into_iter()
            .map(|line| format!("{line}\n"))
            .collect();
        let trace = if boot == Boot::After { "" } else { "set -x\n" };
        let next = match boot {
            Boot::Before => Boot::Bound.name(),
            Boot::Bound | Boot::After => Boot::After.name(),
        };
        format!("cd {SOURCE}\n{trace}{lines}cp {NEXT}/{next} /scenario.json\nsync\n")
    }

    /// What is looked at in a boot, and then done.
    #[must_use]
    pub fn orders(self, boot: Boot) -> Orders {
        let mut steps = vec![Step::Inherit, Step::Snapshot(NATIVES.to_owned())];
        if boot == Boot::Bound {
            steps.push(Step::UseFunctions(TAKEN.map(str::to_owned).to_vec()));
        }
        steps.push(Step::Script(boot.script()));
        Orders {
            scenario: format!("{}-{}", self.name(), boot.name()),
            steps,
        }
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
    fn what_is_done_is_what_the_documents_say() {
        let told: String = include_str!("../../docs/install.md")
            .lines()
            .map(|line| line.trim_start().replace("sudo ", "") + "\n")
            .collect();
        for loader in Loader::ALL {
            for boot in [Boot::Before, Boot::Bound] {
                for line in loader.commands(boot).iter().flat_map(|text| text.lines()) {
                    let line = line.trim_start();
                    assert!(
                        told.contains(&format!("{line}\n")),
                        "docs/install.md has no line `{line}`"
                    );
                }
            }
        }
        assert!(told.contains(&format!("vfio.bind={GPU}")));
    }
}
