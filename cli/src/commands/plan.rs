//! What the agent would do, shown for people and for programs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::record::EXIT_POLICY;
use vfio_bind_agent::text::Counted;

use crate::facts::Machine;
use crate::page::{self, Fate};
pub use crate::preview::known::open;
use crate::preview::known::{self, Known};
use crate::preview::next_boot::{Basis, NextBoot};
use crate::preview::view::{self, Becomes, Planned, Preview};
use crate::terminal::table::{Cell, Table};
use crate::terminal::{self, Screen, Tone, json};
use crate::words::line;

/// Print what the next boot would do, group by group; write nothing.
///
/// Without arguments it is about the running kernel command line. Each word (vfio.group=strict) is added to that,
/// and each DEVICE as vfio.bind=DEVICE: an address (02:00.0), whatever else vfio.bind= takes, or the name of an
/// interface, a disk or a display (eth0, nvme0n1, drm/card1). The exit status is the agent's: 0 all that is asked
/// would be done, 1 a function would not be bound, 2 there is an error in what is asked.
#[derive(Debug, Args)]
pub struct Options {
    /// Words of the kernel command line, and devices.
    #[arg(value_name = "WORD|DEVICE")]
    words: Vec<String>,
    /// In place of the running kernel command line.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    cmdline: Option<String>,
    /// One JSON object, as docs/schema/plan.json describes it.
    #[arg(long)]
    json: bool,
    /// Draw the machine and what the plan does to it as one page for a browser in FILE; `-` is standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
    /// Have what tells who owns the machine on the page: addresses, mount points, the name of the host.
    #[arg(long, requires = "html")]
    personal: bool,
    /// A captured tree with the `sys`, `proc`, `etc` and `boot` of another system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// Where `root` cannot be opened, its command line not be read, or nothing be written.
    pub fn run(self) -> Result<u8> {
        let words = match line::of_arguments(&self.root, &self.words) {
            Ok(words) => words,
            Err(error) => {
                terminal::tell(format_args!("vfio-bind: {error:#}"));
                return Ok(EXIT_POLICY);
            }
        };
        let view = of_next_boot(&self.root, self.cmdline.as_deref(), &words)?;
        if self.json {
            json::write("plan", &view)?;
        } else if let Some(file) = &self.html {
            let machine = Machine::read(&self.root)?;
            page::write(file, &machine, Some(&drawn(&view)), self.personal)?;
        } else {
            terminal::write(&text(&view, Screen::of_output()))?;
        }
        Ok(view.exit_status)
    }
}

/// What a page shows of a plan.
fn drawn(view: &Preview) -> page::PlanView {
    let planned = |one: &Planned| {
        let address = Address::parse(one.address.as_bytes())?;
        let fate = match one.becomes {
            Becomes::Bound | Becomes::Already => Fate::Taken,
            Becomes::Refused => Fate::Refused,
            Becomes::Left => Fate::Left,
            Becomes::Stays => return None,
        };
        let why = one
            .why
            .clone()
            .or_else(|| one.to.clone())
            .unwrap_or_default();
        Some((address, page::Planned { fate, why }))
    };
    page::PlanView {
        words: view.words.join(" "),
        functions: view.functions().filter_map(planned).collect(),
    }
}

/// The plan of the next boot of the system at `root`, with the policy and the protections of the image that will
/// boot: for its kernel command line or `cmdline`, and more `words`.
///
/// # Errors
/// Where `root` cannot be opened, or its command line not be read.
pub fn of_next_boot(root: &Path, cmdline: Option<&str>, words: &[String]) -> Result<Preview> {
    let tree = known::open(root)?;
    let basis = Basis::of_image(root)?;
    of(root, &tree, &basis, cmdline, words)
}

/// The same for a boot with an image that is built now, as whoever sets words up has it built.
///
/// # Errors
/// As those of [`of_next_boot`].
pub fn of_new_image(root: &Path, cmdline: Option<&str>, words: &[String]) -> Result<Preview> {
    let tree = known::open(root)?;
    let basis = Basis::of_system(root)?;
    of(root, &tree, &basis, cmdline, words)
}

fn of(
    root: &Path,
    tree: &Tree,
    basis: &Basis,
    cmdline: Option<&str>,
    words: &[String],
) -> Result<Preview> {
    let line = match cmdline {
        Some(line) => line.as_bytes().to_vec(),
        None => {
            let path = root.join("proc/cmdline");
            let running = known::read(&path)
                .transpose()
                // A captured tree may be without one; what is given is a line as well.
                .or_else(|| (!words.is_empty()).then(|| Ok(Vec::new())))
                .unwrap_or_else(|| Err(anyhow!("there is none")));
            running.with_context(|| {
                format!("read({}): give the line with --cmdline", path.display())
            })?
        }
    };
    // Without more words it stays as it is, byte by byte.
    let line = match words {
        [] => line,
        words => line::with(&String::from_utf8_lossy(&line), words).into_bytes(),
    };
    Ok(view::make(root, &NextBoot { tree, basis }, &line))
}

/// Prints the plan of a run on a system whose list and policy are known, for its kernel command line or `cmdline`.
/// Gives the agent's exit status.
///
/// # Errors
/// Where its command line cannot be read, or nothing be written.
pub fn show(tree: &Tree, root: &Path, cmdline: Option<&str>, known: &Known) -> Result<u8> {
    let basis = Basis {
        image: None,
        known: known.clone(),
        unread: None,
        stale: Vec::new(),
    };
    let view = of(root, tree, &basis, cmdline, &[])?;
    terminal::write(&text(&view, Screen::of_output()))?;
    Ok(view.exit_status)
}

/// Columns from which on there is room for names.
const ROOM_FOR_NAMES: u16 = 120;

/// A plan for people.
#[must_use]
pub fn text(view: &Preview, screen: Screen) -> String {
    let mut text = String::new();
    if view.function_count > 0 {
        let sum = format!(
            "{} in {}, IOMMU: {}; driver {}, group policy {}, on failure {}",
            Counted(view.function_count, "function"),
            Counted(view.group_count as usize, "group"),
            view.iommu,
            view.driver,
            view.group_policy,
            view.on_failure
        );
        text.extend([screen.wrap(&sum, 2).as_str(), "\n"]);
        if let Some(image) = &view.image {
            let line = format!("policy and protections are those of {image}");
            text.extend([screen.wrap(&line, 2).as_str(), "\n"]);
        }
        for group in &view.groups {
            let number = group
                .number
                .map_or("no group".to_owned(), |number| format!("group {number}"));
            let _ = writeln!(text, "\n{}", screen.paint(Tone::Strong, &number));
            text.push_str(&table(&group.functions, screen));
        }
        text.push('\n');
    }
    let mut tell = |tone: Option<Tone>, word: &str, line: &str| {
        let word = tone.map_or(String::new(), |tone| {
            format!("{}: ", screen.paint(tone, word))
        });
        text.extend([screen.wrap(&format!("{word}{line}"), 2).as_str(), "\n"]);
    };
    for warning in &view.warnings {
        tell(Some(Tone::Bad), "warning", warning);
    }
    for note in &view.notes {
        tell(Some(Tone::Warning), "note", note);
    }
    for line in &view.policy_file {
        tell(None, "", line);
    }
    for said in &view.messages {
        tell(None, "", &said.text);
    }
    for limit in &view.limits {
        tell(None, "", limit);
    }
    text
}

fn table(functions: &[Planned], screen: Screen) -> String {
    let mut table = Table::new(&[]).indented(2);
    let with_names = screen.width.is_none_or(|width| width >= ROOM_FOR_NAMES);
    for one in functions {
        let mut cells: Vec<Cell> = vec![one.address.as_str().into(), one.id.as_str().into()];
        // What the list of names does not know has its IDs for a name.
        if with_names && !one.name.contains(&one.id) {
            cells.push(one.name.as_str().into());
        } else {
            cells.push(one.kind.into());
        }
        cells.push(one.driver.as_deref().unwrap_or("(none)").into());
        cells.push(Cell::toned(what(one), tone(one.becomes)));
        table.cells(cells);
    }
    table.lines(screen)
}

fn tone(becomes: Becomes) -> Tone {
    match becomes {
        Becomes::Bound | Becomes::Already => Tone::Good,
        Becomes::Refused => Tone::Bad,
        Becomes::Left => Tone::Warning,
        Becomes::Stays => Tone::Faint,
    }
}

/// What becomes of a function, in the words of the kernel's messages.
fn what(one: &Planned) -> String {
    let mut text = match (one.becomes, &one.to, &one.why) {
        (Becomes::Bound, Some(to), _) => format!("-> {to}"),
        (Becomes::Already, ..) => "already".to_owned(),
        (Becomes::Refused, _, Some(why)) => format!("refused: {why}"),
        (Becomes::Left, _, Some(why)) => format!("stays: {why}"),
        _ => "stays".to_owned(),
    };
    for setting in one
        .settings
        .iter()
        .filter(|_| one.becomes == Becomes::Bound)
    {
        text.extend([", ", setting]);
    }
    if let Some(cause) = &one.cause {
        let _ = write!(text, " ({cause})");
    }
    text
}
