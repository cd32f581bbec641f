//! Setting words: the plan of it, shown, asked for, and done as a whole.

use std::path::Path;

use anyhow::{Context, Result};

use super::ask;
use super::base::{self, Content};
use super::manifest::{self, Kept, Manifest, State, Written};
use super::read_back;
use super::request::{Action, Request};
use super::told::{Ending, Told, stopped};
use super::transaction::{Done, Steps};
use super::undo;
use crate::loader::change::{BootLine, ByHand, Change, Invocation, Stop};
use crate::loader::facts::Facts;
use crate::loader::line;
use crate::loader::table::{self, Row};
use crate::loader::view::View;
use crate::preview::known;

/// Does what is asked for. `preview` shows, for people, what a boot with a kernel command line would do. Gives
/// the exit status: 0 as asked, 1 not.
///
/// # Errors
/// Where the machine cannot be read, or nothing be said.
pub fn run(request: &Request, told: Told, preview: &dyn Fn(&str) -> Result<()>) -> Result<u8> {
    let manifest = Manifest::read(&request.root)?;
    match (request.action, manifest) {
        (Action::Undo, None) => {
            told.line("nothing is set up")?;
            told.end(Ending::Nothing)
        }
        (Action::Undo, Some(manifest)) => undo::undo(request, told, &manifest),
        (Action::Keep, manifest) => keep(request, told, manifest, preview),
        (Action::Try, Some(manifest)) if !manifest.once => refuse(
            told,
            format!(
                "`{}` is set for good, and a try would not go without it",
                manifest.words.join(" ")
            ),
            "take it out first: vfio-bind setup --undo",
        ),
        (Action::Set | Action::Try, manifest) => set(request, told, manifest.as_ref(), preview),
    }
}

fn refuse(mut told: Told, reason: String, step: &str) -> Result<u8> {
    told.by_hand(&ByHand {
        reason,
        steps: vec![step.to_owned()],
    });
    told.end(Ending::ByHand)
}

/// Makes a try permanent, when it was seen to boot.
fn keep(
    request: &Request,
    told: Told,
    manifest: Option<Manifest>,
    preview: &dyn Fn(&str) -> Result<()>,
) -> Result<u8> {
    let Some(manifest) = manifest.filter(|manifest| manifest.once) else {
        return refuse(
            told,
            "nothing is being tried".to_owned(),
            "try words first: vfio-bind setup --try",
        );
    };
    let booted = known::command_line(&request.root)?;
    let booted = String::from_utf8_lossy(&booted);
    if !line::has(&booted, &manifest.words) {
        return refuse(
            told,
            format!(
                "this boot is not the try: /proc/cmdline is without `{}`",
                manifest.words.join(" ")
            ),
            "reboot into the try, or take it out: vfio-bind setup --undo",
        );
    }
    let request = Request {
        words: manifest.words.clone(),
        ..request.clone()
    };
    set(&request, told, Some(&manifest), preview)
}

/// What a machine's boot loader has to say to the words.
struct Found {
    row: &'static Row,
    change: Change,
}

fn find(request: &Request, view: &View<'_>, old: Option<&Manifest>) -> Result<Found, Stop> {
    let knows = |invocation: &Invocation| request.tools.knows(&request.root, invocation);
    let mut facts = Facts::gather(view, &knows)?;
    if let Some(old) = old {
        facts.ours.clone_from(&old.words);
        facts.ours.retain(|word| !old.owners.contains(word));
    }
    let row = match &request.loader {
        Some(name) => table::rows()
            .find(|row| row.name == name)
            .ok_or_else(|| unknown_name(name))?,
        None => match table::find(&facts)?[..] {
            [row] => row,
            [] => return Err(unknown(&facts, &request.words)),
            ref several => return Err(ambiguous(several)),
        },
    };
    let change = match (request.action, row.once) {
        (Action::Try, None) => {
            return Err(Stop::by_hand(
                format!("{}: this boot loader has no boot that is tried once", row.name),
                ["set them for good: vfio-bind setup; the way out is vfio.bind=off, typed in the boot menu".to_owned()],
            ));
        }
        (Action::Try, Some(once)) => once(&facts, &request.words)?,
        _ => (row.change)(&facts, &request.words)?,
    };
    Ok(Found { row, change })
}

fn unknown_name(name: &str) -> Stop {
    let names: Vec<_> = table::rows().map(|row| row.name).collect();
    Stop::by_hand(
        format!("`{name}` is no boot loader that is known here"),
        [format!("name one of {}", names.join(", "))],
    )
}

fn ambiguous(rows: &[&Row]) -> Stop {
    let names: Vec<_> = rows
        .iter()
        .map(|row| format!("{} ({})", row.name, row.about))
        .collect();
    Stop::by_hand(
        format!(
            "more than one boot loader may be in use: {}",
            names.join("; ")
        ),
        [format!(
            "say which: --loader {}",
            rows.first().map_or("", |row| row.name)
        )],
    )
}

fn unknown(facts: &Facts<'_>, words: &[String]) -> Stop {
    let about = match &facts.program {
        crate::loader::facts::Program::Other(name) => {
            format!("`{name}` started this system, which is not known here")
        }
        _ => "no boot loader that is known here is found".to_owned(),
    };
    Stop::by_hand(
        about,
        [
            format!(
                "add these words to the kernel command line where it is kept: {}",
                words.join(" ")
            ),
            "after the reboot, see that /proc/cmdline has them".to_owned(),
        ],
    )
}

fn set(
    request: &Request,
    mut told: Told,
    old: Option<&Manifest>,
    preview: &dyn Fn(&str) -> Result<()>,
) -> Result<u8> {
    let root = &request.root;
    let view = match base::view(root, old) {
        Ok(view) => view,
        Err(stop) => return stopped(told, stop),
    };
    let Found { row, change } = match find(request, &view, old) {
        Ok(found) => found,
        Err(stop) => return stopped(told, stop),
    };
    told.loader(row.name, row.about, &request.words)?;
    let once = request.action == Action::Try;
    let lines = read_back::lines(root, row).unwrap_or_default();
    let files: Vec<_> = change
        .files
        .iter()
        .map(|file| (file.path.clone(), Some(file.with.clone())))
        .collect();
    if is_set(root, old, row, request, &files, &lines)? {
        told.line("this is set up already")?;
        return told.end(Ending::Nothing);
    }
    let plan = Plan::new(root, old, files, &change)?;
    for (path, content) in &plan.writes {
        let was = plan
            .was
            .iter()
            .find(|(old, _)| old == path)
            .and_then(|(_, was)| was.as_deref());
        told.file(path, was, content.as_deref())?;
    }
    for invocation in &plan.run {
        told.run(invocation)?;
    }
    for note in &change.notes {
        told.note(note)?;
    }
    if !told.json() {
        preview(&next_line(&lines, &view, request)?)?;
    }
    if request.dry_run {
        return told.end(Ending::DryRun);
    }
    if !request.yes && !ask::whether("Do this?")? {
        told.line("nothing is written")?;
        return told.end(Ending::Declined);
    }
    let mut manifest = Manifest::new(row.name, &request.words, once);
    manifest.set = change.set.iter().map(|run| run.0.clone()).collect();
    manifest.owners.clone_from(&change.owners);
    manifest.unset = change.unset.iter().map(|run| run.0.clone()).collect();
    match plan.perform(request, &view, old, &change, row, &lines, &mut manifest) {
        Ok(without) => {
            for entry in without {
                told.note(&format!("the entry `{entry}` is without the words"))?;
            }
            afterwards(&mut told, request, &plan)?;
            told.end(Ending::Done)
        }
        Err(error) => {
            told.failed(&format!("{error:#}"));
            told.end(Ending::Failed)
        }
    }
}

/// Whether all of it is there already.
fn is_set(
    root: &Path,
    old: Option<&Manifest>,
    row: &Row,
    request: &Request,
    files: &[Content],
    lines: &[BootLine],
) -> Result<bool> {
    let Some(old) = old.filter(|old| old.state == State::Set) else {
        return Ok(false);
    };
    let once = request.action == Action::Try;
    if old.loader != row.name || old.words != request.words || old.once != once {
        return Ok(false);
    }
    let now = base::contents(root, files.iter().map(|(path, _)| path.as_str()))?;
    let same_files = old.files.len() == files.len() && now == files;
    // What programs write is seen in the entries alone.
    let there = lines
        .first()
        .is_none_or(|first| line::has(&first.line, &request.words));
    Ok(same_files && (there || !files.is_empty() || once))
}

/// The kernel command line that is to be expected.
fn next_line(lines: &[BootLine], view: &View<'_>, request: &Request) -> Result<String> {
    let running = view.text("proc/cmdline")?.unwrap_or_default();
    let before = lines
        .first()
        .map_or(running.trim(), |first| first.line.trim());
    Ok(format!(
        "{} {}",
        line::without(before, &request.words),
        request.words.join(" ")
    ))
}

fn afterwards(told: &mut Told, request: &Request, plan: &Plan) -> Result<()> {
    let words = request.words.join(" ");
    told.line("")?;
    if !request.tools.run_all(&plan.run) {
        told.note("the programs were not run: run them in this order, then reboot")?;
    }
    if request.action == Action::Try {
        told.line(&format!(
            "The next boot has `{words}`, and the one after it has not."
        ))?;
        told.line(
            "When it is good: vfio-bind setup --keep. To take it out: vfio-bind setup --undo",
        )?;
        return Ok(());
    }
    told.line(&format!("After the reboot /proc/cmdline has: {words}"))?;
    told.line("Then `vfio-bind status` says what was done.")?;
    told.line(
        "To undo it: vfio-bind setup --undo; for one boot, type vfio.bind=off in the boot menu.",
    )
}

/// All that is to be done, and the machine before it.
struct Plan {
    writes: Vec<Content>,
    was: Vec<Content>,
    run: Vec<Invocation>,
    back: Vec<Invocation>,
    /// Every file that a program may write, as it is.
    kept: Vec<Content>,
}

impl Plan {
    fn new(
        root: &Path,
        old: Option<&Manifest>,
        files: Vec<Content>,
        change: &Change,
    ) -> Result<Self> {
        let mut targets = files;
        let mut run = Vec::new();
        let mut back = change.unset.clone();
        let mut kept = change.kept.clone();
        if let Some(old) = old {
            // That it can be told was seen before.
            for (path, content) in base::files(root, old).unwrap_or_default() {
                if !targets.iter().any(|(other, _)| *other == path) {
                    targets.push((path, content));
                }
            }
            let unset: Vec<_> = old.unset.iter().cloned().map(Invocation).collect();
            if unset != change.set {
                run.extend(unset);
                let again: Vec<_> = old.set.iter().cloned().map(Invocation).collect();
                back.extend(again);
            }
            kept.extend(old.kept.iter().map(|kept| kept.path.clone()));
            kept.sort_unstable();
            kept.dedup();
        }
        run.extend(change.set.clone());
        let now = base::contents(root, targets.iter().map(|(path, _)| path.as_str()))?;
        let pairs = targets.into_iter().zip(now);
        let (writes, was) = pairs.filter(|(target, now)| target != now).unzip();
        Ok(Self {
            writes,
            was,
            run,
            back,
            kept: base::contents(root, kept.iter().map(String::as_str))?,
        })
    }

    fn steps(&self) -> Steps<'_> {
        Steps {
            writes: &self.writes,
            was: &self.was,
            run: &self.run,
            back: &self.back,
            kept: &self.kept,
        }
    }

    /// Does it, and reads back. Gives the entries that are without the words.
    #[expect(
        clippy::too_many_arguments,
        reason = "a step of `set`, with all that it found out"
    )]
    fn perform(
        &self,
        request: &Request,
        view: &View<'_>,
        old: Option<&Manifest>,
        change: &Change,
        row: &Row,
        lines: &[BootLine],
        manifest: &mut Manifest,
    ) -> Result<Vec<String>> {
        let root = &request.root;
        let noted = note(root, view, change, manifest).and_then(|()| manifest.write(root));
        if let Err(error) = noted {
            give_up(root, old, manifest);
            return Err(error.context("nothing is changed, for what undoes it could not be kept"));
        }
        let mut done = Done::default();
        let worked = self
            .steps()
            .take(root, &request.tools, &mut done, &mut |done, count| {
                manifest.done = count;
                let relative = done
                    .directories
                    .iter()
                    .filter_map(|path| path.strip_prefix(root).ok());
                manifest.directories = relative
                    .filter_map(|path| Some(path.to_str()?.to_owned()))
                    .collect();
                manifest
                    .directories
                    .extend(old.iter().flat_map(|old| old.directories.clone()));
                manifest.directories.dedup();
                manifest.write(root)
            })
            .and_then(|()| self.read_back(request, change, row, lines))
            .and_then(|without| {
                if request.tools.run_all(&self.run) {
                    for kept in &mut manifest.kept {
                        kept.after = match known::read(&root.join(&kept.path))? {
                            Some(after) => Some(manifest::keep(root, &kept.path, "after", &after)?),
                            None => None,
                        };
                    }
                }
                manifest.state = State::Set;
                manifest.write(root)?;
                Ok(without)
            });
        match worked {
            Ok(without) => {
                if let Some(old) = old {
                    old.remove_backups(root);
                }
                Ok(without)
            }
            Err(error) => {
                let faults = self.steps().take_back(root, &request.tools, &done);
                if faults.is_empty() {
                    give_up(root, old, manifest);
                    return Err(error.context("a step failed, and everything is as it was before"));
                }
                let faults = faults.join("; ");
                Err(error.context(format!(
                    "a step failed, and not all of it could be taken back ({faults}): mend that, then run vfio-bind \
                     setup --undo"
                )))
            }
        }
    }

    fn read_back(
        &self,
        request: &Request,
        change: &Change,
        row: &Row,
        before: &[BootLine],
    ) -> Result<Vec<String>> {
        if request.action == Action::Try || !request.tools.run_all(&self.run) {
            return Ok(Vec::new());
        }
        let after = read_back::lines(&request.root, row)?;
        let without = read_back::check(before, &after, &request.words).context("reading back")?;
        if let Some(ask) = &change.ask {
            read_back::ask(&request.root, &request.tools, ask, &request.words)
                .context("reading back")?;
        }
        Ok(without)
    }
}

/// Keeps what undoing needs.
fn note(root: &Path, view: &View<'_>, change: &Change, manifest: &mut Manifest) -> Result<()> {
    for file in &change.files {
        let without = match &file.without {
            Some(without) => Some(manifest::keep(root, &file.path, "before", without)?),
            None => None,
        };
        // It is known from here on, and goes where the next step fails.
        manifest.files.push(Written {
            path: file.path.clone(),
            without,
            with: String::new(),
            ours: String::from_utf8_lossy(&file.ours).into_owned(),
        });
        let with = manifest::keep(root, &file.path, "with", &file.with)?;
        if let Some(written) = manifest.files.last_mut() {
            written.with = with;
        }
    }
    for path in &change.kept {
        let before = match view.read(path)? {
            Some(before) => Some(manifest::keep(root, path, "before", &before)?),
            None => None,
        };
        manifest.kept.push(Kept {
            path: path.clone(),
            before,
            after: None,
        });
    }
    Ok(())
}

/// As if nothing had begun: the manifest is the old one, or none.
fn give_up(root: &Path, old: Option<&Manifest>, manifest: &Manifest) {
    match old {
        // Where it cannot be written it was not written over either.
        Some(old) => {
            let _ = old.write(root);
            manifest.remove_backups(root);
        }
        None => {
            let _ = manifest.remove(root);
        }
    }
}
