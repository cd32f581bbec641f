//! Taking out what was set.

use anyhow::Result;

use super::ask::{self, Answered};
use super::base::{self, Content};
use super::files;
use super::manifest::Manifest;
use super::request::Request;
use super::told::{Ending, Told, stopped};
use super::tools::Tools;
use super::transaction::{self, Done, Steps};
use crate::loader::change::Invocation;

/// Takes out exactly what a manifest says.
///
/// # Errors
/// Where the machine cannot be read, or nothing be said.
pub fn undo(request: &Request, mut told: Told, manifest: &Manifest) -> Result<u8> {
    let root = &request.root;
    told.loader(
        &manifest.loader,
        "what setup did is taken out",
        &manifest.words,
    )?;
    let targets = match base::files(root, manifest) {
        Ok(targets) => targets,
        Err(stop) => return stopped(told, stop),
    };
    let seen = base::contents(root, manifest.kept.iter().map(|kept| kept.path.as_str()))?;
    let mut targets = targets;
    if request.tools == Tools::Told {
        targets.extend(base::kept(root, manifest, &seen)?);
    }
    let now = base::contents(root, targets.iter().map(|(path, _)| path.as_str()))?;
    let pairs = targets.into_iter().zip(now);
    let (writes, was): (Vec<Content>, Vec<Content>) =
        pairs.filter(|(target, now)| target != now).unzip();
    let all = manifest.unset.iter().cloned().map(Invocation);
    let (run, gone): (Vec<_>, Vec<_>) = all.partition(|invocation| request.tools.has(invocation));
    for ((path, content), (_, was)) in writes.iter().zip(&was) {
        told.file(path, was.as_deref(), content.as_deref())?;
    }
    for invocation in &run {
        told.run(invocation)?;
    }
    for invocation in &gone {
        told.note(&format!(
            "`{}` is not there any more, and is not run: see /proc/cmdline after the reboot",
            invocation.program()
        ))?;
    }
    if request.dry_run {
        return told.end(Ending::DryRun);
    }
    match ask::whether("Undo this?", request, &told)? {
        Answered::Yes => {}
        Answered::No => {
            told.line("nothing is written")?;
            return told.end(Ending::Declined);
        }
        Answered::Nobody => return told.end(Ending::Unasked),
    }
    let back: Vec<_> = manifest.set.iter().cloned().map(Invocation).collect();
    let steps = Steps {
        writes: &writes,
        was: &was,
        run: &run,
        back: &back,
        kept: &seen,
    };
    let mut done = Done::default();
    if let Err(error) = steps.take(root, &request.tools, &mut done, &mut |_, _| Ok(())) {
        let faults = steps.take_back(root, &request.tools, &done);
        let after = match &faults[..] {
            [] => "it is set as it was before".to_owned(),
            faults => format!("not all of it could be set again ({})", faults.join("; ")),
        };
        told.failed(&format!("a step failed, and {after}: {error:#}"));
        return told.end(Ending::Failed);
    }
    if request.tools != Tools::Told {
        for (path, content) in base::kept(root, manifest, &seen)? {
            if let Some(content) = content {
                files::write(&root.join(path), &content, 0o644)?;
            }
        }
    }
    files::remove_directories(&transaction::directories(root, manifest));
    manifest.remove(root)?;
    if !request.tools.run_all(&run) {
        told.note("the programs were not run: run them in this order, then reboot")?;
    }
    told.line("undone: the next boot is without the words")?;
    told.end(Ending::Done)
}
