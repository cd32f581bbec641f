//! Unraid's list, /boot/config/vfio-pci.cfg: `BIND=` and items with blanks between them, each an address, an ID, or
//! both with `|` in any order (its script sbin/vfio-pci and its page System Devices).

use std::path::Path;

use anyhow::Result;

use super::line::{Line, Manager, Takes};
use crate::preview::known::read;

const FILE: &str = "boot/config/vfio-pci.cfg";

/// The items of the system at `root`.
///
/// # Errors
/// Where the file is there and cannot be read.
pub fn lines(root: &Path) -> Result<Vec<Line>> {
    let Some(text) = read(&root.join(FILE))? else {
        return Ok(Vec::new());
    };
    Ok(items(&String::from_utf8_lossy(&text)))
}

fn items(text: &str) -> Vec<Line> {
    // Of several the last one counts: each sets the same variable.
    let lines = (1..).zip(text.lines());
    let last = lines
        .filter_map(|(line, text)| Some((line, text.trim().strip_prefix("BIND=")?)))
        .last();
    let Some((line, list)) = last else {
        return Vec::new();
    };
    let list = list.replace('"', "");
    let items = list.split_whitespace().map(|item| Line {
        manager: Manager::Unraid,
        file: format!("/{FILE}"),
        line,
        text: item.to_owned(),
        takes: takes(item),
        by_hand: "Unraid binds it after native drivers were there, with its group; once the words are set, clear \
                  its box under Tools, System Devices, or take it off this line"
            .to_owned(),
    });
    items.collect()
}

fn takes(item: &str) -> Takes {
    let is_id = |text: &str| {
        let fields: Vec<_> = text.split(':').collect();
        let four =
            |field: &&str| field.len() == 4 && field.bytes().all(|byte| byte.is_ascii_hexdigit());
        fields.len() == 2 && fields.iter().all(four)
    };
    let parts: Vec<_> = item.split('|').collect();
    let place = |text: &str| text.to_lowercase();
    match parts[..] {
        [one] if is_id(one) => Takes::Ids(one.to_owned()),
        [one] => Takes::Place(place(one), None),
        [first, second] if is_id(first) && !is_id(second) => {
            Takes::Place(place(second), Some(first.to_owned()))
        }
        [first, second] if is_id(second) && !is_id(first) => {
            Takes::Place(place(first), Some(second.to_owned()))
        }
        _ => Takes::Unclear(format!("{item} is neither an address, nor an ID, nor both")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_addresses_ids_or_both() {
        let text =
            "X=1\r\nBIND=\"03:00.0 0000:03:00.1|10DE:1aef 8086:1533|04:00.0 8086:1533 a|b\"\r\n";
        let found: Vec<_> = items(text)
            .into_iter()
            .map(|one| (one.line, one.takes))
            .collect();
        let place =
            |place: &str, id: Option<&str>| Takes::Place(place.to_owned(), id.map(str::to_owned));
        assert_eq!(
            found,
            [
                (2, place("03:00.0", None)),
                (2, place("0000:03:00.1", Some("10DE:1aef"))),
                (2, place("04:00.0", Some("8086:1533"))),
                (2, Takes::Ids("8086:1533".to_owned())),
                (
                    2,
                    Takes::Unclear("a|b is neither an address, nor an ID, nor both".to_owned())
                ),
            ]
        );
        assert_eq!(items("BIND=\n"), []);
    }
}
