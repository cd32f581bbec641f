//! What runs and setup wrote down.

use super::files::policy;
use super::taker::Taker;

/// Takes it.
pub(super) fn take(taker: &mut Taker<'_>) {
    let directory = "run/vfio-bind";
    let mut places = vec![directory.to_owned()];
    let runs = taker
        .names(directory)
        .into_iter()
        .filter(|name| name.starts_with("run-"));
    places.extend(runs.map(|name| format!("{directory}/{name}")));
    for place in places {
        for file in ["policy.conf", "protected.conf"] {
            policy(taker, &format!("{place}/{file}"));
        }
        json(taker, &format!("{place}/report.json"));
    }
    for file in ["setup.json", "last-good.json", "seen.json"] {
        json(taker, &format!("var/lib/vfio-bind/{file}"));
    }
}

/// A file of JSON, string by string. One that is none is left out.
fn json(taker: &mut Taker<'_>, path: &str) {
    let Some(text) = taker.read_text(path) else {
        return;
    };
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(&text) else {
        taker.tree.leave_out(format!("/{path}, which is no JSON"));
        return;
    };
    strings(taker, "", &mut value);
    // A value that was read can be written.
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    taker.put_text(path, text + "\n");
}

/// Members whose strings are sentences or words for people, with names of folders in them.
const SENTENCES: [&str; 9] = [
    "errors",
    "warnings",
    "reason",
    "text",
    "why",
    "unanswered",
    "about",
    "advice",
    "behind",
];

/// Keys and the words that programs know stay as they are: a folder may have the same name.
fn strings(taker: &mut Taker<'_>, member: &str, value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::String(text) => {
            *text = match member {
                "words" => taker.disguise.parameter(text),
                _ if SENTENCES.contains(&member) => sentence(taker, text),
                _ => taker.disguise.numbers(text),
            };
        }
        Value::Array(list) => list.iter_mut().for_each(|one| strings(taker, member, one)),
        Value::Object(members) => {
            // What setup kept of files is theirs.
            for gone in ["files", "kept", "set", "unset", "directories"] {
                if path_like(members.get(gone)) {
                    members.remove(gone);
                }
            }
            for (name, one) in members.iter_mut() {
                strings(taker, name, one);
            }
        }
        _ => {}
    }
}

/// Whether a member of setup.json is about files.
fn path_like(value: Option<&serde_json::Value>) -> bool {
    value.is_some_and(|value| {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .any(|one| one.is_string() || one.is_array() || one.get("path").is_some())
    })
}

/// A sentence: what looks like a path in it is told without names that people chose.
fn sentence(taker: &mut Taker<'_>, text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_ours = [
            "sys/",
            "/sys/",
            "/etc/vfio-bind",
            "etc/vfio-bind",
            "/proc/",
            "/run/vfio-bind",
        ];
        let is_path = word.contains('/') && !is_ours.iter().any(|front| word.contains(front));
        match is_path && !word.contains('.') || word.contains("/home") {
            true => taker.disguise.names(word),
            false => taker.disguise.text(word),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
