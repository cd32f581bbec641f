//! The words for devices: what belongs on the kernel command line, and why.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::imports::{self, Found};
use crate::loader::change::{Invocation, Stop};
use crate::loader::facts::Facts;
use crate::loader::table;
use crate::loader::view::View;
use crate::setup::tools::Tools;
use crate::terminal::table::{Cell, Table};
use crate::terminal::{self, Screen, Tone, json};
use crate::words::{self, Taken, Words};

/// Print the words for the kernel command line that take these devices and nothing else.
///
/// A DEVICE is an address (02:00.0, or 02:00 for all its functions), an ID (10de:2204), the name of an interface,
/// a disk, a display or a sound card (eth0, nvme0n1, card1, sound/card1), a node in /dev, a path in /sys, or
/// whatever vfio.bind= takes. The exit status is 0 with words, 1 where something that was found has none, and 2 where a
/// device is not found or cannot be bound.
#[derive(Debug, Args)]
pub struct Options {
    /// What is to be taken.
    #[arg(
        value_name = "DEVICE",
        required_unless_present = "import",
        conflicts_with = "import"
    )]
    devices: Vec<String>,
    /// Give the words for what other managers hold (modprobe.d, driverctl, Unraid, Proxmox VE, ...), and say what to
    /// remove by hand.
    #[arg(long)]
    import: bool,
    /// One JSON object, as docs/schema/words.json describes it.
    #[arg(long)]
    json: bool,
    /// A captured tree with the `sys`, `proc` and `etc` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// The exit status where there are no words.
pub const EXIT_NO_WORDS: u8 = 2;
/// The exit status where something of another manager's has no words.
pub const EXIT_INCOMPLETE: u8 = 1;

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn run(self) -> Result<u8> {
        let found = match self.import {
            true => imports::find(&self.root).map(|all| (all.words, all.found)),
            false => {
                words::for_devices(&self.root, &self.devices).map(|words| (Some(words), Vec::new()))
            }
        };
        let (words, imports) = match found {
            Ok(found) => found,
            Err(error) => {
                for line in format!("{error:#}").lines() {
                    terminal::tell(format_args!("vfio-bind: {line}"));
                }
                return Ok(EXIT_NO_WORDS);
            }
        };
        let words = words.unwrap_or_default();
        let told = Told {
            how_to_set: how_to_set(&self.root, &words),
            words,
            imports,
        };
        if self.json {
            json::write("words", &told)?;
        } else {
            terminal::write(&text(&told, self.import, Screen::of_output()))?;
        }
        let without = told.imports.iter().any(|one| one.problem.is_some());
        Ok(if without { EXIT_INCOMPLETE } else { 0 })
    }
}

/// The words, and how to set them.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    words: Words,
    /// What to do on this machine, in sentences.
    how_to_set: Option<String>,
    /// What other managers hold.
    imports: Vec<Found>,
}

/// How words are set with the boot loader of the system at `root`, where it is known.
fn how_to_set(root: &Path, words: &Words) -> Option<String> {
    let view = View::new(root);
    let tools = match root == Path::new("/") {
        true => Tools::System,
        false => Tools::Told,
    };
    let knows = |invocation: &Invocation| tools.knows(root, invocation);
    let facts = Facts::gather(&view, &knows).ok()?;
    let set = format!("`vfio-bind setup --words '{}'`", words.words.first()?);
    let rows = table::find(&facts).ok()?;
    let [row] = rows[..] else {
        let names: Vec<_> = rows.iter().map(|row| row.name).collect();
        return (!names.is_empty()).then(|| {
            format!(
                "{set} with --loader NAME sets them: this machine may boot with {}",
                names.join(" or ")
            )
        });
    };
    Some(match (row.change)(&facts, &words.words) {
        Ok(_) => format!(
            "{set} sets them ({}: {}); with --dry-run it shows what it would do, and with --undo it takes them out",
            row.name, row.about
        ),
        Err(Stop::ByHand(by_hand)) => {
            let steps: Vec<_> = by_hand.steps.iter().map(String::as_str).collect();
            format!(
                "to set them by hand ({}: {}): {}",
                row.name,
                by_hand.reason,
                steps.join("; ")
            )
        }
        Err(Stop::Failed(error)) => format!("{set} sets them, but now {error:#}"),
    })
}

/// For people: first the words alone, for those who paste or cut.
fn text(told: &Told, import: bool, screen: Screen) -> String {
    let Words {
        words,
        selectors,
        takes,
        leaves,
        notes,
    } = &told.words;
    let mut text = String::new();
    for word in words {
        text.extend([word, "\n"]);
    }
    if import {
        text.push_str(&imported(&told.imports, screen));
    }
    if words.is_empty() {
        return text;
    }
    text.push('\n');
    let mut table = Table::new(&[]).indented(2);
    for taken in takes {
        table.row(row(
            taken,
            &format!(
                "-> vfio-pci{}",
                if taken.asked { "" } else { ", same group" }
            ),
        ));
    }
    for taken in leaves {
        table.row(row(taken, "stays"));
    }
    text.push_str(&table.lines(screen));
    text.push('\n');
    let mut reasons: Vec<&str> = selectors.iter().map(|one| one.why.as_str()).collect();
    reasons.dedup();
    for reason in &reasons {
        let mut of = selectors.iter().filter(|one| one.why == *reason);
        let line = match (of.next(), &reasons[..]) {
            (Some(first), [_, _, ..]) => format!("why {}: {reason}", first.text),
            _ => format!("why: {reason}"),
        };
        text.extend([screen.wrap(&line, 2).as_str(), "\n"]);
    }
    for note in notes {
        let line = format!("{}: {note}", screen.paint(Tone::Warning, "note"));
        text.extend([screen.wrap(&line, 2).as_str(), "\n"]);
    }
    if let Some(how) = &told.how_to_set {
        text.extend(["\n", screen.wrap(how, 2).as_str(), "\n"]);
    }
    text
}

/// What other managers hold, a block for each line of theirs.
fn imported(found: &[Found], screen: Screen) -> String {
    if found.is_empty() {
        return "no other manager holds anything for vfio-pci here\n".to_owned();
    }
    let mut text = String::new();
    for one in found {
        let line = format!("{}:{}: {}", one.file, one.line, one.text);
        text.extend(["\n", screen.wrap(&line, 2).as_str(), "\n"]);
        let words = one.words.iter().map(|word| format!("  words: {word}"));
        let problem = one.problem.iter().map(|why| format!("  no words: {why}"));
        let by_hand = format!("  by hand: {}", one.by_hand);
        for line in words.chain(problem).chain([by_hand]) {
            text.extend([screen.wrap(&line, 4).as_str(), "\n"]);
        }
    }
    text
}

fn row(taken: &Taken, what: &str) -> [Cell; 4] {
    [
        taken.address.to_string().into(),
        taken.name.as_str().into(),
        taken.driver.as_deref().unwrap_or("(none)").into(),
        what.into(),
    ]
}
