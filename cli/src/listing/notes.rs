//! What there is to say of a function beside its name.

use crate::facts::behind::Detail;
use crate::facts::{Function, Machine};

use super::View;

/// A phrase for each thing.
pub fn notes(machine: &Machine, function: &Function, view: View) -> Vec<String> {
    let mut notes = Vec::new();
    if function.is_endpoint() {
        notes.extend(function.behind.told(Detail::All));
        if function.ids.is_vmd() {
            notes.push("what is behind it goes with it".to_owned());
        }
        notes.extend(virtual_functions(function));
        if !function.last_seen.is_empty() {
            notes.push(format!("last seen: {}", function.last_seen.join("; ")));
        }
        notes.extend(link(machine, function));
        // Of what has no group nobody asks.
        if !function.of_the_machine && function.group.is_some() {
            notes.extend(reset(function));
        }
    }
    if view.all {
        notes.extend(more(function));
    } else {
        let mut nodes = machine.functions.iter().filter_map(|one| one.numa_node);
        if let Some(node) = function.numa_node
            && nodes.any(|other| other != node)
            && function.is_endpoint()
        {
            notes.push(format!("NUMA node {node}"));
        }
    }
    notes
}

fn virtual_functions(function: &Function) -> Option<String> {
    if let Some(pf) = function.physical_function {
        return Some(format!("virtual function of {pf}"));
    }
    let own = function.virtual_functions?;
    Some(match own.made {
        0 => format!("can make {} virtual functions", own.most),
        made => format!("has {made} of {} virtual functions", own.most),
    })
}

/// All functions of a card have the link of the first.
fn link(machine: &Machine, function: &Function) -> Option<String> {
    let slot = |one: &Function| (one.address.domain, one.address.bus, one.address.device);
    let mut all = machine.functions.iter();
    let first = all.find(|one| slot(one) == slot(function))?;
    let told = function.link?.told()?;
    (first.address == function.address).then(|| format!("link {told}"))
}

fn reset(function: &Function) -> Option<String> {
    let resets = function.resets.as_ref()?;
    match &resets[..] {
        [] => Some("no way to reset it".to_owned()),
        [one] if one == "some" => Some("has a reset".to_owned()),
        all => Some(format!("reset {}", all.join(", "))),
    }
}

/// What only `--all` shows.
fn more(function: &Function) -> Vec<String> {
    let mut more = vec![format!("{}, class {}", function.id, function.class)];
    if let Some(subsystem) = &function.subsystem {
        more[0] += &format!(", subsystem {subsystem}");
    }
    // One on a root bus is its address.
    if let Some(path) = function.path.as_ref().filter(|path| path.contains('/')) {
        more.push(format!("path {path}"));
    }
    more.extend(
        function
            .power
            .as_ref()
            .map(|power| format!("power {power}")),
    );
    more.extend(function.numa_node.map(|node| format!("NUMA node {node}")));
    more
}
