//! Boots through images that real initramfs tools built, with the native drivers forced into them.

use crate::machine::{
    CARD_READER, GPU, GPU_AUDIO, Iommu, MOUNTED, Machine, NIC, NVME, SOUND, TWIN, TWIN_AUDIO, pc,
};
use crate::protocol::{Orders, Step};
use crate::rerun;
use crate::scenario::NATIVES;

/// The modules that an image is told to load by force.
pub const FORCED: [&str; 2] = ["bochs", "snd_hda_intel"];
/// The modules without which an image does not find its root file system. ext4 asks for crc32c by
/// an alias, which `modules.dep` does not tell.
pub const ROOT: [&str; 4] = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];
/// The policy of an image that has one: a disk, and what must be refused, for the disk of the root is
/// in its group.
pub const POLICY: &str = "# the disk\nvfio.bind=0000:02:00.0\nvfio.bind=0000:00:05.1\n";
/// The disk of the root file system.
pub(crate) const ROOT_DISK: &str = "0000:00:05.0";
/// What shares a slot, and so a group, with it.
pub(crate) const BESIDE_ROOT: &str = "0000:00:05.1";
/// What the builder of an image is told of the machine that boots it: the root's disk.
pub const PROTECTED: &str = "vfio.protect=0000:00:05.0@1af4:1001  # /: vda\n";
/// What modprobe.d of such an image says: both cards.
pub const MODPROBE: &str = "options vfio-pci ids=1234:1111\n";

/// The driver of the NIC, and its module.
pub const NIC_DRIVER: &str = "e1000";

/// The functions that [`FORCED`] drive.
const CARDS: [&str; 4] = [GPU, GPU_AUDIO, TWIN, TWIN_AUDIO];

/// What is done to an image, and so what must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Our module is in it, and the command line asks for one card.
    Asked,
    /// The same, but our module is not in it.
    WithoutUs,
    /// Our module is in it, with a policy and modprobe.d; the command line asks for nothing.
    Configured,
    /// The agent's file is not in it.
    NoAgent,
    /// The agent's file may not be executed.
    NotExecutable,
    /// The agent crashes.
    Crashing,
    /// The agent and the command are run again in the real root.
    Again,
    /// The disk of the root file system is asked for, and nothing protects it.
    RootTaken,
    /// A disk is taken, and that of the root file system is there only after a while.
    SlowRoot,
    /// The NIC that the root file system comes over is taken.
    NetworkRoot,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Asked,
        Self::Configured,
        Self::WithoutUs,
        Self::NoAgent,
        Self::NotExecutable,
        Self::Crashing,
        Self::Again,
        Self::RootTaken,
        Self::SlowRoot,
        Self::NetworkRoot,
    ];

    /// Whether the agent of its image cannot run.
    #[must_use]
    pub fn breaks_agent(self) -> bool {
        matches!(self, Self::NoAgent | Self::NotExecutable | Self::Crashing)
    }

    /// Whether the root does not appear at once.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::RootTaken | Self::SlowRoot | Self::NetworkRoot)
    }

    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::WithoutUs => "without-us",
            Self::Configured => "configured",
            Self::NoAgent => "no-agent",
            Self::NotExecutable => "not-executable",
            Self::Crashing => "crashing",
            Self::Again => "again",
            Self::RootTaken => "root-taken",
            Self::SlowRoot => "slow-root",
            Self::NetworkRoot => "network-root",
        }
    }

    /// One sentence.
    #[must_use]
    pub fn proves(self) -> &'static str {
        match self {
            Self::Asked => "one card is VFIO's and usable before the forced drivers take its twin",
            Self::WithoutUs => "without us the forced drivers win: the test's test",
            Self::Configured => {
                "policy, modprobe.d and the list of what the root needs come into the image and count"
            }
            Self::NoAgent => "the agent's file is gone: the boot goes on",
            Self::NotExecutable => "the agent's file is not executable: the boot goes on",
            Self::Crashing => "the agent crashes: the boot goes on",
            Self::Again => {
                "in the real root the agent does nothing, and `vfio-bind bind` leaves what is in use"
            }
            Self::RootTaken => "the root's disk is taken: it is given back, and the boot comes up",
            Self::SlowRoot => "the root's disk is late: the boot waits, and nothing is given back",
            Self::NetworkRoot => {
                "the NIC that the root comes over is taken: it is given back, and the boot comes up"
            }
        }
    }

    /// What the owner of the machine puts on the kernel's command line.
    #[must_use]
    pub fn cmdline(self) -> &'static str {
        match self {
            Self::Configured => "",
            Self::Again => rerun::ASKED,
            // Of a line with a lone quote systemd reads nothing.
            Self::Asked => "vfio.bind=0000:42:00.0 it's",
            Self::RootTaken => "vfio.bind=0000:42:00.0,0000:00:05.0",
            Self::SlowRoot => "vfio.bind=0000:42:00.0,0000:02:00.0",
            // Beside the NIC is what would go back as well.
            Self::NetworkRoot => {
                "vfio.bind=0000:42:00.*,0000:01:01.0 vfio.group=listed ip=dhcp root=/dev/carried"
            }
            _ => "vfio.bind=0000:42:00.0",
        }
    }

    /// The machine that boots it.
    #[must_use]
    pub fn machine(self) -> Machine {
        match self {
            Self::Again => rerun::machine(),
            _ => pc(Iommu::Intel),
        }
    }

    /// The functions that must be VFIO's.
    #[must_use]
    pub fn taken(self) -> Vec<&'static str> {
        match self {
            Self::Asked | Self::Again | Self::NetworkRoot => vec![GPU, GPU_AUDIO],
            Self::RootTaken => vec![GPU, GPU_AUDIO, BESIDE_ROOT],
            Self::SlowRoot => vec![GPU, GPU_AUDIO, NVME],
            Self::Configured => [&[NVME][..], &CARDS].concat(),
            _ => Vec::new(),
        }
    }

    /// The functions that must have been VFIO's, and the drivers that they have gone back to.
    #[must_use]
    pub fn given_back(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::RootTaken => &[(ROOT_DISK, "virtio-pci")],
            Self::NetworkRoot => &[(NIC, NIC_DRIVER)],
            _ => &[],
        }
    }

    /// The functions that must be usable in the end: not one whose group has another driver in it.
    #[must_use]
    pub fn used(self) -> Vec<&'static str> {
        let mut used = self.taken();
        if self == Self::RootTaken {
            used.retain(|address| *address != BESIDE_ROOT);
        }
        if self == Self::Again {
            used.extend(rerun::RERUNS.iter().flat_map(|rerun| rerun.takes));
        }
        used
    }

    /// The functions that are asked for and must be left alone.
    #[must_use]
    pub fn refused(self) -> Vec<&'static str> {
        match self {
            Self::Configured => vec![BESIDE_ROOT],
            Self::Again => vec![NVME, MOUNTED],
            _ => Vec::new(),
        }
    }

    /// The functions that stay beside what is asked for, because nobody names them.
    #[must_use]
    pub fn left(self) -> &'static [&'static str] {
        match self {
            Self::NetworkRoot => &[SOUND, CARD_READER],
            _ => &[],
        }
    }

    /// What later runs must know of the image: its policy, and its list of what is protected.
    #[must_use]
    pub fn kept(self) -> String {
        match self {
            Self::Configured => [POLICY, PROTECTED].concat(),
            _ => String::new(),
        }
    }

    /// The functions that must have their native drivers.
    #[must_use]
    pub fn native(self) -> Vec<&'static str> {
        let taken = self.taken();
        let all = CARDS.into_iter();
        all.filter(|address| !taken.contains(address)).collect()
    }

    /// What the init of the real root has to do.
    #[must_use]
    pub fn orders(self, name: &str) -> Orders {
        let mut steps = vec![Step::Inherit, Step::Snapshot(NATIVES.to_owned())];
        if self == Self::Again {
            steps.extend(rerun::steps());
        }
        let taken = self.used();
        if !taken.is_empty() {
            let taken = taken.into_iter().map(str::to_owned).collect();
            steps.push(Step::UseFunctions(taken));
        }
        Orders {
            scenario: name.to_owned(),
            steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_asks_for_what_the_list_protects() {
        let asked = format!("vfio.bind={BESIDE_ROOT}\n");
        let protected = format!("vfio.protect={ROOT_DISK}@");
        assert!(POLICY.contains(&asked) && PROTECTED.starts_with(&protected));
    }

    #[test]
    fn every_forced_driver_has_a_function_in_every_case() {
        for case in Case::ALL {
            let machine = case.machine();
            let all = [case.taken(), case.native()].concat();
            let with_root = |address: &&str| *address == BESIDE_ROOT;
            let known = |address| machine.device(address).is_some() || with_root(&address);
            assert!(all.iter().all(|address| known(*address)));
            assert!(CARDS.iter().all(|card| all.contains(card)), "{case:?}");
        }
    }
}
