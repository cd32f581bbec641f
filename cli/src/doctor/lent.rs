//! Who uses a function now, what is shown on it, and who may open it once it is bound.

use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::sysfs::attribute;

use crate::device;
use crate::next::access;
use crate::preview::in_use;

use super::finding::{Answer, Said};
use super::system::System;

fn is_lent(function: &Function) -> bool {
    device::is_lent(function.driver.as_deref())
}

/// What the owner sees on it, types on it, or reaches the machine by.
pub(super) fn console(system: &System<'_>, function: &Function) -> Answer {
    let address = function.address;
    let mut found = in_use::warnings(system.root, &[address]);
    if function.boot_display {
        found.insert(
            0,
            format!("{address} is the display that the machine boots on"),
        );
    }
    let said = match (found.is_empty(), function.id.is_display()) {
        (false, _) if is_lent(function) => Said::pass(format!(
            "{}; its driver is vfio's already",
            found.join("; ")
        )),
        (false, _) => Said::warn(
            found.join("; "),
            "have another way in before it goes: a second display, a serial console, SSH over another NIC",
        ),
        (true, true) => Said::pass("the console is not on it"),
        (true, false) => Said::not_applicable("no console, keyboard or default route is behind it"),
    };
    Ok(match function.id.is_display() {
        true => said.from(attribute(address, "boot_vga").as_str()),
        false => said,
    })
}

/// Who uses it.
pub(super) fn in_use(system: &System<'_>, function: &Function) -> Answer {
    let address = function.address;
    let usage = system.usage();
    let users = usage.text(address);
    Ok(match (users, is_lent(function)) {
        (Some(users), true) => Said::pass(format!("it is lent: {users}")),
        (Some(users), false) => Said::warn(
            users,
            "a boot binds it before that; now, `vfio-bind bind` leaves it alone until its user is done",
        ),
        (None, _) if !usage.told.is_empty() && system.is_live() => {
            let next = match rustix::process::geteuid().is_root() {
                true => "look for its users by hand",
                false => "run as root",
            };
            Said::unknown(usage.told.join("; "), next)
        }
        (None, true) => Said::pass("nobody has it open"),
        (None, false) => {
            // In a captured tree something always is not known.
            let told = usage.told.iter().map(|told| format!("; {told}"));
            let told: String = told.collect();
            Said::pass(format!("nobody is seen to use it{told}"))
        }
    }
    .from("proc/*/fd"))
}

/// Whether whoever asks may open it.
pub(super) fn vfio_access(system: &System<'_>, function: &Function) -> Answer {
    let Some(group) = function.group.filter(|_| is_lent(function)) else {
        return Ok(Said::not_applicable("it is not bound to a vfio driver now"));
    };
    let place = format!("dev/vfio/{group}");
    if !system.has("dev/vfio") && !system.is_live() {
        return Ok(Said::not_applicable("this tree has no /dev/vfio"));
    }
    let Some(node) = access::of_group(system.root, group) else {
        return Ok(Said::fail(
            format!("/{place} is not there, although a vfio driver has {}", function.address),
            "look for `vfio` in the kernel log; a kernel without CONFIG_VFIO_GROUP has /dev/vfio/devices only",
        )
        .from(place));
    };
    let is_roots = rustix::process::geteuid().is_root();
    Ok(match node.open {
        true if is_roots => Said::pass(format!("{}; root may open it", node.shown())),
        true => Said::pass(format!("{}; you may open it", node.shown())),
        false => {
            let [rule, reload] = access::rule("USER");
            Said::warn(
                format!("{}; you may not open it", node.shown()),
                format!("`{rule}` in {}, then `{reload}`", access::RULES),
            )
        }
    }
    .from(place))
}
