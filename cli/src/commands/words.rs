//! The words for devices: what belongs on the kernel command line, and why.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::terminal::table::{Cell, Table};
use crate::terminal::{self, Screen, Tone, json};
use crate::words::{self, Taken, Words};

/// Print the words for the kernel command line that take these devices and nothing else.
///
/// A DEVICE is an address (02:00.0, or 02:00 for all its functions), an ID (10de:2204), the name of an interface,
/// a disk, a display or a sound card (eth0, nvme0n1, card1, sound/card1), a node in /dev, a path in /sys, or
/// whatever vfio.bind= takes. The exit status is 0 with words, and 2 where a device is not found or cannot be
/// bound.
#[derive(Debug, Args)]
pub struct Options {
    /// What is to be taken.
    #[arg(value_name = "DEVICE", required = true)]
    devices: Vec<String>,
    /// One JSON object, as docs/schema/words.json describes it.
    #[arg(long)]
    json: bool,
    /// A captured tree with the `sys`, `proc` and `etc` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// The exit status where there are no words.
pub const EXIT_NO_WORDS: u8 = 2;

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn run(self) -> Result<u8> {
        let words = match words::for_devices(&self.root, &self.devices) {
            Ok(words) => words,
            Err(error) => {
                for line in format!("{error:#}").lines() {
                    eprintln!("vfio-bind: {line}");
                }
                return Ok(EXIT_NO_WORDS);
            }
        };
        let told = Told {
            words: &words,
            how_to_set: how_to_set(&self.root, &words),
        };
        if self.json {
            json::write("words", &told)?;
        } else {
            terminal::write(&text(&told, Screen::of_output()))?;
        }
        Ok(0)
    }
}

/// The words, and how to set them.
#[derive(Serialize)]
struct Told<'w> {
    #[serde(flatten)]
    words: &'w Words,
    /// What to do on this machine, in sentences.
    how_to_set: Option<String>,
}

/// How words are set with the boot loader of the system at `root`, where it is known.
fn how_to_set(_root: &Path, _words: &Words) -> Option<String> {
    None
}

/// For people: first the words alone, for those who paste or cut.
fn text(told: &Told<'_>, screen: Screen) -> String {
    let Words {
        words,
        selectors,
        takes,
        leaves,
        notes,
    } = told.words;
    let mut text = String::new();
    for word in words {
        text.extend([word, "\n"]);
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
        let _ = write!(text, "\n{how}");
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
