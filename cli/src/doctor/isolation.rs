//! What keeps a function apart from the others of the machine.

use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::sysfs::attribute;
use vfio_bind_agent::pci::address::Address;

use super::finding::{Answer, Said, Unread};
use super::system::System;

/// The extended capability Access Control Services (PCI_EXT_CAP_ID_ACS).
const ACS: u16 = 0x000d;
/// Source validation, request and completion redirect, upstream forwarding: what the kernel wants of a port
/// (REQ_ACS_FLAGS in drivers/iommu/iommu.c).
const WANTED: u16 = 0x01 | 0x04 | 0x08 | 0x10;
/// Where the extended capabilities begin, and all that there is of a configuration space.
const EXTENDED: usize = 0x100;
const WHOLE: usize = 0x1000;

/// Whether groups are what the hardware keeps apart.
pub(super) fn acs_override(system: &System<'_>) -> Answer {
    if system.line.is_none() {
        return Ok(Said::not_applicable("the kernel command line is not known"));
    }
    Ok(match system.parameter("pcie_acs_override") {
        Some(value) => Said::warn(
            format!(
                "pcie_acs_override={value} makes groups smaller than what the hardware keeps apart: with a \
                 kernel that knows it, a guest's device may reach another's"
            ),
            "remove it, and lend whole groups",
        ),
        None => Said::pass("pcie_acs_override is not set: groups are what the hardware keeps apart"),
    }
    .from("proc/cmdline"))
}

/// Who shares its IOMMU group.
pub(super) fn group(system: &System<'_>, function: &Function) -> Answer {
    let Some(group) = function.group else {
        let others = system.functions.iter().any(|other| other.group.is_some());
        return Ok(match others {
            true => Said::fail(
                "it has no IOMMU group, although others of the machine have one",
                "look for its address in the kernel log; Intel's own graphics wants intel_iommu=on",
            ),
            false => Said::not_applicable("no function has an IOMMU group: see iommu-active"),
        });
    };
    let members = system.functions.iter().filter(|other| {
        other.group == Some(group) && other.is_endpoint() && other.address != function.address
    });
    let members: Vec<_> = members.collect();
    let place = format!("sys/kernel/iommu_groups/{group}/devices");
    let shown = |function: &&&Function| {
        let driver = function.driver.as_deref();
        let driver = driver.map_or("no driver".to_owned(), |name| name.to_owned());
        format!("{} ({driver})", function.address)
    };
    let strangers: Vec<_> = members
        .iter()
        .filter(|other| !system.chosen.contains(&other.address))
        .collect();
    let all = |list: &[&&Function]| {
        let list = list.iter().copied().map(|one| shown(&one));
        list.collect::<Vec<_>>().join(", ")
    };
    let said = match (members.len(), strangers.len()) {
        (0, _) => Said::pass(format!("it is alone in group {group}")),
        (_, 0) => Said::pass(format!(
            "group {group} has it and what is asked for beside it: {}",
            all(&members.iter().collect::<Vec<_>>())
        )),
        (_, _) => Said::warn(
            format!("group {group} has more than it: {}", all(&strangers)),
            "all of a group is lent together: see `vfio-bind plan` for what goes with it; another slot of the \
             machine may give it a group of its own",
        ),
    };
    Ok(said.from(place))
}

/// Whether the ports above it keep what is behind them apart.
pub(super) fn acs(system: &System<'_>, function: &Function) -> Answer {
    let ports: Vec<_> = system
        .functions
        .iter()
        .filter(|port| port.bridge && port.leads_to(function.address))
        .collect();
    if ports.is_empty() {
        return Ok(Said::not_applicable("it is behind no bridge"));
    }
    let mut without = Vec::new();
    let mut read = Vec::new();
    for port in &ports {
        let place = attribute(port.address, "config");
        let Some(config) = system.bytes(place.as_str())? else {
            return Ok(Said::not_applicable(
                "this tree has no configuration space of the bridge above it",
            ));
        };
        // Others than root are shown the standard header only (`pci_read_config` in drivers/pci/pci-sysfs.c).
        if config.len() < EXTENDED {
            return Err(Unread {
                path: place.as_str().to_owned(),
                answer: format!("only {} bytes", config.len()),
                denied: true,
            });
        }
        match missing(&config) {
            Acs::Complete => {}
            Acs::None => without.push(format!("{} has no ACS", port.address)),
            Acs::Lacks(flags) => without.push(format!("{} lacks ACS {flags}", port.address)),
        }
        read.push(place);
    }
    let alone = |group| {
        let same = |other: &&Function| other.group == Some(group) && other.is_endpoint();
        system.functions.iter().filter(same).count() == 1
    };
    let mut said = match (without.is_empty(), function.group) {
        (true, _) => Said::pass("the ports above it keep what is behind them apart"),
        (false, Some(group)) if alone(group) => Said::pass(format!(
            "{}, but the kernel knows that it keeps apart all the same: the function is alone in group {group}",
            without.join("; ")
        )),
        (false, _) => Said::warn(
            without.join("; "),
            "use a slot whose ports have ACS (those of the CPU rather than of the chipset), or turn on ACS in \
             the firmware setup",
        ),
    };
    for place in read {
        said = said.from(place.as_str());
    }
    Ok(said)
}

#[derive(Debug, PartialEq, Eq)]
enum Acs {
    Complete,
    None,
    Lacks(String),
}

/// What of ACS a configuration space lacks: the control register says what is on.
fn missing(config: &[u8]) -> Acs {
    let word = |at: usize| {
        let bytes = config.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let mut at = EXTENDED;
    // Each step is to another place: 4-byte steps within the space.
    for _ in 0..(WHOLE - EXTENDED) / 4 {
        let (Some(id), Some(next)) = (word(at), word(at + 2)) else {
            break;
        };
        if id == ACS {
            let (able, on) = (word(at + 4).unwrap_or(0), word(at + 6).unwrap_or(0));
            // What a port cannot do it need not: one without peers forwards nothing.
            let lacking = WANTED & able & !on;
            let names = [(0x01, "SV"), (0x04, "RR"), (0x08, "CR"), (0x10, "UF")];
            let names = names.iter().filter(|(flag, _)| lacking & flag != 0);
            let names: Vec<_> = names.map(|(_, name)| *name).collect();
            return match names.is_empty() {
                true => Acs::Complete,
                false => Acs::Lacks(names.join("+")),
            };
        }
        at = usize::from(next >> 4);
        if at < EXTENDED {
            break;
        }
    }
    Acs::None
}

/// What is on the way to a function, nearest last: for those who want the port right above it.
#[must_use]
pub(super) fn port_above<'s>(system: &'s System<'_>, address: Address) -> Option<&'s Function> {
    let ports = system.functions.iter();
    ports
        .filter(|port| port.bridge && port.leads_to(address))
        .max_by_key(|port| port.buses.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(capabilities: &[(usize, u16, usize, [u16; 2])]) -> Vec<u8> {
        let mut space = vec![0; WHOLE];
        for (at, id, next, words) in capabilities {
            space[*at..at + 2].copy_from_slice(&id.to_le_bytes());
            let next = u16::try_from(next << 4 | 1).unwrap();
            space[at + 2..at + 4].copy_from_slice(&next.to_le_bytes());
            space[at + 4..at + 6].copy_from_slice(&words[0].to_le_bytes());
            space[at + 6..at + 8].copy_from_slice(&words[1].to_le_bytes());
        }
        space
    }

    #[test]
    fn what_of_acs_is_on() {
        for (capabilities, expected) in [
            (vec![], Acs::None),
            (vec![(0x100, 1, 0, [0, 0])], Acs::None),
            (
                vec![(0x100, 1, 0x148, [0, 0]), (0x148, ACS, 0, [0x1f, 0x1d])],
                Acs::Complete,
            ),
            (
                vec![(0x100, ACS, 0, [0x1f, 0x10])],
                Acs::Lacks("SV+RR+CR".to_owned()),
            ),
            (vec![(0x100, ACS, 0, [0x10, 0x10])], Acs::Complete),
            // A list that bites its tail ends.
            (vec![(0x100, 1, 0x100, [0, 0])], Acs::None),
        ] {
            assert_eq!(
                missing(&config(&capabilities)),
                expected,
                "{capabilities:?}"
            );
        }
    }
}
