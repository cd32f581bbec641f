//! What is linked into the executables: crates, their licences, and who needs whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use lab::program;
use serde_json::Value;

use crate::build::cargo::cargo;
use crate::workspace;

/// The executables: their packages, and the features that they are built with.
const ROOTS: [(&str, Option<&str>); 2] = [
    ("vfio-bind-agent", Some("executable")),
    ("vfio-bind-cli", None),
];

/// A crate by name and version.
pub type Crate = (String, String);

/// What is known of a crate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its licence, as SPDX has it.
    pub licence: String,
    /// The SHA-256 of its package, where it comes from a registry.
    pub checksum: Option<String>,
    /// Where its source is.
    folder: PathBuf,
    /// What it links.
    pub needs: BTreeSet<Crate>,
}

/// All that is linked, by name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked(pub BTreeMap<Crate, Facts>);

impl Linked {
    /// Asks cargo, for executables of `target`.
    ///
    /// # Errors
    /// Where cargo fails, or a crate names no licence.
    pub fn read(target: &str) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (package, features) in ROOTS {
            let mut cargo = cargo();
            cargo
                .args(["tree", "--locked", "--package", package, "--target", target])
                // Neither what is for tests and builds nor macros: they are not in the executable.
                .args(["--edges", "normal,no-proc-macro", "--no-dedupe"])
                .args(["--prefix", "depth", "--format", " {p}"])
                .current_dir(workspace::folder());
            cargo.args(features.into_iter().flat_map(|name| ["--features", name]));
            read_tree(&program::output(&mut cargo)?, &mut all)?;
        }
        let checksums = fs::read_to_string(workspace::folder().join("Cargo.lock"));
        let checksums = checksums_of(&checksums.context("read(Cargo.lock)")?);
        let mut cargo = cargo();
        cargo
            .args(["metadata", "--locked", "--format-version", "1"])
            .current_dir(workspace::folder());
        let metadata: Value = serde_json::from_str(&program::output(&mut cargo)?)
            .context("what cargo metadata said")?;
        let packages = metadata["packages"].as_array();
        for package in packages.context("cargo metadata names no packages")? {
            let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
            let name = (text("name"), text("version"));
            let Some(facts) = all.get_mut(&name) else {
                continue;
            };
            // The older way to write it.
            facts.licence = text("license").replace('/', " OR ");
            ensure!(
                !facts.licence.is_empty(),
                "{} {} names no licence",
                name.0,
                name.1
            );
            let manifest = PathBuf::from(text("manifest_path"));
            facts.folder = manifest.parent().unwrap_or(&manifest).to_owned();
            facts.checksum = checksums.get(&name).cloned();
        }
        for ((name, version), facts) in &all {
            let known = !facts.licence.is_empty();
            ensure!(known, "cargo metadata does not know {name} {version}");
        }
        Ok(Self(all))
    }

    /// The executables' own crates.
    #[must_use]
    pub fn roots(&self) -> Vec<&Crate> {
        let is_root = |one: &&Crate| ROOTS.iter().any(|(name, _)| *name == one.0);
        self.0.keys().filter(is_root).collect()
    }

    /// The licences as a text: which crate has which, and each text once. `compiler` brought the standard
    /// library.
    ///
    /// # Errors
    /// Where a text cannot be read, or a crate from elsewhere has none.
    pub fn licences(&self, compiler: &str) -> Result<String> {
        let mut text = format!(
            "What is linked into vfio-bind and vfio-bind-agent, and under which licence.\n\n\
             Rust's standard library, {compiler}: MIT OR Apache-2.0\n"
        );
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((name, version), facts) in &self.0 {
            // Infallible.
            let _ = writeln!(text, "{name} {version}: {}", facts.licence);
            let found = texts_in(&facts.folder)?;
            if facts.checksum.is_some() && found.is_empty() {
                let _ = writeln!(text, "    (its package has no text of it)");
            }
            for one in found {
                texts.entry(one).or_default().push(name.clone());
            }
        }
        for (licence, mut names) in texts {
            names.dedup();
            let line = "=".repeat(78);
            let _ = write!(
                text,
                "\n{line}\n{}\n{line}\n\n{licence}\n",
                names.join(", ")
            );
        }
        Ok(text)
    }
}

/// Adds the crates of a tree: on each line its depth, name and version.
fn read_tree(text: &str, all: &mut BTreeMap<Crate, Facts>) -> Result<()> {
    let mut above: Vec<Crate> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(depth), Some(name), Some(version)) = (words.next(), words.next(), words.next())
        else {
            bail!("cargo tree says `{line}`");
        };
        let depth: usize = depth.parse().with_context(|| line.to_owned())?;
        let found = (name.to_owned(), version.trim_start_matches('v').to_owned());
        ensure!(depth <= above.len(), "cargo tree skips a depth: `{line}`");
        above.truncate(depth);
        all.entry(found.clone()).or_default();
        if let Some(parent) = above.last() {
            let parent = all.entry(parent.clone()).or_default();
            parent.needs.insert(found.clone());
        }
        above.push(found);
    }
    Ok(())
}

/// The checksums in a Cargo.lock.
fn checksums_of(lock: &str) -> BTreeMap<Crate, String> {
    let mut all = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let value = |key: &str| {
            let mut lines = package.lines();
            let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            Some(found?.trim_end_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(sum)) =
            (value("name"), value("version"), value("checksum"))
        {
            all.insert((name, version), sum);
        }
    }
    all
}

/// The texts of licences in a crate's folder.
fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list({})", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let starts = ["LICENSE", "LICENCE", "COPYING", "UNLICENSE", "NOTICE"];
        let is_text = starts.iter().any(|start| name.starts_with(start));
        if is_text && entry.file_type()?.is_file() {
            let path = entry.path();
            let text =
                fs::read_to_string(&path).with_context(|| format!("read({})", path.display()))?;
            texts.push(text.trim().replace("\r\n", "\n"));
        }
    }
    texts.sort();
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Crate {
        (name.to_owned(), "1.0.0".to_owned())
    }

    #[test]
    fn a_tree_says_who_needs_whom() {
        let text = "0 a v1.0.0 (/x)\n1 b v1.0.0\n2 c v1.0.0\n1 c v1.0.0\n\n";
        let mut all = BTreeMap::new();
        read_tree(text, &mut all).unwrap();
        let needs = |of: &str| all[&name(of)].needs.iter().cloned().collect::<Vec<_>>();
        assert_eq!(needs("a"), [name("b"), name("c")]);
        assert_eq!(needs("b"), [name("c")]);
        assert!(needs("c").is_empty());
        assert!(read_tree("0 a v1.0.0\n2 b v1.0.0\n", &mut all).is_err());
    }

    #[test]
    fn checksums_are_those_of_the_lock() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"07\"\n\n\
                    [[package]]\nname = \"b\"\nversion = \"1.0.0\"\n";
        let all = checksums_of(lock);
        assert_eq!(all.get(&name("a")).map(String::as_str), Some("07"));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn what_is_linked_here_has_licences_and_no_macros() {
        let linked = Linked::read("x86_64-unknown-linux-gnu").unwrap();
        let has = |name: &str| linked.0.keys().any(|one| one.0 == name);
        assert!(has("rustix") && has("clap_builder") && has("syscalls"));
        for absent in [
            "clap_derive",
            "serde_derive",
            "proptest",
            "tempfile",
            "xtask",
        ] {
            assert!(!has(absent), "{absent}");
        }
        assert_eq!(linked.roots().len(), 2);
        let text = linked.licences("rustc 1.0").unwrap();
        for piece in [
            "rustix 1.",
            "Rust's standard library, rustc 1.0",
            "Permission is hereby granted",
        ] {
            assert!(text.contains(piece), "{piece}");
        }
    }
}
