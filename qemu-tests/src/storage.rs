//! Systems that stand on one disk more than the root file system does, booted with the list that they
//! themselves make of what they need.
//!
//! Each is booted three times ([`Boot`]): by itself, where it tells the list; with the list, while all
//! disks are asked for by their ID; and with the list that one makes who looks at the root's disk only.
//! That last boot must fail while the agent gives nothing back, or the second proves nothing.

use crate::machine::{Iommu, Machine, NVME, ROOT_DISK, SECOND_DISK, with_system_disks};
use crate::protocol::{Orders, Step};
use crate::scenario::NATIVES;

/// What every boot but the first asks for: all three disks.
pub const ASKED: &str = "vfio.bind=1b36:0010";
/// What tells the list.
pub const LIST: &str = "vfio-bind protected";
/// The disks of the system, as the list names them.
pub const PROTECTED: [&str; 2] = [
    "vfio.protect=0000:00:06.0/00.0@1b36:0010 ",
    "vfio.protect=0000:00:09.0/00.0@1b36:0010 ",
];
/// The disks of the system, and the one that is not.
pub const NEEDED: [&str; 2] = [ROOT_DISK, SECOND_DISK];
/// The disk that the system does without.
pub const FREE: &str = NVME;
/// What systemd's emergency service prints there, in place of a shell that nobody would leave.
pub const EMERGENCY: &str = "the system is in its emergency mode";

/// What the second disk has to do with the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// It is in the volume group of the root, with nothing on it.
    Group,
    /// What is overwritten in the root is kept there for a snapshot.
    Snapshot,
    /// It is mounted on /srv by fstab.
    Fstab,
}

/// One of the boots of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Without the agent; LVM's volumes are made in it.
    Native,
    /// With the list.
    Listed,
    /// With what the list says of the root's own disk.
    HalfListed,
}

impl Boot {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Native, Self::Listed, Self::HalfListed];

    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Listed => "listed",
            Self::HalfListed => "half-listed",
        }
    }

    /// What of the list an image of this boot has.
    #[must_use]
    pub fn part(self, list: &str) -> String {
        let has = |line: &&str| match self {
            Self::Native => false,
            Self::Listed => true,
            Self::HalfListed => !line.starts_with(PROTECTED[1]),
        };
        let lines = list.lines().filter(has).map(|line| format!("{line}\n"));
        lines.collect()
    }
}

impl Stack {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Group, Self::Snapshot, Self::Fstab];

    /// Its row's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "storage-group",
            Self::Snapshot => "storage-snapshot",
            Self::Fstab => "storage-fstab",
        }
    }

    /// One sentence.
    #[must_use]
    pub fn proves(self) -> &'static str {
        match self {
            Self::Group => {
                "an empty disk of the root's volume group is listed, and without that the root does not come"
            }
            Self::Snapshot => {
                "the disk of a snapshot of the root is listed, and without that the root does not come"
            }
            Self::Fstab => {
                "the disk of /srv in fstab is listed, and without that the system ends in emergency mode"
            }
        }
    }

    /// Where the root file system is.
    #[must_use]
    pub fn root(self) -> &'static str {
        match self {
            Self::Group | Self::Snapshot => "/dev/mapper/system-root",
            Self::Fstab => "LABEL=root",
        }
    }

    /// Whether the root file system is in a volume of LVM's, or else on a disk as a whole.
    #[must_use]
    pub fn has_volumes(self) -> bool {
        self != Self::Fstab
    }

    /// Makes the volumes, in a shell that has the nodes of the disks in `$first` and `$second`. The file
    /// system is there already, in what becomes the root's volume of `extents` extents.
    #[must_use]
    pub fn commands(self, extents: u64) -> String {
        let group = format!(
            "lvm pvcreate -y \"$first\" \"$second\"\n\
             lvm vgcreate system \"$first\" \"$second\"\n\
             lvm lvcreate -y --zero n --wipesignatures n -l {extents} -n root system \"$first\"\n"
        );
        match self {
            Self::Group => group,
            Self::Snapshot => {
                group + "lvm lvcreate -y --snapshot -l 8 -n before system/root \"$second\"\n"
            }
            Self::Fstab => String::new(),
        }
    }

    /// The system's /etc/fstab. The root stays read-only, so that the end of the machine damages nothing.
    #[must_use]
    pub fn fstab(self) -> String {
        let srv = match self {
            // On a busy machine it takes udev more than 30 s to find it: systemd's own 90 s stay.
            Self::Fstab => "LABEL=srv /srv ext4 defaults 0 0\n",
            Self::Group | Self::Snapshot => "",
        };
        format!("{} / ext4 ro 0 0\n{srv}", self.root())
    }

    /// What the console says where the second disk is missing.
    #[must_use]
    pub fn complaint(self) -> &'static str {
        match self {
            Self::Group | Self::Snapshot => "ALERT!  /dev/mapper/system-root does not exist.",
            Self::Fstab => EMERGENCY,
        }
    }

    /// The kernel's parameters of a boot, besides those of the machine.
    #[must_use]
    pub fn cmdline(self, boot: Boot) -> String {
        let common = format!("root={} ro", self.root());
        match boot {
            Boot::Native => common,
            Boot::Listed => format!("{common} {ASKED}"),
            // Or the root that does not appear would have the disk back.
            Boot::HalfListed => format!("{common} {ASKED} vfio.onfail=hold"),
        }
    }

    /// What is done in the system once it is up.
    #[must_use]
    pub fn orders(self) -> Orders {
        Orders {
            scenario: self.name().to_owned(),
            steps: vec![
                Step::Inherit,
                Step::Snapshot(NATIVES.to_owned()),
                Step::Run(LIST.to_owned()),
            ],
        }
    }
}

/// The machine that they run on.
#[must_use]
pub fn machine() -> Machine {
    with_system_disks(Iommu::Intel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_disks_are_asked_for_and_one_is_left_out_of_half_a_list() {
        let machine = machine();
        for disk in NEEDED.iter().chain([&FREE]) {
            let ids = machine.device(disk).map(|disk| disk.ids);
            assert!(ids.is_some_and(|ids| ASKED.contains(&ids[..9])), "{disk}");
        }
        let list = PROTECTED.map(|line| format!("{line} # /: nvme\n")).concat();
        assert_eq!(Boot::Listed.part(&list), list);
        let half = Boot::HalfListed.part(&list);
        assert!(half.starts_with(PROTECTED[0]) && half.lines().count() == 1);
        assert_eq!(Boot::Native.part(&list), "");
    }
}
