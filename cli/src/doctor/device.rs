//! What the hardware of a function shows.

use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::sriov::Sriov;
use vfio_bind_agent::machine::sysfs::attribute;

use super::finding::{Answer, Said};
use super::isolation::port_above;
use super::system::{Cpu, System};
use crate::device::is_lent;
use crate::storage::block::Sysfs;

/// Whether a guest's successor finds the function as new.
pub(super) fn reset(system: &System<'_>, function: &Function) -> Answer {
    let address = function.address;
    let place = attribute(address, "reset_method");
    let plain = attribute(address, "reset");
    let Some(methods) = system.text(place.as_str())? else {
        return Ok(match system.has(plain.as_str()) {
            true => Said::pass("the kernel knows a reset for it").from(plain.as_str()),
            false if !system.has(attribute(address, "config").as_str()) => {
                Said::not_applicable("this tree does not have how it is reset")
            }
            false => without_reset().from(plain.as_str()),
        });
    };
    let bus = |one: &&Function| {
        let same = (one.address.domain, one.address.bus) == (address.domain, address.bus);
        same && one.address != address && one.is_endpoint()
    };
    let strangers: Vec<_> = system
        .functions
        .iter()
        .filter(bus)
        .filter(|one| !system.chosen.contains(&one.address) || one.group != function.group)
        .map(|one| one.address.to_string())
        .collect();
    let said = match methods.as_str() {
        "" => without_reset(),
        "bus" if !strangers.is_empty() => Said::warn(
            format!(
                "it can be reset only together with all of its bus, on which there is {} as well: the reset is \
                 left out",
                strangers.join(", ")
            ),
            "lend all of that together, or restart the host where the device hangs after its guest",
        ),
        methods => Said::pass(format!(
            "the kernel resets it by {}",
            methods.replace(' ', ", ")
        )),
    };
    Ok(said.from(place.as_str()))
}

fn without_reset() -> Said {
    Said::warn(
        "the kernel knows no reset for it: its next guest finds it as the last one left it",
        "where it hangs then, a module that resets this model (vendor-reset for some AMD graphics), or a restart \
         of the host",
    )
}

/// How deep the function sleeps while nobody uses it.
pub(super) fn power(system: &System<'_>, function: &Function) -> Answer {
    let state = system.attribute(function.address, "power_state")?;
    let deep = system.attribute(function.address, "d3cold_allowed")?;
    let idle = system.text("sys/module/vfio_pci/parameters/disable_idle_d3")?;
    let Some(state) = state.or_else(|| deep.as_ref().map(|_| "not told".to_owned())) else {
        return Ok(Said::not_applicable(
            "this tree does not tell its power state",
        ));
    };
    let deep = match deep.as_deref() {
        Some("0") => "never without power",
        _ => "without power where the machine can",
    };
    let idle = match idle.as_deref() {
        Some("Y") => "vfio-pci keeps it awake (disable_idle_d3)",
        _ => "vfio-pci lets it sleep while nobody has it",
    };
    let place = attribute(function.address, "power_state");
    Ok(match state.as_str() {
        "error" => Said::fail(
            "it does not answer to a change of its power state",
            "turn the machine off and on; then keep it awake: vfio.set=ADDRESS:d3cold_allowed=0, or disable_idle_d3=1 \
             for vfio-pci",
        ),
        state => Said::pass(format!("power state {state}; {idle}, {deep}")),
    }
    .from(place.as_str()))
}

/// Flags of a resource: memory, and 64 bits that can be prefetched (include/linux/ioport.h).
const IS_MEMORY: u64 = 0x200;

/// The memory that a function has, and how large it could be, for information.
pub(super) fn bars(system: &System<'_>, function: &Function) -> Answer {
    let address = function.address;
    let place = attribute(address, "resource");
    let Some(text) = system.text(place.as_str())? else {
        return Ok(Said::not_applicable("this tree does not have its BARs"));
    };
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let mut told = Vec::new();
    for (number, line) in text.lines().take(6).enumerate() {
        let fields: Vec<_> = line.split_whitespace().filter_map(hex).collect();
        let [start, end, flags] = fields[..] else {
            continue;
        };
        if flags & IS_MEMORY == 0 || end <= start {
            continue;
        }
        let size = end.saturating_sub(start).saturating_add(1);
        let able = system.attribute(address, &format!("resource{number}_resize"))?;
        // Bit n stands for 2^n MiB.
        let most = able
            .as_deref()
            .and_then(hex)
            .and_then(|bits| bits.checked_ilog2());
        let most = most
            .map(|bit| 1u64 << (bit.min(40) + 20))
            .filter(|most| *most > size)
            .map(|most| format!(" (up to {})", bytes(most)));
        told.push(format!(
            "BAR {number} {}{}",
            bytes(size),
            most.unwrap_or_default()
        ));
    }
    Ok(match told.is_empty() {
        true => Said::pass("it has no memory of its own"),
        false => Said::pass(told.join(", ")),
    }
    .from(place.as_str()))
}

fn bytes(size: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(shift, _)| size >> shift > 0);
    unit.map_or(format!("{size} B"), |(shift, name)| {
        format!("{} {name}", size >> shift)
    })
}

/// The memory and the CPUs that are near, for information.
pub(super) fn numa(system: &System<'_>, function: &Function) -> Answer {
    let place = attribute(function.address, "numa_node");
    Ok(match system.text(place.as_str())?.as_deref() {
        Some("-1") => Said::not_applicable("the machine does not say that it has nodes"),
        Some(node) => Said::pass(format!(
            "it is at NUMA node {node}; a guest with CPUs and memory of that node is faster"
        ))
        .from(place.as_str()),
        None => Said::not_applicable("this tree does not have its NUMA node"),
    })
}

/// Whether its link is as wide as both ends can.
pub(super) fn link(system: &System<'_>, function: &Function) -> Answer {
    let address = function.address;
    let of = |name: &str| system.attribute(address, name);
    let (Some(width), Some(speed)) = (of("current_link_width")?, of("current_link_speed")?) else {
        return Ok(Said::not_applicable(
            "it has no PCI Express link, or this tree not its state",
        ));
    };
    let number = |text: &str| text.split_whitespace().next()?.parse::<f32>().ok();
    let port = port_above(system, address).map(|port| port.address);
    let both = |name: &str| -> Result<Option<f32>, super::finding::Unread> {
        let own = of(name)?;
        let above = match port {
            Some(port) => system.attribute(port, name)?,
            None => None,
        };
        let all = [own, above];
        Ok(all
            .iter()
            .flatten()
            .filter_map(|text| number(text))
            .reduce(f32::min))
    };
    let place = attribute(address, "current_link_width");
    let (widest, fastest) = (both("max_link_width")?, both("max_link_speed")?);
    let is_narrow = widest
        .zip(number(&width))
        .is_some_and(|(most, now)| now < most);
    let is_slow = fastest
        .zip(number(&speed))
        .is_some_and(|(most, now)| now < most);
    let now = format!("{speed}, {width} lanes");
    let said = if width == "0" {
        Said::not_applicable("its link is internal to the chip, or down")
    } else if is_narrow {
        Said::warn(
            format!(
                "{now}, where both ends can have {}",
                widest.unwrap_or_default()
            ),
            "seat the card again; look whether the slot shares its lanes with another or an M.2 disk",
        )
    } else if is_slow {
        let most = fastest.unwrap_or_default();
        Said::pass(format!(
            "{now}; up to {most} GT/s, which a device at rest does not use"
        ))
    } else {
        Said::pass(now)
    };
    Ok(said.from(place.as_str()))
}

/// What it has to do with virtual functions.
pub(super) fn sriov(system: &System<'_>, function: &Function) -> Answer {
    let address = function.address;
    if let Some(physical) = Sysfs::of(system.root).physical(address) {
        return Ok(
            Said::pass(format!("it is a virtual function of {physical}"))
                .from(attribute(address, "physfn").as_str()),
        );
    }
    let sriov = Sriov::read(&system.tree, address);
    let place = attribute(address, "sriov_totalvfs");
    let is_chosen = is_lent(function.driver.as_deref());
    Ok(match (sriov.total, sriov.count) {
        (0, _) => Said::not_applicable("it makes no virtual functions"),
        (total, 0) => Said::pass(format!("it can make {total} virtual functions, and has none"))
            .from(place.as_str()),
        (total, count) if is_chosen => {
            Said::pass(format!("{count} of {total} virtual functions are there")).from(place.as_str())
        }
        (total, count) => Said::warn(
            format!(
                "{count} of {total} virtual functions are there, and go with it when its driver lets go of it"
            ),
            format!("lend the virtual ones in its place: vfio.bind=vf:{address}"),
        )
        .from(place.as_str()),
    })
}

/// What an IBM Z calls the function.
pub(super) fn z_function(system: &System<'_>, function: &Function) -> Answer {
    if system.cpu() != Cpu::S390 {
        return Ok(Said::not_applicable("this is no IBM Z"));
    }
    let of = |name: &str| system.attribute(function.address, name);
    let place = attribute(function.address, "uid");
    let (Some(uid), Some(fid)) = (of("uid")?, of("function_id")?) else {
        return Ok(Said::not_applicable(
            "this tree does not have its UID and FID",
        ));
    };
    let unique = of("uid_is_unique")?.as_deref() == Some("1");
    Ok(match unique {
        true => Said::pass(format!("UID {uid}, FID {fid}; the domain is the UID, and stays")),
        false => Said::warn(
            format!("UID {uid}, FID {fid}; UIDs need not be unique, and the domain may be another after a change"),
            "turn on UID checking of the partition",
        ),
    }
    .from(place.as_str()))
}
