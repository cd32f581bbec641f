//! Every message of a run, in the order in which they were sent, whichever stage sent them.

use heapless::Vec;
use log::Level;

use crate::text::Plain;

/// The most bytes of messages that are kept, with two more for each and what it is about. A run that binds
/// 300 functions has half as many. Those beyond are counted.
pub const JOURNAL_LEN: usize = 64 * 1024;

/// Ends each part of an entry. No message has it: what comes from outside shows control characters by their
/// numbers.
const END: u8 = 0;

/// The messages.
pub struct Journal {
    /// For each: a letter for the level, what it is about, [`END`], its text, [`END`].
    entries: Vec<u8, JOURNAL_LEN>,
    more: usize,
}

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// How much it matters.
    pub level: Level,
    /// The function, the group, the file or the word that it is about; empty where it is the run.
    pub about: &'a [u8],
    /// As it stands in the kernel log.
    pub text: &'a [u8],
}

impl Journal {
    /// Without a message.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            more: 0,
        }
    }

    /// Adds a message, or counts it where it does not fit. None is added behind one that was counted, so
    /// that nothing is missing in between.
    pub fn add(&mut self, level: Level, about: &str, text: &str) {
        let room = self.entries.capacity().saturating_sub(self.entries.len());
        let length = about.len().saturating_add(text.len()).saturating_add(3);
        if self.more > 0 || length > room {
            self.more = self.more.saturating_add(1);
            return;
        }
        let letter = match level {
            Level::Error => "e",
            Level::Warn => "w",
            Level::Info | Level::Debug | Level::Trace => "i",
        };
        for part in [letter, about, "\0", text, "\0"] {
            // It was just seen to fit.
            let _ = self.entries.extend_from_slice(part.as_bytes());
        }
    }

    /// The messages that were kept.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let mut parts = self.entries.split(|byte| *byte == END);
        core::iter::from_fn(move || {
            let (letter, about) = parts.next()?.split_first()?;
            Some(Message {
                level: match letter {
                    b'e' => Level::Error,
                    b'w' => Level::Warn,
                    _ => Level::Info,
                },
                about,
                text: parts.next()?,
            })
        })
    }

    /// How many messages were counted only.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

/// A level as the report has it.
pub(super) fn word(level: Level) -> Plain<'static> {
    Plain(match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info | Level::Debug | Level::Trace => "info",
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::boxed::Box;
    use std::string::String;
    use std::vec::Vec;

    fn kept(journal: &Journal) -> Vec<(Level, &str, &str)> {
        let text = |bytes| core::str::from_utf8(bytes).unwrap();
        let messages = journal.messages();
        messages
            .map(|one| (one.level, text(one.about), text(one.text)))
            .collect()
    }

    #[test]
    fn messages_come_back_in_order() {
        let messages = [
            (Level::Warn, "", "about the run"),
            (Level::Error, "0000:42:00.0", "0000:42:00.0: not bound"),
            (Level::Info, "group 4", ""),
            (Level::Error, "vfio.bind=ä", "ö"),
        ];
        let mut journal = Box::new(Journal::new());
        assert_eq!(kept(&journal), []);
        for (level, about, text) in messages {
            journal.add(level, about, text);
        }
        assert_eq!((kept(&journal), journal.more()), (messages.to_vec(), 0));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_nothing_comes_behind_it() {
        let mut journal = Box::new(Journal::new());
        let long: String = "x".repeat(1000);
        let fit = JOURNAL_LEN / 1003;
        for _ in 0..fit + 5 {
            journal.add(Level::Info, "", &long);
        }
        journal.add(Level::Error, "", "short");
        assert_eq!((kept(&journal).len(), journal.more()), (fit, 6));
        assert!(kept(&journal).iter().all(|(_, _, text)| *text == long));
    }

    #[test]
    fn one_that_fits_to_the_byte_is_kept() {
        for (over, expected) in [(0, (1, 0)), (1, (0, 1))] {
            let mut journal = Box::new(Journal::new());
            journal.add(Level::Info, "", &"x".repeat(JOURNAL_LEN - 3 + over));
            assert_eq!((kept(&journal).len(), journal.more()), expected);
        }
    }
}
