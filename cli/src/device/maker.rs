//! What makes a virtual function.

use std::fs;
use std::path::Path;

use vfio_bind_agent::machine::sriov::Sriov;
use vfio_bind_agent::machine::sysfs::directory;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;

use crate::storage::block::Sysfs;

/// The physical function that makes the one at `address`, and the index of that there: by reckoning, else by the
/// links `virtfnN`. `None` where it is no virtual function.
#[must_use]
pub fn of(root: &Path, tree: &Tree, address: Address) -> Option<(Address, u16)> {
    let pf = Sysfs::of(root).physical(address)?;
    let by_link = || {
        let entries = fs::read_dir(root.join(directory(pf).as_str())).ok()?;
        entries.flatten().find_map(|entry| {
            let name = entry.file_name();
            let index = name.to_str()?.strip_prefix("virtfn")?.parse().ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            let this = Address::parse(target.file_name()?.as_encoded_bytes())?;
            (this == address).then_some(index)
        })
    };
    let index = Sriov::read(tree, pf).index(pf, address).or_else(by_link)?;
    Some((pf, index))
}
