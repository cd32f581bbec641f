//! How a guest has its machine changed while it runs: it says so on the console, and sees by itself when
//! it is done.
//!
//! A line is short and ends in a bracket, so that a script of an image can say it and half a line says
//! nothing. What was damaged on its way is not done, and whoever waits for it says so.

use std::fmt;

/// What starts every such line.
const MARK: &str = "vfio-plug[";

/// The one that names no card.
const WAKE: &str = "wake";

/// What a guest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The card with this name plugged in.
    Add(String),
    /// That card taken out.
    Delete(String),
    /// To be woken, once it is asleep.
    Wake,
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(card) => write!(f, "{MARK}add {card}]"),
            Self::Delete(card) => write!(f, "{MARK}delete {card}]"),
            Self::Wake => write!(f, "{MARK}{WAKE}]"),
        }
    }
}

/// What a console has asked for so far, in order.
#[must_use]
pub fn asked(console: &str) -> Vec<Ask> {
    let pieces = console.split(MARK).skip(1);
    let whole = pieces.filter_map(|piece| Some(piece.split_once(']')?.0));
    whole.filter_map(parse).collect()
}

fn parse(text: &str) -> Option<Ask> {
    if text == WAKE {
        return Some(Ask::Wake);
    }
    let (what, card) = text.split_once(' ')?;
    match what {
        "add" => Some(Ask::Add(card.to_owned())),
        "delete" => Some(Ask::Delete(card.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_once_it_is_whole() {
        let (add, delete) = (Ask::Add("nic".to_owned()), Ask::Delete("disk".to_owned()));
        let console = format!("[ 1.5] {add}\r\nusb 1-1: new\r\n[ 1.7] {delete}\r\n");
        assert_eq!(asked(&console), [add.clone(), delete]);
        let end = console.rfind(']').unwrap();
        assert_eq!(asked(&console[..end]), [add]);
        assert_eq!(asked("vfio-plug[x\r\nvfio-plug[paint it]"), []);
        assert_eq!(asked(&format!("{}\r\n", Ask::Wake)), [Ask::Wake]);
    }
}
