//! Records as lines of a console that others write to as well.
//!
//! A record is JSON, cut into parts that fit a line of the kernel log:
//! `vfio-test[SEQUENCE PART/PARTS BYTES] TEXT`. The host demands every part of every sequence
//! number from 0 on, each with its announced length: a line that was lost, cut or mixed with
//! another is an error, never a shorter truth.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Error as JsonError;

use crate::protocol::Seen;

/// Starts every line of the channel.
const MARK: &str = "vfio-test[";
/// The kernel cuts what is written to `/dev/kmsg` at a little under 1024 bytes.
const PART_BYTES: usize = 850;

/// The lines that carry `record`.
///
/// # Errors
/// Where the record cannot be put as JSON.
pub fn encode(sequence: usize, record: &Seen) -> Result<Vec<String>, JsonError> {
    let text = ascii(&serde_json::to_string(record)?);
    let parts = text.len().div_ceil(PART_BYTES);
    let lines = (0..parts).map(|part| {
        let end = text.len().min((part + 1) * PART_BYTES);
        let piece = &text[part * PART_BYTES..end];
        format!(
            "{MARK}{sequence} {}/{parts} {}] {piece}",
            part + 1,
            piece.len()
        )
    });
    Ok(lines.collect())
}

/// JSON with every other character escaped, so that parts can be cut anywhere and no console
/// encoding matters.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// Why a console does not hold a whole list of records.
#[derive(Debug, PartialEq, Eq)]
pub enum WireError {
    /// A line of the channel whose text is not as long as it says.
    Damaged {
        /// The line as found.
        line: String,
    },
    /// A part that never came, or came twice.
    Part {
        /// The record.
        sequence: usize,
        /// The part of it, from 1.
        part: usize,
        /// How often it came.
        times: usize,
    },
    /// A whole record that is no [`Seen`].
    Unreadable {
        /// The record.
        sequence: usize,
        /// What is wrong with it.
        error: String,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { line } => write!(f, "a line of the channel is damaged: `{line}`"),
            Self::Part {
                sequence,
                part,
                times,
            } => {
                write!(
                    f,
                    "part {part} of record {sequence} came {times} times, not once"
                )
            }
            Self::Unreadable { sequence, error } => {
                write!(f, "record {sequence} cannot be read: {error}")
            }
        }
    }
}

impl std::error::Error for WireError {}

/// What a console's text holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The records in order, up to the first that is not whole.
    pub records: Vec<Seen>,
    /// Why there are no more of them, where that is not the end of the text.
    pub error: Option<WireError>,
}

/// Finds the records in a console's text; whatever else the console shows is passed over.
#[must_use]
pub fn decode(console: &str) -> Decoded {
    let mut decoded = Decoded {
        records: Vec::new(),
        error: None,
    };
    let found = collect(console).unwrap_or_else(|error| {
        decoded.error = Some(error);
        BTreeMap::new()
    });
    let count = found.last_key_value().map_or(0, |(last, _)| last + 1);
    for sequence in 0..count {
        match assemble(sequence, found.get(&sequence)) {
            Ok(record) => decoded.records.push(record),
            Err(error) => {
                decoded.error = Some(error);
                break;
            }
        }
    }
    decoded
}

/// The parts of one record: how many there should be, and what came for each number.
type Parts<'a> = (usize, BTreeMap<usize, Vec<&'a str>>);

/// Sorts the channel's lines by record and part.
fn collect(console: &str) -> Result<BTreeMap<usize, Parts<'_>>, WireError> {
    let mut records: BTreeMap<usize, Parts<'_>> = BTreeMap::new();
    for line in console.lines() {
        let Some(at) = line.find(MARK) else { continue };
        let damaged = || WireError::Damaged {
            line: line.to_owned(),
        };
        let part = Part::parse(&line[at + MARK.len()..]).ok_or_else(damaged)?;
        let (parts, pieces) = records
            .entry(part.sequence)
            .or_insert((part.parts, BTreeMap::new()));
        if *parts != part.parts {
            return Err(damaged());
        }
        pieces.entry(part.number).or_default().push(part.text);
    }
    Ok(records)
}

/// Joins the parts of one record.
fn assemble(sequence: usize, found: Option<&Parts<'_>>) -> Result<Seen, WireError> {
    let Some((parts, pieces)) = found else {
        return Err(WireError::Part {
            sequence,
            part: 1,
            times: 0,
        });
    };
    let mut text = String::new();
    for part in 1..=*parts {
        match pieces.get(&part).map_or(&[][..], Vec::as_slice) {
            [piece] => text.push_str(piece),
            other => {
                return Err(WireError::Part {
                    sequence,
                    part,
                    times: other.len(),
                });
            }
        }
    }
    serde_json::from_str(&text).map_err(|error| WireError::Unreadable {
        sequence,
        error: error.to_string(),
    })
}

/// One line of the channel.
struct Part<'a> {
    sequence: usize,
    number: usize,
    parts: usize,
    text: &'a str,
}

impl<'a> Part<'a> {
    /// Reads what follows the mark.
    fn parse(line: &'a str) -> Option<Self> {
        let (head, text) = line.split_once("] ")?;
        let (sequence, rest) = head.split_once(' ')?;
        let (place, length) = rest.split_once(' ')?;
        let (number, parts) = place.split_once('/')?;
        // A serial console ends its lines with a carriage return as well.
        let text = text.trim_end_matches('\r');
        let part = Self {
            sequence: sequence.parse().ok()?,
            number: number.parse().ok()?,
            parts: parts.parse().ok()?,
            text,
        };
        (length.parse() == Ok(text.len())).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Verdict;

    fn verdict(broken: &str) -> Seen {
        Seen::Verdict(Verdict {
            scenario: "a".to_owned(),
            broken: broken.to_owned(),
        })
    }

    fn console(lines: &[String]) -> String {
        lines
            .iter()
            .map(|line| format!("[    1.5] {line}\r\n"))
            .collect()
    }

    #[test]
    fn a_long_record_with_any_text_survives_noise() {
        let records = [
            verdict(&"é\u{1f600}\"\\\n".repeat(500)),
            Seen::Booted("6.1".to_owned()),
        ];
        let mut lines = Vec::new();
        for (sequence, record) in records.iter().enumerate() {
            lines.extend(encode(sequence, record).unwrap());
        }
        assert!(lines.len() > 3);
        assert!(lines.iter().all(|line| line.is_ascii() && line.len() < 900));
        let noisy = console(&lines).replace("[    1.5]", "usb 1-1: new device\r\n[    1.5]");
        assert_eq!(
            decode(&noisy),
            Decoded {
                records: records.to_vec(),
                error: None
            }
        );
    }

    #[test]
    fn nothing_is_no_record() {
        let decoded = decode("SeaBIOS\r\nLinux version\r\n");
        assert_eq!(
            decoded,
            Decoded {
                records: Vec::new(),
                error: None
            }
        );
    }

    #[test]
    fn what_is_not_whole_is_an_error() {
        let lines = encode(0, &verdict(&"x".repeat(2000))).unwrap();
        assert_eq!(lines.len(), 3);
        let part = |part, times| {
            Some(WireError::Part {
                sequence: 0,
                part,
                times,
            })
        };
        let lost = console(&[lines[0].clone(), lines[2].clone()]);
        assert_eq!(decode(&lost).error, part(2, 0));
        let doubled = console(&[lines.clone(), lines.clone()].concat());
        assert_eq!(decode(&doubled).error, part(1, 2));
        let mixed = console(&lines).replacen("xxx", "xx[ 2.0] eth0: up", 1);
        assert!(matches!(
            decode(&mixed).error,
            Some(WireError::Damaged { .. })
        ));
        let later = console(&encode(1, &verdict("")).unwrap());
        assert_eq!(decode(&later).error, part(1, 0));
    }

    #[test]
    fn what_came_before_an_unreadable_record_is_kept() {
        let first = Seen::Booted("6.1".to_owned());
        let strange = "vfio-test[1 1/1 12] {\"Moon\":\"x\"}";
        let decoded = decode(&format!("{}\n{strange}\n", encode(0, &first).unwrap()[0]));
        assert_eq!(decoded.records, [first]);
        assert!(matches!(
            decoded.error,
            Some(WireError::Unreadable { sequence: 1, .. })
        ));
    }
}
