//! A machine group by group: what is lent as a whole.

use unicode_width::UnicodeWidthStr;

use super::{View, counted, notes, title, tone, toned};
use crate::facts::behind::Detail;
use crate::facts::{Device, Function, Group, Machine};
use crate::terminal::{Screen, Tone};

/// Where there are fewer columns, a function's driver stands behind its name.
const NARROW: u16 = 60;
/// A driver with a longer name than that moves the name of its function.
const LONGEST: usize = 16;

/// The groups, each with its members; those of one device one after another.
#[must_use]
pub fn lines(machine: &Machine, view: View, screen: Screen) -> String {
    let listing = Listing {
        machine,
        view,
        screen,
        addresses: widest(machine, view, |one| one.address.to_string().width()),
        drivers: widest(machine, view, |one| driver(one).width()).min(LONGEST),
    };
    let mut text = String::new();
    let mut folded = 0;
    let mut shown = Vec::new();
    for group in &machine.groups {
        if shown.contains(&group.number) {
            continue;
        }
        if is_folded(machine, group, view) {
            folded += 1;
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let device = parted(machine, group);
        let Some(device) = device else {
            text += &listing.group(group);
            continue;
        };
        text += &listing.device(device);
        for group in &machine.groups {
            if group
                .number
                .is_some_and(|number| device.groups.contains(&number))
            {
                text += &listing.group(group);
                shown.push(group.number);
            }
        }
    }
    if folded > 0 {
        let groups = counted(folded, "group");
        let (are, show) = if folded == 1 {
            ("is", "it")
        } else {
            ("are", "them")
        };
        let line = format!(
            "\n{groups} more {are} of the machine itself and its chipset; --all shows {show}."
        );
        text += &(screen.wrap(&line, 0) + "\n");
    }
    text
}

/// Whether only a count tells of it.
fn is_folded(machine: &Machine, group: &Group, view: View) -> bool {
    !view.machine && machine.is_of_no_use(group)
}

/// The graphics card of several groups that begins with this one. The ports of a network card may be in several, too,
/// and are lent one by one.
fn parted<'m>(machine: &'m Machine, group: &Group) -> Option<&'m Device> {
    let number = group.number?;
    let mut all = machine.devices.iter();
    let is_graphics = |device: &&Device| {
        let mut functions = device
            .functions
            .iter()
            .filter_map(|one| machine.function(*one));
        functions.any(|one| one.ids.is_display())
    };
    all.find(|device| device.is_parted() && device.groups.first() == Some(&number))
        .filter(is_graphics)
}

/// How much room a column wants.
fn widest(machine: &Machine, view: View, width: impl Fn(&Function) -> usize) -> usize {
    let groups = machine
        .groups
        .iter()
        .filter(|group| !is_folded(machine, group, view));
    let members = groups.flat_map(|group| machine.members(group));
    members.map(width).max().unwrap_or(0)
}

fn driver(function: &Function) -> &str {
    function.driver.as_deref().unwrap_or("no driver")
}

struct Listing<'m> {
    machine: &'m Machine,
    view: View,
    screen: Screen,
    addresses: usize,
    drivers: usize,
}

impl Listing<'_> {
    /// The line above the groups of one device.
    fn device(&self, device: &Device) -> String {
        let numbers: Vec<_> = device.groups.iter().map(ToString::to_string).collect();
        let (last, first) = numbers
            .split_last()
            .map_or((String::new(), String::new()), |all| {
                (all.0.clone(), all.1.join(", "))
            });
        let name = toned(self.screen, Tone::Strong, &device.name);
        let text = format!("{name}: one device, in groups {first} and {last}");
        self.screen.wrap(&text, 2) + "\n"
    }

    fn group(&self, group: &Group) -> String {
        let Self { screen, .. } = *self;
        let verdict = &group.verdict;
        let mut text = toned(screen, Tone::Strong, &title(group));
        text += &format!(
            ": {}",
            toned(screen, tone(verdict.lending), verdict.lending.words())
        );
        if let Some(why) = verdict.reason(Detail::All) {
            text += &format!(": {why}");
        }
        if self.view.all
            && let Some(kind) = &group.kind
        {
            text += &format!(" (domain {kind})");
        }
        let mut text = screen.wrap(&text, 2) + "\n";
        let mut of_the_machine = 0;
        for function in self.machine.members(group) {
            // What has no group has nothing in common with the others.
            if group.number.is_none() && function.is_of_no_use() && !self.view.machine {
                of_the_machine += 1;
                continue;
            }
            text += &self.function(function);
        }
        if of_the_machine > 0 {
            let line = format!(
                "  and {of_the_machine} of the machine itself and its chipset; --all shows them"
            );
            text += &(screen.wrap(&line, 4) + "\n");
        }
        text
    }

    fn function(&self, function: &Function) -> String {
        let Self { screen, .. } = *self;
        let is_narrow = screen.width.is_some_and(|width| width < NARROW);
        let name = match function.name.contains(&function.id) {
            // Whoever knows no name knows at least what it is for.
            true => format!("{} ({})", function.name, function.kind),
            false => function.name.clone(),
        };
        let address = function.address.to_string();
        let driver = driver(function);
        let (line, indent, below) = if is_narrow {
            (format!("  {address}  {name}, {driver}"), 4, 4)
        } else {
            let pad = |text: &str, room: usize| " ".repeat(room.saturating_sub(text.width()));
            let line = format!(
                "  {address}{}  {driver}{}  {name}",
                pad(&address, self.addresses),
                pad(driver, self.drivers)
            );
            let below = self.addresses + 4;
            (line, below + self.drivers + 2, below)
        };
        let line = match function.bridge {
            Some(_) => toned(screen, Tone::Faint, &line),
            None => line,
        };
        let mut text = screen.wrap(&line, indent) + "\n";
        for note in notes::notes(self.machine, function, self.view) {
            let line = format!("{}{note}", " ".repeat(below));
            text += &(screen.wrap(&line, below + 2) + "\n");
        }
        text
    }
}
