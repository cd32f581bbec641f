//! Output for people and for programs.
//!
//! [`Screen`] is what the output goes to, [`table`] puts words into columns, [`json`] is for programs. Colour never
//! tells anything alone: it goes over words that say the same.

pub mod json;
pub mod table;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use rustix::termios::tcgetwinsize;

/// What is narrower is given long lines all the same.
const NARROWEST: u16 = 40;

/// Where the output goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Its columns; none where lines may be as long as they like, as in a pipe.
    pub width: Option<u16>,
    /// Whether it shows colours and its user wants them.
    pub colour: bool,
}

impl Screen {
    /// Standard output. `COLUMNS` says how wide a terminal is that does not say it itself; `NO_COLOR` and
    /// `TERM=dumb` are without colour.
    #[must_use]
    pub fn of_output() -> Self {
        let out = io::stdout();
        if !out.is_terminal() {
            return Self {
                width: None,
                colour: is_coloured(),
            };
        }
        let own = tcgetwinsize(&out).map_or(0, |size| size.ws_col);
        let told = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = match own {
            0 => told().unwrap_or(80),
            own => own,
        };
        Self {
            width: Some(width.max(NARROWEST)),
            colour: is_coloured(),
        }
    }

    /// A word in a tone; the same word where there is no colour.
    #[must_use]
    pub fn paint(self, tone: Tone, word: &str) -> String {
        if !self.colour {
            return word.to_owned();
        }
        let style = tone.style();
        format!("{style}{word}{style:#}")
    }

    /// A text in lines that fit, the second and later ones behind `indent` blanks.
    #[must_use]
    pub fn wrap(self, text: &str, indent: usize) -> String {
        let Some(width) = self.width else {
            return text.to_owned();
        };
        let blanks = " ".repeat(indent);
        let options = textwrap::Options::new(usize::from(width))
            .subsequent_indent(&blanks)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .word_separator(textwrap::WordSeparator::AsciiSpace);
        textwrap::fill(text, options)
    }
}

fn is_coloured() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// What a word means, for eyes that see colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Not as it should be.
    Bad,
    /// Beside the point.
    Faint,
    /// A heading.
    Strong,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }

    const ALL: [Self; 5] = [
        Self::Good,
        Self::Warning,
        Self::Bad,
        Self::Faint,
        Self::Strong,
    ];

    /// What begins and ends them on a terminal, none behind one that it begins with.
    fn marks() -> Vec<String> {
        let end = format!("{:#}", Self::Strong.style());
        let begins = Self::ALL.map(|tone| tone.style().to_string());
        begins.into_iter().chain([end]).collect()
    }
}

/// Writes a text to standard output, without what would drive a terminal. A reader that has seen enough, as `head`, is
/// no error.
///
/// # Errors
/// What the write answered.
pub fn write(text: &str) -> Result<()> {
    let text = harmless(text, is_coloured());
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write(standard output)"),
    }
}

/// Tells something in a line on standard error, without what would drive a terminal.
pub fn tell(line: fmt::Arguments<'_>) {
    eprintln!("{}", harmless(&line.to_string(), false));
}

/// A text that may hold anything of the system, without what would move a cursor or hide a word: what a device, a disk
/// or a captured tree says of itself. Ends of lines and tabs stay, and the tones of [`Screen::paint`] where there is
/// `colour`.
#[must_use]
pub fn harmless(text: &str, colour: bool) -> Cow<'_, str> {
    let drives = |letter: char| !matches!(letter, '\n' | '\t') && is_hidden(letter);
    if !text.contains(drives) {
        return Cow::Borrowed(text);
    }
    let marks = if colour { Tone::marks() } else { Vec::new() };
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let mark = marks.iter().find(|mark| rest.starts_with(mark.as_str()));
        let length = mark.map_or(letter.len_utf8(), String::len);
        match drives(letter) && mark.is_none() {
            true => shown.push(' '),
            false => shown.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    Cow::Owned(shown)
}

/// A text of the system without what would move a cursor or end a line.
#[must_use]
pub fn one_line(text: &str) -> String {
    visible(text).trim().to_owned()
}

/// The same with the blanks at its ends.
#[must_use]
pub fn visible(text: &str) -> String {
    text.replace(is_hidden, " ")
}

fn is_hidden(letter: char) -> bool {
    letter.is_control() || is_format(letter)
}

/// Letters without a shape of their own that order or join others (Unicode's category Cf, in what names have of it).
fn is_format(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_coloured_only_where_that_is_seen() {
        let plain = Screen::default();
        assert_eq!(plain.paint(Tone::Bad, "FAIL"), "FAIL");
        let colour = Screen {
            colour: true,
            ..plain
        };
        let painted = colour.paint(Tone::Bad, "FAIL");
        assert!(
            painted.starts_with("\u{1b}[") && painted.contains("FAIL"),
            "{painted:?}"
        );
    }

    #[test]
    fn lines_fit_and_long_words_stay_whole() {
        let screen = Screen {
            width: Some(40),
            colour: false,
        };
        let text =
            "a path that is not cut: /sys/bus/pci/devices/0000:42:00.0/driver_override is one word";
        let lines = screen.wrap(text, 4);
        assert!(lines.contains("\n    "), "{lines}");
        assert!(
            lines.contains("/sys/bus/pci/devices/0000:42:00.0/driver_override"),
            "{lines}"
        );
        assert_eq!(Screen::default().wrap(text, 4), text);
    }

    #[test]
    fn what_a_device_calls_itself_moves_no_cursor() {
        assert_eq!(one_line("a\u{1b}[2Jb\n\u{202e}c "), "a [2Jb  c");
    }

    #[test]
    fn what_is_written_drives_no_terminal_but_for_the_tones() {
        let colour = Screen {
            width: None,
            colour: true,
        };
        for tone in Tone::ALL {
            let painted = colour.paint(tone, "word");
            assert_eq!(harmless(&painted, true), painted, "{tone:?}");
            assert!(!harmless(&painted, false).contains('\u{1b}'), "{tone:?}");
        }
        // Hidden, a cursor that moves, a title, the same in one letter, a line over another.
        for bad in [
            "\u{1b}[8m",
            "\u{1b}[2J",
            "\u{1b}]0;x\u{7}",
            "\u{9b}2J",
            "\r",
            "\u{8}",
            "\u{202e}",
        ] {
            for shown in [harmless(bad, true), harmless(bad, false)] {
                assert!(!shown.contains(is_hidden), "{bad:?}: {shown:?}");
            }
        }
        assert_eq!(harmless("a\tb\n", false), "a\tb\n");
    }
}
