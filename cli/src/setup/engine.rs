//! Setting words: the plan of it, shown, asked for, and done as a whole.

use anyhow::Result;

use super::ask::{self, Answered};
use super::base;
use super::lock;
use super::manifest::Manifest;
use super::plan::{Expected, Plan};
use super::request::{Action, Request};
use super::told::{Ending, Told, stopped};
use super::undo;
use crate::loader::change::{ByHand, Change, Invocation, Stop};
use crate::loader::facts::{Facts, Program};
use crate::loader::line;
use crate::loader::table::{self, Row};
use crate::loader::view::View;
use crate::preview::known;

/// Does what is asked for. `preview` shows, for people, what a boot would do. Gives the
/// exit status: 0 as asked, 1 not.
///
/// # Errors
/// Where the machine cannot be read, or nothing be said.
pub fn run(request: &Request, told: Told, preview: &dyn Fn(&Expected) -> Result<()>) -> Result<u8> {
    let _lock = lock::take(request)?;
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
    preview: &dyn Fn(&Expected) -> Result<()>,
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
        Some(name) => table::named(name).ok_or_else(|| unknown(&facts, &request.words))?,
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
        Program::Other(name) => {
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
    preview: &dyn Fn(&Expected) -> Result<()>,
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
    let plan = Plan::new(request, old, row, &change)?;
    if plan.is_done()? {
        told.line("this is set up already")?;
        return told.end(Ending::Nothing);
    }
    for ((path, content), (_, was)) in plan.writes.iter().zip(&plan.was) {
        told.file(path, was.as_deref(), content.as_deref())?;
    }
    for invocation in &plan.run {
        told.run(invocation)?;
    }
    for note in &change.notes {
        told.note(note)?;
    }
    if !told.json() {
        preview(&plan.next_boot()?)?;
    }
    if request.dry_run {
        return told.end(Ending::DryRun);
    }
    match ask::whether("Do this?", request, &told)? {
        Answered::Yes => {}
        Answered::No => {
            told.line("nothing is written")?;
            return told.end(Ending::Declined);
        }
        Answered::Nobody => return told.end(Ending::Unasked),
    }
    match plan.perform(&view) {
        Ok(without) => {
            for entry in without {
                told.note(&format!("the entry `{entry}` is without the words"))?;
            }
            if let Some(fault) = plan.image_fault() {
                told.note(&fault)?;
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

fn afterwards(told: &mut Told, request: &Request, plan: &Plan<'_>) -> Result<()> {
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
    told.sentence(&format!("After the reboot /proc/cmdline has: {words}"), 2)?;
    told.line("Then `vfio-bind status` says what was done.")?;
    told.line(
        "To undo it: vfio-bind setup --undo; for one boot, type vfio.bind=off in the boot menu.",
    )
}
