//! What can be lent of a machine, what cannot and why, as lines for a choice.

use std::fmt::Write as _;

use vfio_bind_agent::pci::address::Address;

use crate::facts::behind::Detail;
use crate::facts::{Device, Function, Group, Lending, Machine};

/// A device that can be lent.
#[derive(Clone, Debug)]
pub struct Offer<'m> {
    device: &'m Device,
    /// The functions that are asked for.
    pub functions: Vec<Address>,
    text: String,
}

/// All devices of a machine.
#[derive(Clone, Debug)]
pub struct Offers<'m> {
    /// What can be lent.
    pub can: Vec<Offer<'m>>,
    /// A line for each of the others.
    cannot: Vec<String>,
}

impl<'m> Offers<'m> {
    /// Sorts the devices of a machine.
    #[must_use]
    pub fn of(machine: &'m Machine) -> Self {
        let mut offers = Self {
            can: Vec::new(),
            cannot: Vec::new(),
        };
        for device in &machine.devices {
            let functions: Vec<_> = functions(machine, device).collect();
            if functions.iter().all(|one| one.of_the_machine) {
                continue;
            }
            match hindrance(machine, &functions) {
                Some(why) => offers.cannot.push(format!("  {}: {why}", heading(device))),
                None => offers.can.push(Offer {
                    device,
                    functions: functions.iter().map(|one| one.address).collect(),
                    text: described(machine, device),
                }),
            }
        }
        offers
    }

    /// The list, with a number for each that can be lent.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (number, offer) in (1..).zip(&self.can) {
            let _ = write!(text, "{number}. {}", offer.text);
        }
        if !self.cannot.is_empty() {
            text.push_str("\nThese cannot be lent:\n");
            for line in &self.cannot {
                text.extend([line, "\n"]);
            }
        }
        text.push('\n');
        text
    }
}

fn functions<'m>(machine: &'m Machine, device: &'m Device) -> impl Iterator<Item = &'m Function> {
    let all = device
        .functions
        .iter()
        .filter_map(|address| machine.function(*address));
    all.filter(|one| !one.of_the_machine)
}

/// Why a device cannot be lent now.
fn hindrance(machine: &Machine, functions: &[&Function]) -> Option<String> {
    if functions.iter().all(|one| one.is_lent()) {
        return Some("a driver of VFIO's has it already".to_owned());
    }
    let mut groups = functions
        .iter()
        .filter_map(|one| machine.group_of(one.address));
    groups.find_map(|group| {
        let why = group.verdict.why.clone();
        let hinders = matches!(group.verdict.lending, Lending::Cannot | Lending::Machine);
        hinders.then(|| why.unwrap_or_else(|| "it belongs to the machine".to_owned()))
    })
}

/// `NVIDIA GA102 [GeForce RTX 3090] in 0000:01:00`.
fn heading(device: &Device) -> String {
    let places: Vec<_> = device.functions.iter().map(|one| slot(*one)).collect();
    let mut places = places;
    places.dedup();
    format!("{} in {}", device.name, places.join(" and "))
}

fn slot(address: Address) -> String {
    let text = address.to_string();
    text.rsplit_once('.')
        .map_or(text.clone(), |(slot, _)| slot.to_owned())
}

fn described(machine: &Machine, device: &Device) -> String {
    let mut text = format!("{}\n", heading(device));
    for one in functions(machine, device) {
        let driver = one.driver.as_deref().unwrap_or("no driver");
        let group = one
            .group
            .map_or("no group yet".to_owned(), |group| format!("group {group}"));
        let _ = writeln!(text, "   {} {}, {driver}, {group}", one.address, one.kind);
        let behind = one.behind.told(Detail::All);
        if !behind.is_empty() {
            let _ = writeln!(text, "     behind it: {}", behind.join("; "));
        }
        if one.boot_display
            || !one.behind.text_console.is_empty()
            || !one.behind.consoles.is_empty()
        {
            text.push_str("     it drives your console\n");
        }
    }
    for mate in mates(machine, &device.functions) {
        let _ = writeln!(text, "   {}", told(mate));
    }
    text
}

/// The other endpoints of a device's groups, which go with it.
fn mates<'m>(machine: &'m Machine, functions: &[Address]) -> Vec<&'m Function> {
    let groups = functions.iter().filter_map(|one| machine.group_of(*one));
    let mut groups: Vec<&Group> = groups.filter(|group| group.number.is_some()).collect();
    groups.dedup_by_key(|group| group.number);
    let members = groups.into_iter().flat_map(|group| machine.members(group));
    let mut mates: Vec<_> = members
        .filter(|one| one.is_endpoint() && !one.of_the_machine && !functions.contains(&one.address))
        .collect();
    mates.sort_by_key(|one| one.address);
    mates.dedup_by_key(|one| one.address);
    mates
}

fn told(mate: &Function) -> String {
    let behind = mate.behind.told(Detail::All);
    let behind = match &behind[..] {
        [] => String::new(),
        behind => format!(": {}", behind.join("; ")),
    };
    format!(
        "goes with it: {} {} ({}){behind}",
        mate.address, mate.name, mate.kind
    )
}

/// What was chosen, with all that goes with it and what the host will miss.
#[must_use]
pub fn confirmation(machine: &Machine, chosen: &[&Offer<'_>]) -> String {
    let mut text = "\nYou chose:\n".to_owned();
    let mut all: Vec<Address> = Vec::new();
    for offer in chosen {
        let _ = writeln!(text, "  {}", heading(offer.device));
        all.extend(&offer.functions);
    }
    for mate in mates(machine, &all) {
        let _ = writeln!(text, "  {}", told(mate));
        all.push(mate.address);
    }
    for function in all.iter().filter_map(|one| machine.function(*one)) {
        let mut uses = function.behind.uses(Detail::All);
        if function.boot_display {
            uses.push("the machine boots on this display".to_owned());
        }
        for lost in uses {
            let _ = writeln!(text, "  the host loses it: {} {lost}", function.address);
        }
    }
    text
}
