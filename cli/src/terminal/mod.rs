//! Output for people and for programs.
//!
//! [`Screen`] is what the output goes to, [`table`] puts words into columns, [`json`] is for programs. Colour never
//! tells anything alone: it goes over words that say the same.

pub mod json;
pub mod table;

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
}

/// Writes a text to standard output. A reader that has seen enough, as `head`, is no error.
///
/// # Errors
/// What the write answered.
pub fn write(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write(standard output)"),
    }
}

/// A text of the system without what would move a cursor or end a line.
#[must_use]
pub fn one_line(text: &str) -> String {
    visible(text).trim().to_owned()
}

/// The same with the blanks at its ends.
#[must_use]
pub fn visible(text: &str) -> String {
    let hidden = |letter: char| letter.is_control() || is_format(letter);
    text.replace(hidden, " ")
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
}
