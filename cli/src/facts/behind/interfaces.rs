//! Network interfaces.

use std::path::Path;

use serde::Serialize;

use super::detail::Detail;
use crate::storage::ask::{Addressed, Ask};
use crate::storage::block::{entries, name, text_of};
use crate::terminal::one_line;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What the kernel says of it: `up`, `down`, `dormant`, ...
    pub state: Option<String>,
    /// Its hardware address.
    pub hardware_address: Option<String>,
    /// Its own addresses, and those of what it is a part of.
    pub addresses: Vec<String>,
    /// What it is a part of: bridges, bonds, VLANs.
    pub part_of: Vec<String>,
    /// Whether the default route goes through it.
    pub default_route: bool,
}

impl Interface {
    /// `network enp5s0, up, 192.168.1.5/24, default route`.
    #[must_use]
    pub fn told(&self, detail: Detail) -> String {
        let name = self.name_in(detail);
        let mut told = vec![format!("network {name}")];
        told.extend(self.state.clone());
        if detail == Detail::All {
            let upper = self.part_of.iter();
            told.extend(upper.map(|upper| format!("part of {upper}")));
            told.extend(self.addresses.iter().cloned());
        }
        if self.default_route {
            told.push("default route".to_owned());
        }
        told.join(", ")
    }

    /// Its name, without the hardware address that may be in it.
    fn name_in(&self, detail: Detail) -> &str {
        match detail {
            Detail::Impersonal if has_hardware_address(&self.name) => "enx...",
            _ => &self.name,
        }
    }

    /// What the host would miss of it.
    #[must_use]
    pub fn used(&self, detail: Detail) -> Option<String> {
        let name = self.name_in(detail);
        if self.default_route {
            Some(format!("{name} has the default route"))
        } else if let Some(upper) = self.part_of.first() {
            Some(match detail {
                Detail::All => format!("{name} is part of {upper}"),
                Detail::Impersonal => format!("{name} is part of another"),
            })
        } else if !self.addresses.is_empty() {
            Some(format!("{name} has an address"))
        } else {
            None
        }
    }
}

/// Whether an interface is named after its hardware address, as udev names some that are plugged in.
fn has_hardware_address(name: &str) -> bool {
    let digits = name
        .strip_prefix("enx")
        .or_else(|| name.strip_prefix("wlx"));
    digits.is_some_and(|digits| digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The addresses of all interfaces.
#[derive(Debug, Default)]
pub struct Networks(Addressed);

impl Networks {
    /// Asks for them.
    #[must_use]
    pub fn of(ask: &dyn Ask, untold: &mut Vec<String>) -> Self {
        Self(ask.addressed().unwrap_or_else(|reason| {
            untold.push(reason);
            Addressed::new()
        }))
    }

    /// The interface at a directory of sysfs. `routes` are the interfaces of default routes that the same function
    /// carries.
    #[must_use]
    pub fn interface(&self, place: &Path, routes: &[String]) -> Interface {
        let own = one_line(&name(place));
        let mut part_of: Vec<_> = entries(place)
            .iter()
            .filter_map(|entry| Some(one_line(name(entry).strip_prefix("upper_")?)))
            .collect();
        part_of.sort();
        let with: Vec<_> = [&own].into_iter().chain(&part_of).collect();
        let addresses = with.iter().filter_map(|name| self.0.get(*name)).flatten();
        let addresses = addresses.map(|address| one_line(address)).collect();
        // The route of a bridge on a VLAN is two floors up.
        let default_route = with.iter().any(|name| routes.contains(name))
            || (!part_of.is_empty() && !routes.is_empty());
        let known = |file| text_of(&place.join(file)).map(|text| one_line(&text));
        Interface {
            addresses,
            default_route,
            state: known("operstate").filter(|state| state != "unknown"),
            hardware_address: known("address").filter(|address| !address.is_empty()),
            name: own,
            part_of,
        }
    }
}
