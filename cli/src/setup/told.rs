//! What setup says: lines for people, or one JSON object.

use anyhow::Result;
use serde::Serialize;
use similar::TextDiff;

use crate::loader::change::{ByHand, Invocation, Stop};
use crate::terminal::{self, Screen, Tone, json};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// As asked.
    Done,
    /// It was so already, or there is nothing to undo.
    Nothing,
    /// Shown, and not done.
    DryRun,
    /// Nobody could be asked.
    Unasked,
    /// The answer was no.
    Declined,
    /// Its owner must do it.
    ByHand,
    /// A step failed, and all is as it was.
    Failed,
}

/// A file, and what becomes of it.
#[derive(Clone, Debug, Serialize)]
pub struct FileTold {
    /// Its path.
    path: String,
    /// The difference, in the unified form.
    difference: String,
}

/// All of it, as `--json` has it.
#[derive(Clone, Debug, Serialize)]
struct Object {
    action: &'static str,
    ending: Ending,
    loader: Option<String>,
    words: Vec<String>,
    files: Vec<FileTold>,
    run: Vec<Vec<String>>,
    notes: Vec<String>,
    reason: Option<String>,
    by_hand: Vec<String>,
}

/// What is said, as it comes.
#[derive(Debug)]
pub struct Told {
    json: bool,
    screen: Screen,
    object: Object,
}

impl Told {
    /// Of an action: `set`, `undo`, `try` or `keep`.
    #[must_use]
    pub fn new(action: &'static str, json: bool) -> Self {
        Self {
            json,
            screen: Screen::of_output(),
            object: Object {
                action,
                ending: Ending::Nothing,
                loader: None,
                words: Vec::new(),
                files: Vec::new(),
                run: Vec::new(),
                notes: Vec::new(),
                reason: None,
                by_hand: Vec::new(),
            },
        }
    }

    /// Whether it is for programs.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// A line for people alone.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn line(&self, text: &str) -> Result<()> {
        if self.json {
            return Ok(());
        }
        terminal::write(&format!("{text}\n"))
    }

    /// The same in lines that fit the terminal.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn sentence(&self, text: &str, indent: usize) -> Result<()> {
        self.line(&self.screen.wrap(text, indent))
    }

    /// The boot loader, and the words.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn loader(&mut self, name: &str, about: &str, words: &[String]) -> Result<()> {
        self.object.loader = Some(name.to_owned());
        self.object.words = words.to_owned();
        self.sentence(&format!("boot loader: {name} ({about})"), 2)?;
        self.sentence(&format!("words: {}", words.join(" ")), 7)
    }

    /// What becomes of a file.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn file(&mut self, path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<()> {
        let difference = difference(path, old, new);
        let lines = difference
            .lines()
            .map(|line| match line.as_bytes().first() {
                Some(b'+') => self.screen.paint(Tone::Good, line),
                Some(b'-') => self.screen.paint(Tone::Bad, line),
                _ => line.to_owned(),
            });
        self.line(&lines.collect::<Vec<_>>().join("\n"))?;
        self.object.files.push(FileTold {
            path: format!("/{path}"),
            difference,
        });
        Ok(())
    }

    /// A program that is run.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn run(&mut self, invocation: &Invocation) -> Result<()> {
        self.object.run.push(invocation.0.clone());
        self.line(&format!("run: {invocation}"))
    }

    /// Something to know.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn note(&mut self, text: &str) -> Result<()> {
        self.object.notes.push(text.to_owned());
        self.sentence(&format!("note: {text}"), 6)
    }

    /// Why nothing is written, and what to do.
    pub fn by_hand(&mut self, by_hand: &ByHand) {
        self.object.reason = Some(by_hand.reason.clone());
        self.object.by_hand.clone_from(&by_hand.steps);
        if !self.json {
            let reason = format!("vfio-bind: nothing is written: {}", by_hand.reason);
            terminal::tell(format_args!("{}", self.screen.wrap(&reason, 2)));
            // What is to be copied stays in one line.
            for step in &by_hand.steps {
                terminal::tell(format_args!("  {step}"));
            }
        }
    }

    /// Why it failed.
    pub fn failed(&mut self, reason: &str) {
        self.object.reason = Some(reason.to_owned());
        if !self.json {
            terminal::tell(format_args!(
                "{}",
                self.screen.wrap(&format!("vfio-bind: {reason}"), 2)
            ));
        }
    }

    /// The end of it.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn end(mut self, ending: Ending) -> Result<u8> {
        self.object.ending = ending;
        if self.json {
            json::write("setup", &self.object)?;
        }
        Ok(match ending {
            Ending::Done | Ending::Nothing | Ending::DryRun => 0,
            Ending::Declined | Ending::ByHand | Ending::Failed => 1,
            Ending::Unasked => 2,
        })
    }
}

/// Says why nothing is done.
///
/// # Errors
/// Where the system did not answer.
pub fn stopped(mut told: Told, stop: Stop) -> Result<u8> {
    match stop {
        Stop::ByHand(by_hand) => {
            told.by_hand(&by_hand);
            told.end(Ending::ByHand)
        }
        Stop::Failed(error) => Err(error),
    }
}

/// The difference between two texts of a file, in the unified form.
fn difference(path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> String {
    let text = |side: Option<&[u8]>| String::from_utf8_lossy(side.unwrap_or_default()).into_owned();
    let name = |side: Option<&[u8]>| match side {
        Some(_) => format!("/{path}"),
        None => "/dev/null".to_owned(),
    };
    let (old_text, new_text) = (text(old), text(new));
    let diff = TextDiff::from_lines(&old_text, &new_text);
    let mut unified = diff.unified_diff();
    unified
        .context_radius(2)
        .header(&name(old), &name(new))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_the_end_of_a_file_without_a_newline() {
        let told = difference("a", Some(b"x\ny"), Some(b"x\ny\nz\n"));
        assert!(told.starts_with("--- /a\n+++ /a\n"), "{told}");
        assert!(
            told.contains("\n-y\n\\ No newline at end of file\n+y\n+z\n"),
            "{told}"
        );
        let made = difference("a", None, Some(b"x\n"));
        assert!(made.contains("--- /dev/null\n+++ /a\n"), "{made}");
    }
}
