//! A machine's files in a directory, and the command on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program;
use tempfile::TempDir;

/// The words of all tests.
pub const WORDS: &str = "vfio.bind=0000:42:00.0 vfio.group=strict";

/// The directory of a machine, and one of programs that stand in for its own.
pub struct Tree {
    pub root: PathBuf,
    pub tools: PathBuf,
    _kept: TempDir,
}

/// How a run of the command ended.
#[derive(Debug)]
pub struct Ran {
    pub exit: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            exit: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// The programs, as they are told.
    pub fn run(&self) -> Vec<String> {
        let lines = self
            .out
            .lines()
            .filter_map(|line| line.strip_prefix("run: "));
        lines.map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.exit, Some(0), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn refused(self) -> Self {
        assert_eq!(self.exit, Some(1), "{self:#?}");
        self
    }
}

impl Tree {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let tree = Self {
            root: kept.path().join("root"),
            tools: kept.path().join("tools"),
            _kept: kept,
        };
        fs::create_dir_all(&tree.root).unwrap();
        fs::create_dir_all(&tree.tools).unwrap();
        for (path, text) in files {
            tree.write(path, text);
        }
        tree
    }

    /// A copy of a captured one.
    pub fn copy(from: &Path) -> Self {
        let tree = Self::new(&[]);
        program::copy(from, &tree.root);
        tree
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A variable that a boot loader left.
    pub fn efi(&self, name: &str, value: &str) {
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend(value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        let path = format!("sys/firmware/efi/efivars/{name}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
        self.write(&path, bytes);
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.root.join(path)).unwrap();
    }

    /// A program that stands in for the machine's own.
    pub fn tool(&self, name: &str, script: &str) {
        let path = self.tools.join(name);
        program::write(&path, &format!("#!/bin/sh\n{script}"));
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-bind"));
        command
            .arg("setup")
            .arg("--root")
            .arg(&self.root)
            .args(arguments);
        command
    }

    /// The command, with no program run.
    pub fn told(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// The command, with the stand-ins run.
    pub fn with_tools(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        Ran::of(command.arg("--tools").arg(&self.tools).output().unwrap())
    }

    /// Sets the words and takes them out again with the stand-ins, with the words on the running line in between;
    /// every file is as it was, and one of `clean` may stay without the words. Gives what was run each way.
    #[track_caller]
    pub fn both_ways(&self, check: &dyn Fn(&Self), clean: &[&str]) -> (Vec<String>, Vec<String>) {
        let set = ["--words", WORDS];
        let mut before = self.files();
        let ran = self.with_tools(&set).good();
        check(self);
        let again = self.with_tools(&set).good();
        assert!(again.out.contains("set up already"), "{}", again.out);
        let line = self.read("proc/cmdline");
        self.booted(WORDS);
        let undo = self.with_tools(&["--undo"]).good();
        self.write("proc/cmdline", line);
        let mut after = self.files();
        for path in clean {
            before.remove(*path);
            let left = after.remove(*path).unwrap_or_default();
            assert!(
                !String::from_utf8(left).unwrap().contains("vfio."),
                "{path}"
            );
        }
        assert_eq!(after, before);
        (ran.run(), undo.run())
    }

    /// As if it had booted with what it would boot with.
    pub fn booted(&self, words: &str) {
        let line = self.read("proc/cmdline");
        self.write("proc/cmdline", format!("{} {words}\n", line.trim_end()));
    }

    /// Every file but the command's own, and what is in /proc and /sys.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        walk(&self.root, &self.root, &mut files);
        let own = |path: &str| {
            ["var/lib/vfio-bind/", "proc/", "sys/"]
                .iter()
                .any(|own| path.starts_with(own))
        };
        files.retain(|path, _| !own(path));
        files
    }
}

fn walk(root: &Path, directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            files.insert(name, fs::read(&path).unwrap_or_default());
        }
    }
}

/// The machine of a case, with its stand-ins.
pub fn case(name: &str) -> Tree {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loaders/cases");
    let tree = Tree::copy(&cases.join(name).join("root"));
    if cases.join(name).join("tool").exists() {
        program::copy(&cases.join(name).join("tool"), &tree.tools);
    }
    tree
}
