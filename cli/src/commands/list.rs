//! The functions of a machine, by what can be lent.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use rustix::process::geteuid;

use crate::device::chosen::{self, Choice};
use crate::facts::{Machine, seen};
use crate::listing::{self, View, groups, tree};
use crate::page;
use crate::preview::known;
use crate::terminal::{self, Screen, json};

/// Show the PCI functions by IOMMU group, what hangs behind each, and what can be lent.
///
/// A group is lent to a virtual machine as a whole. Whether it can be is what the next boot would say if all of
/// it were asked for. Nothing is written, but that root's list remembers what hangs behind what is not lent yet
/// (/var/lib/vfio-bind/seen.json). The exit status is 2 where a DEVICE is not there.
#[derive(Debug, Args)]
pub struct Options {
    /// Only the groups of these: an address (02:00.0), an ID (10de:2204) or any other selector.
    #[arg(value_name = "DEVICE")]
    devices: Vec<String>,
    /// Show the buses and bridges.
    #[arg(long)]
    tree: bool,
    /// Show what belongs to the machine itself, too, and more of each function.
    #[arg(long)]
    all: bool,
    /// Print one JSON object (docs/schema/list.json).
    #[arg(long, conflicts_with_all = ["tree", "html"])]
    json: bool,
    /// Draw the machine as one page for a browser in FILE; `-` is standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "tree")]
    html: Option<PathBuf>,
    /// Have what tells who owns the machine on the page: addresses, mount points, the name of the host.
    #[arg(long, requires = "html")]
    personal: bool,
    /// A captured tree with the `sys`, `proc` and `etc` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Options {
    /// Does what they say; gives the exit status: 2 where a device is named that is not there.
    ///
    /// # Errors
    /// Where the machine cannot be read, or nothing be written.
    pub fn run(self) -> Result<u8> {
        let mut machine = Machine::read(&self.root)?;
        remember(&self.root, &mut machine);
        if !self.devices.is_empty() {
            let tree = known::open(&self.root)?;
            let found = match chosen::choose(&self.root, &tree, &self.devices)? {
                Choice::Made(found) => found.into_iter(),
                Choice::Wrong(wrong) => {
                    for text in wrong {
                        terminal::tell(format_args!("vfio-bind: {text}"));
                    }
                    return Ok(2);
                }
            };
            let wanted = found.filter(|one| one.chosen).map(|one| one.address);
            machine = machine.only(&wanted.collect::<Vec<_>>());
        }
        if self.json {
            return json::write("list", &machine).map(|()| 0);
        }
        if let Some(file) = &self.html {
            return page::write(file, &machine, None, self.personal).map(|()| 0);
        }
        let view = View {
            // What is named is shown, whatever it is.
            machine: self.all || !self.devices.is_empty(),
            all: self.all,
        };
        terminal::write(&shown(&machine, self.tree, view, Screen::of_output())).map(|()| 0)
    }
}

/// The list, or the tree.
#[must_use]
pub fn shown(machine: &Machine, as_tree: bool, view: View, screen: Screen) -> String {
    let body = match as_tree {
        true => tree::lines(machine, view, screen),
        false => groups::lines(machine, view, screen),
    };
    let summary = listing::summary(machine, screen);
    let untold = listing::untold(machine, geteuid().is_root(), screen);
    format!("{summary}\n{body}{untold}")
}

/// Adds what was seen earlier, and keeps what root sees of the running system now. Where that does not succeed the
/// list says so.
fn remember(root: &Path, machine: &mut Machine) {
    let recalled = seen::recall(root, machine);
    let kept = match recalled.is_ok() && root == Path::new("/") && geteuid().is_root() {
        true => seen::keep(root, machine),
        false => Ok(()),
    };
    for error in [recalled, kept].into_iter().filter_map(Result::err) {
        machine
            .untold
            .push(format!("what was seen behind functions earlier: {error:#}"));
    }
}
