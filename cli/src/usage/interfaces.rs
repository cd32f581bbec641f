//! What networks want of an interface.

use std::collections::BTreeSet;
use std::path::Path;

use crate::storage::ask::{Addressed, Ask};
use crate::storage::block::{Sysfs, entries, name};
use crate::storage::network;

/// The interfaces of this network namespace that are in use by themselves.
pub struct Busy {
    addressed: Addressed,
    routed: BTreeSet<String>,
    /// What could not be found out.
    pub told: Option<String>,
}

impl Busy {
    /// Finds them.
    #[must_use]
    pub fn of(sysfs: &Sysfs, ask: &dyn Ask) -> Self {
        let (addressed, told) = match ask.addressed() {
            Ok(names) => (names, None),
            Err(reason) => (Addressed::new(), Some(reason)),
        };
        Self {
            addressed,
            routed: network::routed_interfaces(sysfs),
            told,
        }
    }

    /// A phrase for each use of an interface: an address, a route, or another interface on it, as a bridge, a
    /// bond, a VLAN and a macvtap are. One that is only up is in nobody's use.
    #[must_use]
    pub fn users(&self, sysfs: &Sysfs, interface: &str) -> Vec<String> {
        let place = sysfs.place(Path::new("sys/class/net").join(interface));
        let upper = entries(&place).into_iter().filter_map(|entry| {
            let upper = name(&entry).strip_prefix("upper_")?.to_owned();
            Some(format!("{upper} is on its interface {interface}"))
        });
        let own = if self.addressed.contains_key(interface) {
            Some("an address")
        } else if self.routed.contains(interface) {
            Some("a route")
        } else {
            None
        };
        let own = own.map(|what| format!("its interface {interface} has {what}"));
        own.into_iter().chain(upper).collect()
    }
}
