//! Words for the next boots, put where the boot loader keeps them.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::plan;
use crate::choice;
use crate::loader::line;
use crate::loader::table;
use crate::preview::policy_file;
use crate::setup::engine;
use crate::setup::manifest;
use crate::setup::plan::Expected;
use crate::setup::request::{Action, Request};
use crate::setup::told::Told;
use crate::setup::tools::Tools;
use crate::terminal::{self, Screen};
use crate::words;

/// What is wrong with what was given.
const EXIT_WRONG: u8 = 2;

/// Put words on the kernel command line where this machine's boot loader keeps them.
///
/// What is written is shown first, each file as a difference, with the plan of the next boot, and asked for.
/// The exit status is 0 where it is as asked, 1 where it is not, and 2 where there is an error in what is
/// given.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The devices, as `vfio-bind words` takes them; without one, those are chosen that the terminal shows.
    #[arg(value_name = "DEVICE", conflicts_with_all = ["undo", "keep"])]
    devices: Vec<String>,
    /// These words, in place of those for the devices.
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["devices", "undo", "keep"])]
    words: Option<String>,
    /// A captured tree: files are written there, and the programs that would be run are printed.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Show all of it, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Take out what was set.
    #[arg(long)]
    undo: bool,
    /// For the next boot alone: the one after it is as this one.
    #[arg(long = "try", conflicts_with_all = ["undo", "keep"])]
    once: bool,
    /// Set for good what was tried, in the boot that has it.
    #[arg(long, conflicts_with = "undo")]
    keep: bool,
    /// The boot loader, where more than one may be in use.
    #[arg(long, value_name = "NAME")]
    loader: Option<String>,
    /// Say it as one JSON object (docs/schema/setup.json).
    #[arg(long)]
    json: bool,
    /// Programs to run in place of the system's, each in the tree.
    #[arg(long, value_name = "DIR", hide = true)]
    tools: Option<PathBuf>,
}

impl Options {
    /// Does what they say; gives the exit status.
    ///
    /// # Errors
    /// As those of [`setup`].
    pub fn run(self) -> Result<u8> {
        setup(self)
    }
}

/// Does it. Gives the exit status: 0 as asked, 1 not, 2 an error in what was given.
///
/// # Errors
/// Where the machine cannot be read, or nothing be said.
pub fn setup(options: Options) -> Result<u8> {
    let live = options.root == Path::new("/");
    let action = match (options.undo, options.keep, options.once) {
        (true, ..) => Action::Undo,
        (_, true, _) => Action::Keep,
        (_, _, true) => Action::Try,
        _ => Action::Set,
    };
    let words = match words(&options, action) {
        Ok(words) => words,
        Err(faults) => {
            for fault in faults {
                terminal::tell(format_args!("vfio-bind: {fault}"));
            }
            return Ok(EXIT_WRONG);
        }
    };
    let writes =
        matches!(action, Action::Set | Action::Try) || options.root.join(manifest::FILE).exists();
    if let Some(name) = options
        .loader
        .as_ref()
        .filter(|name| table::named(name).is_none())
    {
        let names: Vec<_> = table::rows().map(|row| row.name).collect();
        terminal::tell(format_args!(
            "vfio-bind: `{name}` is no boot loader that is known here: name one of {}",
            names.join(", ")
        ));
        return Ok(EXIT_WRONG);
    }
    let root = rustix::process::geteuid().is_root();
    if live && writes && !options.dry_run && !root {
        terminal::tell(format_args!(
            "vfio-bind: setup writes what the boot loader reads: run it as root, or see what it would do with \
                 --dry-run"
        ));
        return Ok(EXIT_WRONG);
    }
    let tools = match options.tools {
        Some(directory) => Tools::Of(directory),
        None if live => Tools::System,
        None => Tools::Told,
    };
    let name = match action {
        Action::Set => "set",
        Action::Try => "try",
        Action::Keep => "keep",
        Action::Undo => "undo",
    };
    let request = Request {
        root: options.root,
        action,
        words,
        loader: options.loader,
        dry_run: options.dry_run,
        yes: options.yes || !live,
        tools,
    };
    // A tree that is none would look like a machine without a boot loader.
    plan::open(&request.root)?;
    let preview = |boot: &Expected| preview(&request.root, boot);
    let ran = engine::run(&request, Told::new(name, options.json), &preview);
    match live && !root {
        true => ran.context("an ordinary user cannot read all of /boot: run it as root"),
        false => ran,
    }
}

/// The words that are asked for, each once.
fn words(options: &Options, action: Action) -> Result<Vec<String>, Vec<String>> {
    let mut words = Vec::new();
    match &options.words {
        Some(text) => words.extend(line::words(text).into_iter().map(str::to_owned)),
        None => words.extend(of_devices(options, action)?),
    }
    let mut seen = Vec::new();
    words.retain(|word| {
        let new = !seen.contains(word);
        seen.push(word.clone());
        new
    });
    if words.is_empty() && matches!(action, Action::Set | Action::Try) {
        return Err(vec![
            "name a device, such as 0000:42:00.0, or give the words with --words".to_owned(),
        ]);
    }
    let mut faults: Vec<_> = words.iter().filter_map(|word| line::fault(word)).collect();
    for finding in policy_file::findings(words.join("\n").as_bytes()) {
        if finding.error && words[finding.line - 1].contains("vfio") {
            faults.push(finding.text);
        }
    }
    if faults.is_empty() {
        Ok(words)
    } else {
        Err(faults)
    }
}

/// The sturdiest words for devices: those that are named, or where none is, those that are chosen on the terminal.
fn of_devices(options: &Options, action: Action) -> Result<Vec<String>, Vec<String>> {
    let told = |error: anyhow::Error| -> Vec<String> {
        format!("{error:#}").lines().map(str::to_owned).collect()
    };
    let asks = matches!(action, Action::Set | Action::Try)
        && options.root == Path::new("/")
        && !(options.yes || options.json)
        && io::stdin().is_terminal()
        && io::stdout().is_terminal();
    let devices: Vec<String> = match &options.devices[..] {
        [] if asks => {
            let chosen = choice::choose(&options.root, io::stdin().lock(), io::stdout());
            let chosen = chosen.map_err(told)?.unwrap_or_default();
            chosen.iter().map(ToString::to_string).collect()
        }
        devices => devices.to_vec(),
    };
    // A tree may have the files of a boot loader alone.
    let is_machine = options.root.join("sys/bus/pci/devices").exists();
    if devices.is_empty() || !is_machine {
        return Ok(devices
            .iter()
            .map(|device| format!("vfio.bind={device}"))
            .collect());
    }
    let words = words::for_devices(&options.root, &devices).map_err(told)?;
    Ok(words.words)
}

/// The plan of a boot, where the machine is there to be planned for.
fn preview(root: &Path, boot: &Expected) -> Result<()> {
    if !root.join("sys/bus/pci/devices").exists() {
        return Ok(());
    }
    let line = Some(boot.line.as_str());
    let view = match boot.new_image {
        true => plan::of_new_image(root, line, &[])?,
        false => plan::of_next_boot(root, line, &[])?,
    };
    terminal::write("\nthe next boot with this:\n")?;
    terminal::write(&plan::text(&view, Screen::of_output()))
}
