//! The way to another machine: routes, and the interfaces they leave by.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use super::block::Sysfs;

/// A route of the kernel's main table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    /// Where it leads.
    to: IpAddr,
    /// How many bits of that count; 0 for a default route.
    bits: u32,
    /// Of two that lead there the smaller one counts.
    metric: u32,
    interface: String,
}

impl Route {
    fn leads_to(&self, address: IpAddr) -> bool {
        let differ = match (self.to, address) {
            (IpAddr::V4(to), IpAddr::V4(address)) => (to.to_bits() ^ address.to_bits())
                .checked_shr(32 - self.bits.min(32))
                .unwrap_or(0)
                .into(),
            (IpAddr::V6(to), IpAddr::V6(address)) => (to.to_bits() ^ address.to_bits())
                .checked_shr(128 - self.bits.min(128))
                .unwrap_or(0),
            _ => 1u128,
        };
        differ == 0
    }
}

/// The flag of a route that is in use, and of one that refuses (include/uapi/linux/route.h).
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

fn usable(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & (UP | REJECT) == UP)
}

/// A line of `/proc/net/route`: its addresses are numbers in the memory of the machine.
fn route(line: &str) -> Option<Route> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [interface, to, _, flags, _, _, metric, mask, ..] = fields[..] else {
        return None;
    };
    let octets = |field| Some(u32::from_str_radix(field, 16).ok()?.to_ne_bytes());
    usable(flags).then_some(Route {
        to: octets(to)?.into(),
        bits: u32::from_be_bytes(octets(mask)?).leading_ones(),
        metric: metric.parse().ok()?,
        interface: interface.to_owned(),
    })
}

/// A line of `/proc/net/ipv6_route`.
fn route6(line: &str) -> Option<Route> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [to, bits, _, _, _, metric, _, _, flags, interface] = fields[..] else {
        return None;
    };
    let to = u128::from_str_radix(to, 16).ok()?;
    usable(flags).then_some(Route {
        to: IpAddr::V6(to.into()),
        bits: u32::from_str_radix(bits, 16).ok()?,
        metric: u32::from_str_radix(metric, 16).ok()?,
        interface: interface.to_owned(),
    })
}

fn routes(sysfs: &Sysfs) -> Vec<Route> {
    let lines = |path, read: fn(&str) -> Option<Route>| {
        let text = sysfs.text(path).unwrap_or_default();
        text.lines().filter_map(read).collect::<Vec<_>>()
    };
    let mut routes = lines("proc/net/route", route);
    routes.extend(lines("proc/net/ipv6_route", route6));
    // Of the loopback interface there are many, and none leads out.
    routes.retain(|route| route.interface != "lo");
    routes
}

/// The interface by which packets to `address` leave.
#[must_use]
pub fn toward(sysfs: &Sysfs, address: IpAddr) -> Option<String> {
    let mut leading = routes(sysfs);
    leading.retain(|route| route.leads_to(address));
    let best = leading
        .into_iter()
        .min_by_key(|route| (u32::MAX - route.bits, route.metric));
    best.map(|route| route.interface)
}

/// The interfaces of default routes.
#[must_use]
pub fn default_interfaces(sysfs: &Sysfs) -> Vec<String> {
    let defaults = routes(sysfs).into_iter().filter(|route| route.bits == 0);
    let mut names: Vec<_> = defaults.map(|route| route.interface).collect();
    names.sort();
    names.dedup();
    names
}

/// The interfaces with a route, those aside that every interface has as soon as it is up: to its link's own
/// addresses (fe80::/10) and to groups of receivers (ff00::/8).
#[must_use]
pub fn routed_interfaces(sysfs: &Sysfs) -> BTreeSet<String> {
    let of_each_link = |to: IpAddr| match to {
        IpAddr::V4(_) => false,
        IpAddr::V6(to) => to.is_unicast_link_local() || to.is_multicast(),
    };
    let routes = routes(sysfs).into_iter();
    let routes = routes.filter(|route| !of_each_link(route.to));
    routes.map(|route| route.interface).collect()
}

/// The address of a server as file systems are given it: `10.1.2.3:/root`, `[fd00::7]:/root`,
/// `//10.1.2.3/root`, `10.1.2.3:6789,10.1.2.4:6789:/`. A name is none: nobody is asked for it.
#[must_use]
pub fn server(source: &Path) -> Option<IpAddr> {
    let text = source.to_str()?.trim_start_matches('/');
    if let Some((address, _)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return address.parse().ok();
    }
    let end = text.find([':', '/', ',']).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_or_nobody_knows() {
        for (source, expected) in [
            ("10.1.2.3:/root", Some("10.1.2.3")),
            ("[fd00::7]:/root", Some("fd00::7")),
            ("//10.1.2.3/share", Some("10.1.2.3")),
            ("10.1.2.3:6789,10.1.2.4:6789:/", Some("10.1.2.3")),
            ("10.1.2.3", Some("10.1.2.3")),
            ("server:/root", None),
            ("", None),
        ] {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(server(Path::new(source)), expected, "{source}");
        }
    }

    #[test]
    fn a_route_leads_to_what_its_bits_say() {
        for (to, bits, address, leads) in [
            ("10.1.0.0", 16, "10.1.2.3", true),
            ("10.1.0.0", 16, "10.2.2.3", false),
            ("0.0.0.0", 0, "10.2.2.3", true),
            ("10.1.2.3", 32, "10.1.2.3", true),
            ("::", 0, "10.1.2.3", false),
            ("::", 0, "fd00::1", true),
            ("fd00::", 16, "fd00:1::1", true),
            ("fd00::", 128, "fd00::1", false),
        ] {
            let route = Route {
                to: to.parse().unwrap(),
                bits,
                metric: 0,
                interface: String::new(),
            };
            assert_eq!(
                route.leads_to(address.parse().unwrap()),
                leads,
                "{to}/{bits} {address}"
            );
        }
    }
}
