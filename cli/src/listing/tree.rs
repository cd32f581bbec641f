//! A machine as the tree of its buses.

use unicode_width::UnicodeWidthStr;

use super::{View, tone, toned};
use crate::facts::{Function, Machine};
use crate::terminal::{Screen, Tone};
use vfio_bind_agent::pci::address::Address;

/// Each root bus with what is on it and behind it; a bridge is one line.
#[must_use]
pub fn lines(machine: &Machine, view: View, screen: Screen) -> String {
    let mut rows = Vec::new();
    let mut text = String::new();
    for bus in machine.root_buses() {
        let mut rows_of_bus = vec![Row::Bus(bus)];
        branch(machine, view, bus, None, 1, &mut rows_of_bus);
        rows.extend(rows_of_bus);
    }
    let room = rows.iter().map(Row::width).max().unwrap_or(0);
    for row in &rows {
        if matches!(row, Row::Bus(_)) && !text.is_empty() {
            text.push('\n');
        }
        text += &row.line(machine, room, screen);
    }
    text
}

enum Row<'m> {
    Bus(&'m str),
    Function(&'m Function, usize),
    /// Parts of the machine itself with nothing behind them.
    Folded(usize, usize),
}

/// Adds what is right below a bridge or on a root bus, each with what is behind it.
fn branch<'m>(
    machine: &'m Machine,
    view: View,
    bus: &'m str,
    parent: Option<Address>,
    depth: usize,
    rows: &mut Vec<Row<'m>>,
) {
    let mut folded = 0;
    for function in machine.below(bus, parent) {
        let leads = machine.below(bus, Some(function.address)).next().is_some();
        if function.is_of_no_use() && !leads && !view.machine {
            folded += 1;
            continue;
        }
        rows.push(Row::Function(function, depth));
        // Deeper than there are functions is a circle.
        if depth <= machine.functions.len() {
            branch(machine, view, bus, Some(function.address), depth + 1, rows);
        }
    }
    if folded > 0 {
        rows.push(Row::Folded(folded, depth));
    }
}

impl Row<'_> {
    /// How far its address goes.
    fn width(&self) -> usize {
        match self {
            Self::Function(function, depth) => 2 * depth + function.address.to_string().width(),
            Self::Bus(_) | Self::Folded(..) => 0,
        }
    }

    fn line(&self, machine: &Machine, room: usize, screen: Screen) -> String {
        let line = match self {
            Self::Bus(bus) => toned(screen, Tone::Strong, &format!("Root bus {bus}")),
            Self::Folded(count, depth) => {
                let parts = if *count == 1 {
                    "1 part"
                } else {
                    &format!("{count} parts")
                };
                let text = format!(
                    "{}{parts} of the machine itself and its chipset",
                    "  ".repeat(*depth)
                );
                toned(screen, Tone::Faint, &text)
            }
            Self::Function(function, depth) => told(machine, function, *depth, room, screen),
        };
        let indent = match self {
            Self::Function(_, depth) if screen.width.is_some_and(|width| width < 60) => {
                2 * depth + 2
            }
            Self::Function(..) => room + 2,
            Self::Bus(_) | Self::Folded(..) => 2,
        };
        screen.wrap(&line, indent) + "\n"
    }
}

fn told(
    machine: &Machine,
    function: &Function,
    depth: usize,
    room: usize,
    screen: Screen,
) -> String {
    let address = format!("{}{}", "  ".repeat(depth), function.address);
    let is_narrow = screen.width.is_some_and(|width| width < 60);
    let blanks = if is_narrow {
        0
    } else {
        room.saturating_sub(address.width())
    };
    let group = machine.group_of(function.address);
    let number = match function.group {
        Some(number) => format!("group {number}"),
        None => "no group".to_owned(),
    };
    let mut text = format!("{address}{}  {number}", " ".repeat(blanks));
    match function.bridge {
        Some(buses) if buses.first == 0 => text += ", a bridge to nothing",
        Some(buses) if buses.first == buses.last => {
            text += &format!(", bridge to bus {:02x}", buses.first);
        }
        Some(buses) => {
            text += &format!(
                ", bridge to buses {:02x} to {:02x}",
                buses.first, buses.last
            );
        }
        None => {
            if let Some(group) = group.filter(|_| !function.of_the_machine) {
                let lending = group.verdict.lending;
                text += &format!(", {}", toned(screen, tone(lending), lending.words()));
            }
            text += &format!("; {}", function.name);
            match &function.driver {
                Some(driver) => text += &format!(" ({driver})"),
                None => text += " (no driver)",
            }
        }
    }
    text
}
