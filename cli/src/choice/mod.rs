//! The choice of a device on the terminal: numbered lines that are read from standard input, so that it works over a
//! serial line and in a screen reader.
//!
//! A number never stands alone: what it means is shown before it is asked for, and again, with all that goes with
//! it, before it counts.

mod offer;

use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::{Context, Result};
use vfio_bind_agent::pci::address::Address;

use crate::facts::Machine;
use crate::terminal;
use offer::{Offer, Offers};

/// Asks which devices of the system at `root` are to be lent. Gives their functions, by address; `None` where nothing
/// was chosen.
///
/// # Errors
/// Where the machine cannot be read, or nothing be read or written.
pub fn choose(
    root: &Path,
    input: impl BufRead,
    output: impl Write,
) -> Result<Option<Vec<Address>>> {
    let machine = Machine::read(root)?;
    Conversation { input, output }.choose(&machine)
}

struct Conversation<I, O> {
    input: I,
    output: O,
}

/// What was answered.
enum Answer {
    Text(String),
    End,
}

impl<I: BufRead, O: Write> Conversation<I, O> {
    fn choose(&mut self, machine: &Machine) -> Result<Option<Vec<Address>>> {
        let offers = Offers::of(machine);
        self.say(&offers.text())?;
        if offers.can.is_empty() {
            self.say("There is nothing here that can be lent.\n")?;
            return Ok(None);
        }
        loop {
            let question = "Numbers of what is to be lent, as 1 or 1,3 (nothing ends this): ";
            let numbers = match self.ask(question)? {
                Answer::End => return Ok(None),
                Answer::Text(text) if text.is_empty() => return Ok(None),
                Answer::Text(text) => text,
            };
            let chosen = match chosen(&numbers, &offers.can) {
                Ok(chosen) => chosen,
                Err(why) => {
                    self.say(&format!("{why}\n"))?;
                    continue;
                }
            };
            self.say(&offer::confirmation(machine, &chosen))?;
            match self.confirm()? {
                Some(true) => {
                    let mut functions: Vec<_> = chosen
                        .iter()
                        .flat_map(|one| one.functions.clone())
                        .collect();
                    functions.sort();
                    return Ok(Some(functions));
                }
                Some(false) => self.say(&offers.text())?,
                None => return Ok(None),
            }
        }
    }

    /// True to go on, false to choose again, none to end.
    fn confirm(&mut self) -> Result<Option<bool>> {
        loop {
            let question = "Is that what you want? yes, back (choose again), or nothing to end: ";
            match self.ask(question)? {
                Answer::End => return Ok(None),
                Answer::Text(text) => match text.to_lowercase().as_str() {
                    "" | "n" | "no" | "q" | "quit" => return Ok(None),
                    "y" | "yes" => return Ok(Some(true)),
                    "b" | "back" => return Ok(Some(false)),
                    other => {
                        self.say(&format!("`{other}`: yes or back is wanted, or nothing\n"))?
                    }
                },
            }
        }
    }

    fn say(&mut self, text: &str) -> Result<()> {
        self.output
            .write_all(terminal::harmless(text, false).as_bytes())
            .context("write(terminal)")
    }

    fn ask(&mut self, question: &str) -> Result<Answer> {
        self.say(question)?;
        self.output.flush().context("write(terminal)")?;
        let mut line = String::new();
        let read = self
            .input
            .read_line(&mut line)
            .context("read(standard input)")?;
        Ok(match read {
            0 => Answer::End,
            _ => Answer::Text(line.trim().to_owned()),
        })
    }
}

/// The devices with these numbers.
///
/// # Errors
/// Which number is none.
fn chosen<'o, 'm>(text: &str, offers: &'o [Offer<'m>]) -> Result<Vec<&'o Offer<'m>>, String> {
    let mut chosen: Vec<&Offer<'_>> = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        let number = word.parse::<usize>().ok();
        let offer = number.and_then(|number| offers.get(number.checked_sub(1)?));
        let Some(offer) = offer else {
            return Err(format!(
                "`{word}`: a number from 1 to {} is wanted",
                offers.len()
            ));
        };
        if !chosen.iter().any(|one| one.functions == offer.functions) {
            chosen.push(offer);
        }
    }
    if chosen.is_empty() {
        return Err(format!("a number from 1 to {} is wanted", offers.len()));
    }
    Ok(chosen)
}
