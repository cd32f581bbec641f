//! Setting words: all that is to be done for it, and doing it.

use std::path::Path;

use anyhow::{Context, Result};

use super::base::{self, Content};
use super::manifest::{self, Kept, Manifest, State, Written};
use super::read_back;
use super::request::{Action, Request};
use super::transaction::{Done, Steps};
use crate::image::{self, Builder, Look};
use crate::loader::change::{BootLine, Change, Invocation};
use crate::loader::entry;
use crate::loader::line;
use crate::loader::table::Row;
use crate::loader::view::View;
use crate::preview::known;

/// A boot that is to be expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its kernel command line.
    pub line: String,
    /// Whether its image is built by then.
    pub new_image: bool,
}

/// All that is to be done, and the machine before it.
pub struct Plan<'p> {
    request: &'p Request,
    /// What setup did before.
    old: Option<&'p Manifest>,
    row: &'static Row,
    change: &'p Change,
    /// What boots have now.
    lines: Vec<BootLine>,
    /// The files to be written, or removed.
    pub writes: Vec<Content>,
    /// The same as they are.
    pub was: Vec<Content>,
    /// What is run behind that.
    pub run: Vec<Invocation>,
    /// Whether that builds the image anew, which is without the agent.
    builds: bool,
    back: Vec<Invocation>,
    /// Every file that a program may write, as it is.
    kept: Vec<Content>,
}

impl<'p> Plan<'p> {
    /// What is to be done for a change.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn new(
        request: &'p Request,
        old: Option<&'p Manifest>,
        row: &'static Row,
        change: &'p Change,
    ) -> Result<Self> {
        let root = &request.root;
        let files = change.files.iter();
        let mut targets: Vec<Content> = files
            .map(|file| (file.path.clone(), Some(file.with.clone())))
            .collect();
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
            let all =
                |list: &[Vec<String>]| list.iter().cloned().map(Invocation).collect::<Vec<_>>();
            let mut unset = all(&old.unset);
            // Another boot loader may have taken its place.
            unset.retain(|run| request.tools.has(run));
            if unset != change.set {
                run.extend(unset);
                back.extend(all(&old.set));
            }
            kept.extend(old.kept.iter().map(|kept| kept.path.clone()));
            kept.sort_unstable();
            kept.dedup();
        }
        run.extend(change.set.clone());
        let build = build(request).filter(|build| !run.contains(build));
        let builds = build.is_some();
        // What a boot loader's tool copies has the agent by then.
        run.splice(0..0, build);
        let now = base::contents(root, targets.iter().map(|(path, _)| path.as_str()))?;
        let pairs = targets.into_iter().zip(now);
        let (writes, was) = pairs.filter(|(target, now)| target != now).unzip();
        Ok(Self {
            request,
            old,
            row,
            change,
            // What cannot be read now is looked for when it is made.
            lines: read_back::lines(root, row).unwrap_or_default(),
            writes,
            was,
            run,
            builds,
            back,
            kept: base::contents(root, kept.iter().map(String::as_str))?,
        })
    }

    fn once(&self) -> bool {
        self.request.action == Action::Try
    }

    /// Whether all of it is there already.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn is_done(&self) -> Result<bool> {
        // What is to be started once is forgotten when it was: it is asked for anew.
        let is_kept = |old: &&Manifest| old.state == State::Set && !old.once;
        let Some(old) = self.old.filter(is_kept).filter(|_| !self.builds) else {
            return Ok(false);
        };
        let words = &self.request.words;
        let same = old.loader == self.row.name && old.words == *words && old.once == self.once();
        let files = old.files.len() == self.change.files.len() && self.writes.is_empty();
        // What programs write is seen in the entries alone.
        let there = self
            .lines
            .first()
            .is_none_or(|first| line::has(&first.line, words));
        Ok(same && files && (there || !self.change.files.is_empty()))
    }

    /// What of the image that was built anew keeps the words from having an effect.
    #[must_use]
    pub fn image_fault(&self) -> Option<String> {
        if !self.builds || !self.request.tools.run_all(&self.run) {
            return None;
        }
        match image::look(&self.request.root) {
            Look::Read(image) if image.contents.agent => None,
            Look::Read(image) => Some(format!(
                "{} was built anew and is without the agent all the same: nothing will be bound; docs/install.md says \
                 what its tool wants set",
                image.path.display()
            )),
            Look::Absent(why) => Some(why),
            Look::Unread { path, error } => Some(format!("{}: {error:#}", path.display())),
        }
    }

    /// The boot that is to be expected.
    ///
    /// # Errors
    /// Where the kernel command line of this one cannot be read.
    pub fn next_boot(&self) -> Result<Expected> {
        let running = View::new(&self.request.root)
            .text("proc/cmdline")?
            .unwrap_or_default();
        let first = self.lines.first().map(|first| first.line.trim());
        let before = first
            .filter(|line| entry::rooted(line))
            .unwrap_or(running.trim());
        let mut gone = self.request.words.clone();
        gone.extend(self.old.iter().flat_map(|old| old.words.clone()));
        let builder = Builder::of(&self.request.root).and_then(|builder| builder.all.first());
        let is_builder = |run: &Invocation| builder.is_some_and(|name| *name == run.program());
        Ok(Expected {
            line: format!(
                "{} {}",
                line::without(before, &gone),
                self.request.words.join(" ")
            ),
            new_image: self.run.iter().any(is_builder),
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

    /// Does it, and reads back; `view` is the machine without what setup did before. Gives the entries that are
    /// without the words.
    ///
    /// # Errors
    /// Where a step fails: then everything is as it was before, or the error says what is not.
    pub fn perform(&self, view: &View<'_>) -> Result<Vec<String>> {
        let (root, tools) = (&self.request.root, &self.request.tools);
        let mut manifest = Manifest::new(self.row.name, &self.request.words, self.once());
        manifest.set = self.change.set.iter().map(|run| run.0.clone()).collect();
        manifest.unset = self.change.unset.iter().map(|run| run.0.clone()).collect();
        manifest.owners.clone_from(&self.change.owners);
        let noted = note(root, view, self.change, &mut manifest);
        let own = manifest.files.len();
        if let Some(old) = self.old {
            // Until they are taken back they are to be undone, too.
            let others = old.files.iter().filter(|file| {
                let again = self
                    .change
                    .files
                    .iter()
                    .any(|other| other.path == file.path);
                !again
            });
            manifest.files.extend(others.cloned());
            manifest.directories.clone_from(&old.directories);
        }
        if let Err(error) = noted.and_then(|()| manifest.write(root)) {
            manifest.files.truncate(own);
            give_up(root, self.old, &manifest);
            return Err(error.context("nothing is changed, for what undoes it could not be kept"));
        }
        let mut done = Done::default();
        let before = manifest.directories.clone();
        let taken = self
            .steps()
            .take(root, tools, &mut done, &mut |done, count| {
                manifest.done = count;
                let made = done
                    .directories
                    .iter()
                    .filter_map(|path| path.strip_prefix(root).ok());
                let made = made.filter_map(|path| Some(path.to_str()?.to_owned()));
                manifest.directories = before.iter().cloned().chain(made).collect();
                manifest.write(root)
            });
        let worked = taken.and_then(|()| {
            let without = self.read_back()?;
            manifest.files.truncate(own);
            self.settle(&mut manifest)?;
            Ok(without)
        });
        match worked {
            Ok(without) => {
                if let Some(old) = self.old {
                    old.remove_backups(root);
                }
                Ok(without)
            }
            Err(error) => {
                let faults = self.steps().take_back(root, tools, &done);
                if faults.is_empty() {
                    manifest.files.truncate(own);
                    give_up(root, self.old, &manifest);
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

    /// Notes what programs made, and that all is done.
    fn settle(&self, manifest: &mut Manifest) -> Result<()> {
        let root = &self.request.root;
        if self.request.tools.run_all(&self.run) {
            for kept in &mut manifest.kept {
                kept.after = match known::read(&root.join(&kept.path))? {
                    Some(after) => Some(manifest::keep(root, &kept.path, "after", &after)?),
                    None => None,
                };
            }
        }
        manifest.state = State::Set;
        manifest.write(root)
    }

    fn read_back(&self) -> Result<Vec<String>> {
        let (root, tools, words) = (&self.request.root, &self.request.tools, &self.request.words);
        if self.once() || !tools.run_all(&self.run) {
            return Ok(Vec::new());
        }
        let after = read_back::lines(root, self.row)?;
        let without = read_back::check(&self.lines, &after, words).context("reading back")?;
        if let Some(ask) = &self.change.ask {
            read_back::ask(root, tools, ask, words).context("reading back")?;
        }
        Ok(without)
    }
}

/// What builds the images anew, where that of the next boot was read and has no agent, and would get one.
fn build(request: &Request) -> Option<Invocation> {
    let builder = Builder::of(&request.root).filter(|builder| builder.knows_us(&request.root))?;
    let words = builder.all.iter().map(|&word| word.to_owned()).collect();
    let build = Invocation(words);
    if builder.all.is_empty() || !request.tools.has(&build) {
        return None;
    }
    // Last, for all of the image is unpacked.
    match image::look(&request.root) {
        Look::Read(image) if !image.contents.agent => Some(build),
        _ => None,
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
