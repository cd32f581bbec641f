//! How the repository is laid out: what CONTRIBUTING.md says of it, and that files do not take names from
//! one another in circles.

mod circles;
mod links;
mod modules;
mod release;

use std::fs;
use std::path::{Path, PathBuf};

use circles::circles;
use modules::imports;

/// The sources of each crate, and its root files.
const CRATES: [(&str, &[&str]); 8] = [
    ("agent/src", &["lib.rs"]),
    // The executable, a crate around the library.
    ("agent/src/boot", &["main.rs"]),
    ("cli/src", &["lib.rs", "main.rs"]),
    ("lab/src", &["lib.rs"]),
    ("qemu-tests/src", &["lib.rs"]),
    (
        "qemu-tests/guest/src",
        &["main.rs", "bin/crash.rs", "bin/do-nothing.rs"],
    ),
    ("report/src", &["lib.rs"]),
    ("xtask/src", &["main.rs"]),
];

/// The folders of the agent's library, the lowest first: none takes a name from one behind it.
const FLOORS: [&str; 8] = [
    "text", "pci", "machine", "policy", "plan", "bind", "record", "run",
];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn no_files_take_names_from_one_another_in_a_circle() {
    let mut found = Vec::new();
    for (name, roots) in CRATES {
        let source = workspace().join(name);
        for root in roots {
            let read = |file: &str| fs::read_to_string(source.join(file)).ok();
            let all = imports(root, &read).unwrap_or_else(|error| panic!("{name}: {error}"));
            found.extend(
                circles(&all)
                    .iter()
                    .map(|circle| format!("{name}: {circle}")),
            );
        }
    }
    assert!(
        found.is_empty(),
        "circles of imports:\n{}",
        found.join("\n")
    );
}

#[test]
fn no_folder_of_the_agent_takes_names_from_a_higher_one() {
    let source = workspace().join("agent/src");
    let read = |file: &str| fs::read_to_string(source.join(file)).ok();
    let floor = |file: &str| {
        let folder = file.split('/').next().unwrap();
        FLOORS.iter().position(|other| *other == folder)
    };
    let mut found = Vec::new();
    let mut known = 0;
    for (file, others) in imports("lib.rs", &read).unwrap() {
        known += usize::from(floor(&file).is_some());
        let higher = others.keys().filter(|other| floor(other) > floor(&file));
        found.extend(higher.map(|other| format!("{file} from {other}")));
    }
    assert!(known > FLOORS.len(), "only {known} files");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn circles_are_found_and_nothing_else() {
    type Files = &'static [(&'static str, &'static str)];
    let cases: [(&str, Files, &[&str]); 9] = [
        (
            "a circle of two",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::B; pub struct A(B);"),
                ("b.rs", "use crate::a; pub struct B; fn f() -> a::A { g() }"),
            ],
            &["a.rs -(B)-> b.rs -(A)-> a.rs"],
        ),
        (
            "a circle of three, through a folder and a macro",
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a/mod.rs", "use crate::b::B as Other; pub struct A(Other);"),
                (
                    "b.rs",
                    "use crate::{c::{self}}; pub struct B; fn f() { say!(\"{}\", c::C) }",
                ),
                ("c.rs", "pub const C: &[crate::a::A] = &[];"),
            ],
            &["a/mod.rs -(B, Other)-> b.rs -(C)-> c.rs -(A)-> a/mod.rs"],
        ),
        (
            "none, where a root re-exports its children",
            &[
                ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
                ("a.rs", "use crate::B; pub struct A(B);"),
                ("b.rs", "pub struct B;"),
            ],
            &[],
        ),
        (
            "none, where a child takes what its parent has from another",
            &[
                ("lib.rs", "mod a; mod b;"),
                (
                    "a.rs",
                    "mod child; use crate::b::B; fn f() -> B { child::g() }",
                ),
                ("a/child.rs", "use super::B; pub fn g() -> B { B }"),
                ("b.rs", "pub struct B;"),
            ],
            &[],
        ),
        (
            "one through super",
            &[
                ("lib.rs", "mod a;"),
                (
                    "a/mod.rs",
                    "mod child; pub const LIMIT: u32 = 1; fn f() { child::g() }",
                ),
                ("a/child.rs", "use super::LIMIT; pub fn g() { h(LIMIT) }"),
            ],
            &["a/child.rs -(LIMIT)-> a/mod.rs -(g)-> a/child.rs"],
        ),
        (
            "one behind a re-export",
            &[
                ("main.rs", "mod a; mod b; fn main() { a::f() }"),
                ("a/mod.rs", "mod inner; pub use inner::*;"),
                ("a/inner.rs", "pub fn f() { crate::b::g() }"),
                ("b.rs", "pub fn g() { crate::a::f() }"),
            ],
            &["a/inner.rs -(g)-> b.rs -(f)-> a/inner.rs"],
        ),
        (
            "none, where only tests close it",
            &[
                ("lib.rs", "mod a; mod b;"),
                (
                    "a.rs",
                    "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
                ),
                ("b.rs", "use crate::a::A; pub struct B(A);"),
            ],
            &[],
        ),
        (
            "none within a file, or with another crate",
            &[
                ("lib.rs", "mod a; pub struct Std;"),
                (
                    "a.rs",
                    "mod inner { use super::A; pub struct B(A); } use std::fs; use inner::B; pub struct A; \
                     fn f(b: B) { fs::read(b) }",
                ),
            ],
            &[],
        ),
        (
            "two",
            &[
                ("lib.rs", "mod a; mod b; mod c; mod d;"),
                ("a.rs", "pub fn f() { crate::b::f() }"),
                ("b.rs", "pub fn f() { crate::a::f(); crate::c::f() }"),
                ("c.rs", "pub fn f() { crate::d::f() }"),
                ("d.rs", "pub fn f() { crate::c::f() }"),
            ],
            &[
                "a.rs -(f)-> b.rs -(f)-> a.rs",
                "c.rs -(f)-> d.rs -(f)-> c.rs",
            ],
        ),
    ];
    for (what, files, expected) in cases {
        let read = |name: &str| {
            let found = files.iter().find(|(file, _)| *file == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        let all = imports(files[0].0, &read).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(circles(&all), expected, "{what}");
    }
}

#[test]
fn the_guide_lists_folders_that_are_there_and_every_room_of_what_a_machine_runs() {
    let text = fs::read_to_string(workspace().join("CONTRIBUTING.md")).unwrap();
    let places = places(&text);
    assert!(places.len() > 10, "only {places:?}");
    let missing: Vec<_> = places
        .iter()
        .filter(|place| !workspace().join(place).is_dir())
        .collect();
    assert!(
        missing.is_empty(),
        "CONTRIBUTING.md names {missing:?}, which are no folders"
    );
    for source in ["agent/src", "cli/src"] {
        for entry in fs::read_dir(workspace().join(source)).unwrap() {
            let entry = entry.unwrap();
            let room = Path::new(source).join(entry.file_name());
            assert!(
                !entry.path().is_dir() || places.contains(&room),
                "CONTRIBUTING.md does not name {}",
                room.display()
            );
        }
    }
}

/// The paths of `Where things live`: each line begins with some, a comma behind all but the last; those
/// behind the first stand beside it or in the workspace.
fn places(text: &str) -> Vec<PathBuf> {
    let lines = text
        .lines()
        .skip_while(|line| *line != "## Where things live");
    let lines = lines.skip(1).take_while(|line| !line.starts_with("## "));
    let mut places = Vec::new();
    for line in lines.filter_map(|line| line.strip_prefix("    ")) {
        let mut folder = Path::new("");
        for word in line.split_whitespace() {
            let name = Path::new(word.trim_end_matches(','));
            let beside = folder.join(name);
            if workspace().join(&beside).exists() {
                places.push(beside);
            } else {
                places.push(name.to_owned());
            }
            if folder == Path::new("") {
                folder = name.parent().unwrap_or(folder);
            }
            if !word.ends_with(',') {
                break;
            }
        }
    }
    places
}
