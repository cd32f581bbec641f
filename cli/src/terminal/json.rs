//! Output for programs.

use anyhow::{Context, Result};
use serde::Serialize;

/// What every object begins with.
#[derive(Serialize)]
struct Told<'t, T> {
    schema: &'t str,
    #[serde(flatten)]
    rest: &'t T,
}

/// Writes one object to standard output, as docs/schema describes it: what `value` has, behind the name of
/// its schema, such as `vfio-bind list 1`.
///
/// # Errors
/// Where it is no object, or what the write answered.
pub fn write(command: &str, value: &impl Serialize) -> Result<()> {
    super::write(&text(command, value)?)
}

/// The same as a text.
///
/// # Errors
/// Where it is no object.
pub fn text(command: &str, value: &impl Serialize) -> Result<String> {
    let schema = format!("vfio-bind {command} 1");
    let told = Told {
        schema: &schema,
        rest: value,
    };
    let text = serde_json::to_string_pretty(&told).context("JSON")?;
    Ok(escaped(&text) + "\n")
}

/// The same object with all that would drive a terminal as `\uNNNN`: JSON leaves much of it as it is. Such letters are
/// in strings only, and none of them is beyond four digits.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter != '\n' && super::is_hidden(letter) {
            true => text += &format!("\\u{:04x}", u32::from(letter)),
            false => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_says_first_what_it_is() {
        #[derive(Serialize)]
        struct One {
            number: u8,
        }
        let text = text("list", &One { number: 1 }).unwrap();
        assert_eq!(
            text,
            "{\n  \"schema\": \"vfio-bind list 1\",\n  \"number\": 1\n}\n"
        );
    }

    #[test]
    fn strings_drive_no_terminal_and_lose_nothing() {
        #[derive(Serialize)]
        struct One {
            name: &'static str,
        }
        const NAME: &str = "a\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\n";
        let text = text("list", &One { name: NAME }).unwrap();
        assert!(
            !text.replace('\n', "").contains(super::super::is_hidden),
            "{text:?}"
        );
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["name"], NAME);
    }
}
