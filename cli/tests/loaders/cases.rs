//! Machines in `cases/`: `root` has the files, `want` what is to become of them, `note` why it is tricky. The
//! words are those of [`WORDS`]; `tool` has programs that do in the directory they are run in what the real ones
//! do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::program;
use crate::tree::{Ran, Tree, WORDS};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Want {
    /// The row.
    loader: String,
    /// The files that may be written.
    #[serde(default)]
    change: Vec<String>,
    /// `after`: exactly those of `after`. `free`: as `holds` says.
    bytes: Option<String>,
    /// What is run; ` | ` means either.
    #[serde(default)]
    run: Vec<String>,
    /// `same`: every file as it was. `clean`: a file that setup made may stay, without the words.
    undo: Option<String>,
    undo_run: Option<Vec<String>>,
    refuse: Option<String>,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    holds: Vec<Holds>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Holds {
    /// A shell that reads the files in this order has the words in the variable.
    Shell {
        files: Vec<String>,
        var: String,
        words: String,
        shell: String,
    },
    /// The file goes on as it was.
    Begins { file: String },
    /// The layers of limine-entry-tool, read in its order, have these words in any order.
    Limine { words: String },
}

fn cases() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loaders/cases");
    let cases = fs::read_dir(directory).unwrap();
    let cases = cases.map(|case| case.unwrap().path());
    let mut cases: Vec<_> = cases.filter(|case| case.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= 12);
    cases
}

#[test]
fn each_machine_gets_the_words_and_loses_them_again() {
    for case in cases() {
        eprintln!("{}", case.display());
        let text = fs::read_to_string(case.join("want")).unwrap();
        let want: Want = toml::from_str(&text).unwrap();
        let tree = Tree::copy(&case.join("root"));
        if want.refuse.is_some() {
            refused(&tree, &want);
            continue;
        }
        for by_tools in [false, true] {
            set_and_undo(&case, &want, by_tools);
        }
    }
}

fn refused(tree: &Tree, want: &Want) {
    let before = tree.files();
    let ran = tree.told(&["--words", WORDS]).refused();
    let said = format!("{}{}", ran.out, ran.err);
    for piece in want.refuse.iter().chain(&want.says) {
        assert!(said.contains(piece), "{piece}: {said}");
    }
    assert_eq!(tree.files(), before);
    assert!(!tree.exists("var/lib/vfio-bind"));
}

fn set_and_undo(case: &Path, want: &Want, by_tools: bool) {
    let tree = Tree::copy(&case.join("root"));
    if case.join("tool").exists() {
        program::copy(&case.join("tool"), &tree.tools);
    }
    let run = |arguments: &[&str]| -> Ran {
        if by_tools {
            return tree.with_tools(arguments).good();
        }
        let ran = tree.told(arguments).good();
        for line in ran.run() {
            stand_in(&tree, &line);
        }
        ran
    };
    let before = tree.files();
    let set = run(&["--words", WORDS]);
    assert!(
        set.out.contains(&format!("boot loader: {} ", want.loader)),
        "{}",
        set.out
    );
    same_commands(&set, &want.run);
    check_files(case, want, &tree);
    let once = tree.files();
    let again = run(&["--words", WORDS]);
    assert!(again.out.contains("set up already"), "{}", again.out);
    assert_eq!(tree.files(), once, "setup is not the same twice");

    tree.booted(WORDS);
    let undo = run(&["--undo"]);
    if let Some(expected) = &want.undo_run {
        same_commands(&undo, expected);
    }
    let mut after = tree.files();
    if want.undo.as_deref() == Some("clean") {
        for path in &want.change {
            let text = after.remove(path).unwrap_or_default();
            assert!(
                !String::from_utf8(text).unwrap().contains("vfio."),
                "{path}"
            );
        }
    }
    assert_eq!(after, before, "{}", case.display());
    assert!(!tree.exists("var/lib/vfio-bind/setup.json"));
    let nothing = tree.told(&["--undo"]).good();
    assert!(nothing.out.contains("nothing is set up"), "{}", nothing.out);
}

/// Runs what is told, where there is a stand-in for it.
fn stand_in(tree: &Tree, line: &str) {
    let script = format!("PATH={}:$PATH; command -v {line}", tree.tools.display());
    let program = line.split(' ').next().unwrap();
    if tree.tools.join(program).exists() {
        let script = script.replace("command -v ", "");
        let status = Command::new("sh")
            .arg("-c")
            .arg(script)
            .current_dir(&tree.root)
            .status();
        assert!(status.unwrap().success(), "{line}");
    }
}

#[track_caller]
fn same_commands(ran: &Ran, expected: &[String]) {
    let run = ran.run();
    assert_eq!(run.len(), expected.len(), "{run:?}");
    for (run, expected) in run.iter().zip(expected) {
        // Without the quotes of a shell.
        let plain = run.replace('\'', "");
        assert!(
            expected.split(" | ").any(|one| one == plain),
            "{run}, not {expected}"
        );
    }
}

fn check_files(case: &Path, want: &Want, tree: &Tree) {
    let mut wanted = Tree::copy(&case.join("root")).files();
    let mut got = tree.files();
    for path in &want.change {
        let new = got
            .remove(path)
            .unwrap_or_else(|| panic!("{path} is not there"));
        let old = wanted.remove(path);
        match want.bytes.as_deref() {
            Some("after") => {
                let after = fs::read(case.join("after").join(path)).unwrap();
                assert_eq!(String::from_utf8(new), String::from_utf8(after), "{path}");
            }
            _ => assert_ne!(Some(new), old, "{path} is as it was"),
        }
    }
    if !case.join("tool").exists() {
        assert_eq!(got, wanted, "another file was written");
    }
    for holds in &want.holds {
        holds.check(case, tree);
    }
}

impl Holds {
    fn check(&self, case: &Path, tree: &Tree) {
        match self {
            Self::Shell {
                files,
                var,
                words,
                shell,
            } => {
                let mut script = "set -e\n".to_owned();
                for file in files {
                    script += &format!(
                        "for x in {file}; do if [ -e \"$x\" ]; then . \"./$x\"; fi; done\n"
                    );
                }
                script += &format!("printf %s \"${var}\"");
                let mut command = Command::new(shell);
                let output = command
                    .arg("-c")
                    .arg(script)
                    .current_dir(&tree.root)
                    .output()
                    .unwrap();
                let got = String::from_utf8(output.stdout).unwrap();
                let got: Vec<_> = got.split_whitespace().collect();
                let wanted: Vec<_> = words.split_whitespace().collect();
                assert_eq!(got, wanted, "{}", String::from_utf8_lossy(&output.stderr));
            }
            Self::Begins { file } => {
                let old = fs::read(case.join("root").join(file)).unwrap();
                assert!(tree.read(file).as_bytes().starts_with(&old), "{file}");
            }
            Self::Limine { words } => {
                let mut got: Vec<String> = limine(tree);
                let mut wanted: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
                got.sort();
                wanted.sort();
                assert_eq!(got, wanted);
            }
        }
    }
}

/// The words that limine-entry-tool makes of its layers: drop-ins by name, then /etc/default/limine.
fn limine(tree: &Tree) -> Vec<String> {
    let mut paths: Vec<_> = fs::read_dir(tree.root.join("etc/limine-entry-tool.d"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.push(tree.root.join("etc/default/limine"));
    let mut value = String::new();
    for path in paths {
        for line in fs::read_to_string(path).unwrap().lines() {
            let Some(rest) = line.strip_prefix("KERNEL_CMDLINE[default]") else {
                continue;
            };
            match rest.strip_prefix("+=") {
                Some(more) => value += more.trim_matches('"'),
                None => value = rest.trim_start_matches('=').trim_matches('"').to_owned(),
            }
        }
    }
    value.split_whitespace().map(str::to_owned).collect()
}
