//! Everything but the machines: format, lints, unit tests, shell scripts, the executable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use lab::debian::Debian;
use lab::elf;
use lab::part::Part;
use lab::program;
use lab::rig::Rig;
use lab::schedule::Task;
use lab::supply::Program;
use lab::tools::SHELLCHECK;
use qemu_tests::architecture::Architecture;

use crate::build::cargo;
use crate::build::executable::Executable;
use crate::build::toolchain;
use crate::{dependencies, workspace};

/// The targets of the agent besides those with the GNU C library: the same freestanding executable.
const MUSL: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// All of them, those that tell soonest first; for other architectures than this machine's only with
/// `all`.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>, debian: &'a Debian, all: bool) -> Vec<Task<'a>> {
    let mut tasks = vec![
        Task::cargo("format", format),
        Task::check(
            "shell scripts",
            vec![Part::Checker(SHELLCHECK.program)],
            shell_scripts,
        ),
        Task::cargo("clippy", clippy),
        Task::cargo("clippy, freestanding agent", clippy_agent),
        Task::cargo("unit and property tests", unit_tests),
    ];
    let host = Architecture::host();
    for architecture in Architecture::ALL {
        if all || Some(architecture) == host {
            let parts = [Part::Compiler, Part::Programs].map(|part| part(architecture));
            tasks.push(Task::check(
                &format!("the agent for {architecture}"),
                parts.to_vec(),
                move || agent(&rig.program(Program::Agent, architecture)?, architecture),
            ));
        }
    }
    if all {
        for target in MUSL {
            tasks.push(Task::cargo(&format!("the agent for {target}"), move || {
                musl(target, debian)
            }));
        }
        tasks.push(Task::cargo("faults of an archive", faults));
        tasks.push(dependencies::task(debian));
    }
    tasks.push(Task::cargo(
        "the command tells of this machine",
        move || command(debian),
    ));
    tasks
}

fn format() -> Result<String> {
    program::output(cargo::cargo().args(["fmt", "--all", "--check"])).map(|_| String::new())
}

fn clippy() -> Result<String> {
    let arguments = [
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    program::output(cargo::cargo().args(arguments)).map(|_| String::new())
}

/// The agent's executable has no test harness and needs its feature: `--all-targets` leaves it out.
fn clippy_agent() -> Result<String> {
    let arguments = [
        "clippy",
        "--quiet",
        "--package",
        "vfio-bind-agent",
        "--bin",
        "vfio-bind-agent",
    ];
    let feature = ["--features", "executable", "--", "-D", "warnings"];
    program::output(cargo::cargo().args(arguments).args(feature)).map(|_| String::new())
}

/// Runs every unit and property test of the workspace; tells how many passed.
///
/// # Errors
/// Where one fails.
pub fn unit_tests() -> Result<String> {
    let text = program::output(cargo::cargo().args(["test", "--workspace"]))?;
    let passed = passed_tests(&text);
    if passed == 0 {
        bail!("cargo test ran no test:\n{text}");
    }
    Ok(format!("{passed} tests"))
}

/// The sum over `test result: ok. 12 passed; ...`.
#[must_use]
pub fn passed_tests(text: &str) -> usize {
    let results = text
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. "));
    results
        .filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok())
        .sum()
}

/// Whether the agent runs where there is nothing, and is small.
fn agent(path: &Path, architecture: Architecture) -> Result<String> {
    elf::check_agent(path, architecture).map(kibibytes)
}

fn kibibytes(size: usize) -> String {
    format!("static, {:.1} KiB", size as f64 / 1024.0)
}

/// Whether it does so where it is built for musl. Its limit is counted with this machine's own compiler;
/// Debian's, which builds this one where rustc has no libraries, makes 4 KiB more of it on x86_64.
fn musl(target: &str, debian: &Debian) -> Result<String> {
    let architecture = toolchain::architecture(Some(target))?;
    let path = Executable::agent(Some(target)).build(debian)?;
    elf::check_static(&path, architecture).map(kibibytes)
}

/// What becomes of a run when an archive gives something else than it promised. It wants apt, and an
/// archive of its own on this machine: so it is not among the tests that run anywhere.
fn faults() -> Result<String> {
    let arguments = [
        "test",
        "--package",
        "lab",
        "--test",
        "archive",
        "--",
        "--ignored",
    ];
    let text = program::output(cargo::cargo().args(arguments))?;
    let passed = passed_tests(&text);
    ensure!(passed > 0, "cargo test ran no test:\n{text}");
    Ok(format!("{passed} tests"))
}

/// Built as it is installed: alone, without what other packages want of its dependencies.
fn command(debian: &Debian) -> Result<String> {
    let path = Executable::command().build(debian)?;
    let lines = program::output(Command::new(path).arg("protected"))?;
    let protects = |line: &&str| line.starts_with("vfio.protect=");
    let is_ours = |line: &str| protects(&line) || line.starts_with("vfio.unprotected=");
    ensure!(
        lines.lines().all(is_ours),
        "these are no lines of a policy:\n{lines}"
    );
    Ok(format!(
        "{} functions to protect",
        lines.lines().filter(protects).count()
    ))
}

fn shell_scripts() -> Result<String> {
    let scripts = find_scripts(workspace::folder())?;
    if scripts.is_empty() {
        bail!(
            "there is no shell script in {}, not even .ci/run",
            workspace::folder().display()
        );
    }
    let mut shellcheck = SHELLCHECK.command()?;
    program::output(shellcheck.current_dir(workspace::folder()).args(&scripts))?;
    Ok(format!("{} scripts", scripts.len()))
}

/// Every file of the repository that is a shell script by its name or its first line.
fn find_scripts(root: &Path) -> Result<Vec<PathBuf>> {
    let is_script = |file: &PathBuf| {
        file.extension().is_some_and(|name| name == "sh")
            || fs::read(root.join(file)).is_ok_and(|bytes| names_a_shell(&bytes))
    };
    let files = workspace::sources(root)?.into_iter();
    Ok(files.filter(is_script).collect())
}

/// Whether a file's first line is `#!` and a shell.
fn names_a_shell(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let Some(interpreter) = line.strip_prefix(b"#!") else {
        return false;
    };
    let text = String::from_utf8_lossy(interpreter);
    let mut words = text
        .split_whitespace()
        .map(|word| word.rsplit('/').next().unwrap_or(word));
    let program = words.next();
    let shell = if program == Some("env") {
        words.next()
    } else {
        program
    };
    shell.is_some_and(|shell| ["sh", "bash", "dash", "ash", "ksh"].contains(&shell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_known_by_the_first_line() {
        let yes = [
            "#!/bin/sh\n",
            "#!/bin/bash -eu\n",
            "#! /usr/bin/env bash\nx",
            "#!/bin/dash",
        ];
        let no = [
            "",
            "#!/usr/bin/python3\n",
            "# sh\n",
            "\n#!/bin/sh\n",
            "#!/usr/bin/env\n",
        ];
        assert!(yes.iter().all(|text| names_a_shell(text.as_bytes())));
        assert!(!no.iter().any(|text| names_a_shell(text.as_bytes())));
    }

    #[test]
    fn scripts_are_found_with_and_without_git() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("run", "#!/bin/sh\n"),
            ("x.sh", ""),
            ("y.rs", "#![no_std]\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut found = find_scripts(folder.path()).unwrap();
        found.sort();
        assert_eq!(found, [PathBuf::from("run"), PathBuf::from("x.sh")]);
        program::output(Command::new("git").arg("init").current_dir(folder.path())).unwrap();
        assert_eq!(find_scripts(folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn results_are_added_up() {
        let text =
            "test result: ok. 12 passed; 0 failed;\nx\ntest result: ok. 3 passed; 0 failed;\n";
        assert_eq!(passed_tests(text), 15);
    }
}
