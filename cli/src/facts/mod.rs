//! What there is to say of a machine's functions to their owner.
//!
//! [`Machine::read`] joins it: each [`function`](Function) by itself, with its [`link`] and what hangs [`behind`]
//! it; the IOMMU [`group`]s, with the agent's own word on each ([`lending`]); and [`device`]s, which may have
//! functions in several groups. What a person names is [`chosen`]. What was seen behind a function before it was lent is in [`seen`].

pub mod behind;
pub mod device;
pub mod edid;
pub mod function;
pub mod group;
pub mod lending;
pub mod link;
pub mod seen;
mod spelled;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use vfio_bind_agent::machine::inventory::Inventory;
use vfio_bind_agent::machine::iommu::Kind;
use vfio_bind_agent::machine::survey;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;

use crate::names::Names;
use crate::preview::known;
use crate::storage::ask::{self, Ask};
use crate::storage::block::Sysfs;
use crate::storage::protected::Scope;

pub use behind::Behind;
pub use device::Device;
pub use function::Function;
pub use group::{Group, Lending, Verdict};

/// A machine as its owner looks at it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The IOMMU that the kernel uses: `intel`, `amd`, `smmuv3`, `smmu`, `virtio`, `s390`, `other` or `none`.
    pub iommu: String,
    /// What would turn one on, where there is none.
    pub advice: Option<String>,
    /// The IOMMU groups, by number; what has no group is in one without a number, the last.
    pub groups: Vec<Group>,
    /// What is one thing to its owner: the functions of a card.
    pub devices: Vec<Device>,
    /// All functions, by address.
    pub functions: Vec<Function>,
    /// What could not be found out, in words.
    pub untold: Vec<String>,
    /// What its owner calls it.
    #[serde(skip)]
    pub host: Option<String>,
}

impl Machine {
    /// Reads the machine at `root`; writes nothing, and wakes no device that sleeps.
    ///
    /// # Errors
    /// Where `root` is no directory, or has no PCI bus.
    pub fn read(root: &Path) -> Result<Self> {
        Self::read_with(root, ask::of(root))
    }

    /// The same, with whoever answers what no file tells.
    ///
    /// # Errors
    /// As [`Machine::read`].
    pub fn read_with(root: &Path, ask: &dyn Ask) -> Result<Self> {
        // Places in sysfs are compared by their paths without links.
        let root = fs::canonicalize(root)
            .with_context(|| format!("open({}): --root wants a directory", root.display()))?;
        let c_root =
            CString::new(root.as_os_str().as_bytes()).context("--root: it has a NUL in it")?;
        let tree = Tree::open(&c_root)
            .map_err(crate::system)
            .with_context(|| format!("open({}): --root wants a directory", root.display()))?;
        let mut inventory = Inventory::default();
        survey::scan(&tree, &mut inventory)
            .map_err(crate::system)
            .with_context(|| {
                let path = root.join("sys/bus/pci/devices");
                format!(
                    "readdir({}): there is no PCI bus, or sysfs is not mounted",
                    path.display()
                )
            })?;
        let known = known::gather_or_less(&root, Scope::Boot)?;
        let sysfs = Sysfs::of(&root);
        let names = Names::of(&root);
        let mut functions: Vec<_> = inventory
            .functions()
            .iter()
            .map(|one| Function::read(&sysfs, &tree, &names, one))
            .collect();
        function::connect(&mut functions);
        let mut untold = unread(&inventory);
        let view = behind::View::of(&root, &sysfs, ask, &mut untold);
        for function in functions.iter_mut().filter(|one| one.is_endpoint()) {
            function.behind = view.behind(function.address, &mut untold);
        }
        let judged = lending::judge(&root, &tree, &known, &functions);
        untold.extend(known.told);
        let groups = group::groups(&sysfs, &functions, &judged.refusals);
        Ok(Self {
            iommu: Kind::of(&tree).to_string(),
            advice: judged.advice,
            devices: device::devices(&functions),
            groups,
            functions,
            untold,
            host: sysfs.text("proc/sys/kernel/hostname"),
        })
    }

    /// The same with the groups of these functions only, those of the devices that they belong to, and the bridges
    /// above.
    #[must_use]
    pub fn only(mut self, wanted: &[Address]) -> Self {
        let mut all = wanted.to_vec();
        for address in wanted {
            let device = self.device_of(*address);
            all.extend(device.into_iter().flat_map(|device| &device.functions));
        }
        self.groups
            .retain(|group| group.members.iter().any(|one| all.contains(one)));
        for group in self
            .groups
            .iter_mut()
            .filter(|group| group.number.is_none())
        {
            // These have nothing in common.
            group.members.retain(|one| all.contains(one));
        }
        let members = self.groups.iter().flat_map(|group| &group.members);
        let kept: Vec<_> = members.copied().collect();
        // The bridges above show where it is.
        let mut shown = kept.clone();
        let mut at = 0;
        while let Some(address) = shown.get(at) {
            let parent = self.function(*address).and_then(|one| one.parent);
            shown.extend(parent.filter(|parent| !shown.contains(parent)));
            at += 1;
        }
        self.functions.retain(|one| shown.contains(&one.address));
        let is_kept = |device: &Device| device.functions.iter().any(|one| kept.contains(one));
        self.devices.retain(is_kept);
        self
    }

    /// The function at an address.
    #[must_use]
    pub fn function(&self, address: Address) -> Option<&Function> {
        let at = self
            .functions
            .binary_search_by_key(&address, |function| function.address);
        self.functions.get(at.ok()?)
    }

    /// The group that a function is in, that of those without a group included.
    #[must_use]
    pub fn group_of(&self, address: Address) -> Option<&Group> {
        let mut all = self.groups.iter();
        all.find(|group| group.members.contains(&address))
    }

    /// The device that a function belongs to; bridges belong to none.
    #[must_use]
    pub fn device_of(&self, address: Address) -> Option<&Device> {
        let mut all = self.devices.iter();
        all.find(|device| device.functions.contains(&address))
    }

    /// The members of a group.
    pub fn members<'m>(&'m self, group: &'m Group) -> impl Iterator<Item = &'m Function> {
        let all = group.members.iter();
        all.filter_map(|address| self.function(*address))
    }

    /// Whether nobody would lend a group: all of it belongs to the machine itself and its chipset.
    #[must_use]
    pub fn is_of_no_use(&self, group: &Group) -> bool {
        self.members(group).all(Function::is_of_no_use)
    }

    /// The functions right below a bridge, or on a root bus where `parent` is none.
    pub fn below<'m>(
        &'m self,
        root_bus: &'m str,
        parent: Option<Address>,
    ) -> impl Iterator<Item = &'m Function> {
        let all = self.functions.iter();
        all.filter(move |one| one.root_bus == root_bus && one.parent == parent)
    }

    /// The root buses, in order, each as `0000:00`.
    #[must_use]
    pub fn root_buses(&self) -> Vec<&str> {
        let mut buses: BTreeMap<(u32, &str), ()> = BTreeMap::new();
        for function in &self.functions {
            buses.insert((function.address.domain, &function.root_bus), ());
        }
        buses.into_keys().map(|(_, bus)| bus).collect()
    }
}

/// What of the bus is missing in an inventory.
fn unread(inventory: &Inventory) -> Vec<String> {
    let mut told = Vec::new();
    if inventory.unreadable > 0 {
        told.push(format!(
            "{} in sys/bus/pci/devices could not be read",
            match inventory.unreadable {
                1 => "one entry".to_owned(),
                more => format!("{more} entries"),
            }
        ));
    }
    if inventory.beyond_limit > 0 {
        told.push(format!(
            "there are {} functions more than vfio-bind looks at",
            inventory.beyond_limit
        ));
    }
    told
}
