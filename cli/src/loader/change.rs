//! What is to be done so that a boot has some words, and so that it has them no more.

use std::fmt;

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation(pub Vec<String>);

impl Invocation {
    /// Of a program and its arguments.
    #[must_use]
    pub fn new<const N: usize>(words: [&str; N]) -> Self {
        Self(words.map(str::to_owned).into())
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

/// As a shell reads it.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-:,=/@+%".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                f.write_str(word)?;
            } else {
                write!(f, "'{}'", word.replace('\'', "'\\''"))?;
            }
        }
        Ok(())
    }
}

/// A file that is to be another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEdit {
    /// Its place below the root.
    pub path: String,
    /// What undoing leaves there; `None`: no file.
    pub without: Option<Vec<u8>>,
    /// What is to be there.
    pub with: Vec<u8>,
    /// What of `with` is ours: the words, a line, or all of it. Without it `with` is `without`, or nothing.
    pub ours: Vec<u8>,
}

impl FileEdit {
    /// A file that is ours.
    #[must_use]
    pub fn own(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            without: None,
            with: text.into(),
            ours: text.into(),
        }
    }

    /// A file that is made of a text and ours behind it, and keeps the text when ours is taken out.
    #[must_use]
    pub fn line(path: &str, text: &str, ours: &str) -> Self {
        let text = format!("{text}\n");
        Self::insert(path, text.as_bytes(), text.len() - 1, ours)
    }

    /// A text put into a file at an offset.
    #[must_use]
    pub fn insert(path: &str, text: &[u8], at: usize, ours: &str) -> Self {
        let (head, tail) = text.split_at(at.min(text.len()));
        Self {
            path: path.to_owned(),
            without: Some(text.to_owned()),
            with: [head, ours.as_bytes(), tail].concat(),
            ours: ours.into(),
        }
    }
}

/// All that is to be done, and undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The files, in the order in which they are written.
    pub files: Vec<FileEdit>,
    /// What is run when they are written.
    pub set: Vec<Invocation>,
    /// What is run when they are taken back.
    pub unset: Vec<Invocation>,
    /// What the programs write: kept as it was, and given back where undoing them does not.
    pub kept: Vec<String>,
    /// What prints the lines that will boot: `args="..."` for each entry, or one line alone. They are looked
    /// at for the words.
    pub ask: Option<Invocation>,
    /// The words that were there before, and are not ours: they stay.
    pub owners: Vec<String>,
    /// What there is to say.
    pub notes: Vec<String>,
}

impl Change {
    /// Programs alone, that set words and take them out.
    #[must_use]
    pub fn programs(set: Vec<Invocation>, unset: Vec<Invocation>) -> Self {
        Self {
            set,
            unset,
            ..Self::default()
        }
    }

    /// Files, and one program that makes of them what is booted, both ways.
    #[must_use]
    pub fn files(files: Vec<FileEdit>, run: Vec<Invocation>) -> Self {
        Self {
            files,
            unset: run.clone(),
            set: run,
            ..Self::default()
        }
    }
}

/// A line that a boot may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootLine {
    /// The entry, as its owner knows it.
    pub entry: String,
    /// The kernel command line.
    pub line: String,
}

/// Why nothing is written, and what its owner can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// Why.
    pub reason: String,
    /// What to do, a step in each.
    pub steps: Vec<String>,
}

/// What stops a change before anything is written.
#[derive(Debug)]
pub enum Stop {
    /// Its owner must do it.
    ByHand(ByHand),
    /// The system did not answer.
    Failed(anyhow::Error),
}

impl Stop {
    /// What its owner must do.
    #[must_use]
    pub fn by_hand<const N: usize>(reason: impl Into<String>, steps: [String; N]) -> Self {
        Self::ByHand(ByHand {
            reason: reason.into(),
            steps: steps.into(),
        })
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// What a boot loader has to say to some words.
pub type Answer = Result<Change, Stop>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_as_a_shell_reads_it() {
        for (words, expected) in [
            (vec!["update-grub"], "update-grub"),
            (vec!["grubby", "--args=a=b c"], "grubby '--args=a=b c'"),
            (vec!["x", "it's", ""], "x 'it'\\''s' ''"),
        ] {
            let words = words.into_iter().map(str::to_owned).collect();
            assert_eq!(Invocation(words).to_string(), expected);
        }
    }
}
