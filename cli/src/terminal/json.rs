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
    Ok(text + "\n")
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
}
