//! Who may open a VFIO group.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

/// Who may open the node of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `/dev/vfio/15`.
    pub path: String,
    /// The number of its owner.
    pub owner: u32,
    /// The number of its group.
    pub group: u32,
    /// Its permissions, in their lowest nine bits.
    pub mode: u32,
    /// Whether whoever asks may open it.
    pub open: bool,
}

/// The node of an IOMMU group in the `dev` of the system at `root`; `None` where there is none, as for a group
/// that no vfio driver has a function of.
#[must_use]
pub fn of_group(root: &Path, group: u32) -> Option<Node> {
    let path = format!("dev/vfio/{group}");
    let place = root.join(&path);
    let metadata = fs::metadata(&place).ok()?;
    Some(Node {
        path: format!("/{path}"),
        owner: metadata.uid(),
        group: metadata.gid(),
        mode: metadata.mode() & 0o777,
        open: access(&place, Access::READ_OK | Access::WRITE_OK).is_ok(),
    })
}

impl Node {
    /// Its owner, group and mode, as `ls -n` has them.
    #[must_use]
    pub fn shown(&self) -> String {
        let name = |number: u32| match number {
            0 => "root".to_owned(),
            number => number.to_string(),
        };
        format!(
            "{} belongs to {}:{}, mode {:04o}",
            self.path,
            name(self.owner),
            name(self.group),
            self.mode
        )
    }
}

/// What opens a group to one user: a udev rule, and the command that makes it count at once.
///
/// The kernel calls the node by the group's number, which may be another after a change of hardware; the rule of
/// all VFIO nodes is what holds. A user who may open a group still reaches nothing but its devices.
#[must_use]
pub fn rule(user: &str) -> [String; 2] {
    [
        format!("SUBSYSTEM==\"vfio\", OWNER=\"{user}\""),
        "udevadm control --reload && udevadm trigger --subsystem-match=vfio".to_owned(),
    ]
}

/// Where the rule goes.
pub const RULES: &str = "/etc/udev/rules.d/70-vfio-user.rules";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_whose_it_is() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(of_group(root.path(), 15), None);
        fs::create_dir_all(root.path().join("dev/vfio")).unwrap();
        fs::write(root.path().join("dev/vfio/15"), "").unwrap();
        let node = of_group(root.path(), 15).unwrap();
        assert!(
            node.open && node.shown().starts_with("/dev/vfio/15 belongs to "),
            "{node:?}"
        );
    }
}
