//! Circles among files that take names from one another.

use std::collections::{BTreeMap, VecDeque};

use crate::modules::Imports;

/// The shortest circle through each file that is in one, each circle once, with the names that close it.
pub fn circles(imports: &Imports) -> Vec<String> {
    let mut seen = Vec::new();
    let mut told = Vec::new();
    for file in imports.keys() {
        let Some(way) = way_back(imports, file) else {
            continue;
        };
        let mut members = way.clone();
        members.sort_unstable();
        if !seen.contains(&members) {
            seen.push(members);
            told.push(words(imports, &way));
        }
    }
    told
}

/// The files of the shortest circle that begins with `file`.
fn way_back<'a>(imports: &'a Imports, file: &'a str) -> Option<Vec<&'a str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([file]);
    while let Some(at) = queue.pop_front() {
        for next in imports.get(at).into_iter().flat_map(BTreeMap::keys) {
            if next == file {
                let mut way = vec![at];
                while let Some(earlier) = way.last().and_then(|last| before.get(last)) {
                    way.push(*earlier);
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(next.as_str()) {
                before.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    None
}

/// `a.rs -(Name)-> b.rs -(Other)-> a.rs`.
fn words(imports: &Imports, way: &[&str]) -> String {
    let mut text = way[0].to_owned();
    for (index, from) in way.iter().enumerate() {
        let to = way[(index + 1) % way.len()];
        let names: Vec<_> = imports[*from][to].iter().map(String::as_str).collect();
        text += &format!(" -({})-> {to}", names.join(", "));
    }
    text
}
