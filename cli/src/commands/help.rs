//! What there is to read: of a command, and of a thing that one has to know.

use std::fmt::Write as _;

use crate::terminal::{self, Screen, Tone};
use crate::topics::{TOPICS, about, paragraphs, title};
use anyhow::{Result, bail};
use clap::{Args, Command};
use vfio_bind_agent::record::EXIT_DONE;

/// Tell about a command, or about something one has to know: `help groups`.
#[derive(Debug, Args)]
pub struct Options {
    /// A command, or a topic: groups, iommu, words, guest, undo.
    #[arg(value_name = "COMMAND|TOPIC")]
    name: Option<String>,
}

impl Options {
    /// Does what they say, where `program` is the whole command line; gives the exit status.
    ///
    /// # Errors
    /// Where there is nothing of that name, or nothing can be written.
    pub fn run(self, mut program: Command) -> Result<u8> {
        let text = match self.name.as_deref() {
            None => overview(&mut program),
            Some(name) => match about(name) {
                Some(text) => shown(text, Screen::of_output()),
                None => of_command(&mut program, name)?,
            },
        };
        terminal::write(&text)?;
        Ok(EXIT_DONE)
    }
}

fn overview(program: &mut Command) -> String {
    let screen = Screen::of_output();
    let mut text = program.render_help().to_string();
    // A string takes everything.
    let _ = writeln!(
        text,
        "\n{}",
        screen.paint(Tone::Strong, "Topics (vfio-bind help TOPIC):")
    );
    for (name, topic) in TOPICS {
        let _ = writeln!(text, "  {name:<9}  {}", title(topic));
    }
    text
}

fn of_command(program: &mut Command, name: &str) -> Result<String> {
    // So that the usage names the program, too.
    program.build();
    match program.find_subcommand_mut(name) {
        Some(command) => Ok(command.render_long_help().to_string()),
        None => {
            let topics: Vec<_> = TOPICS.iter().map(|(topic, _)| *topic).collect();
            bail!(
                "there is neither a command nor a topic `{name}`; the topics are {}, and `vfio-bind help` lists the \
                 commands",
                topics.join(", ")
            )
        }
    }
}

/// A topic as wide as the screen, and no wider than reads well.
fn shown(text: &str, screen: Screen) -> String {
    let screen = Screen {
        width: Some(screen.width.unwrap_or(80).min(88)),
        ..screen
    };
    let mut out = String::new();
    for (number, paragraph) in paragraphs(text).enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for line in paragraph.lines() {
            let line = match number {
                0 => screen.paint(Tone::Strong, line),
                _ => screen.wrap(line, hanging(line)),
            };
            out.extend([line.as_str(), "\n"]);
        }
    }
    out
}

/// Where the second line of an example begins: below what its first one says behind the command.
fn hanging(line: &str) -> usize {
    let text = line.trim_start();
    let before = line.len() - text.len();
    match text.rfind("  ") {
        Some(gap) if before > 0 => before + gap + 2,
        _ => before,
    }
}
