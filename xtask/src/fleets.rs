//! What is in fleets/, distributions/ and systemd/ for others to use, read by those it is for: Ansible and its linter,
//! cloud-init, promtool, Nix, systemd.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lab::files;
use lab::part::Part;
use lab::rig::Rig;
use lab::schedule::Task;
use lab::system::{ARCHITECTURE, Recipe};

use crate::workspace;

mod ansible;
mod copied;
mod machines;
mod nix;

use copied::{INPUT, output, spoil};

/// Who reads, and how; it tells how much.
type Read = fn(&Rig<'_>, &Path) -> Result<String>;

/// A row for each, and whether it needs the programs of this repository.
const READERS: [(&str, bool, Read); 6] = [
    ("fleets: Ansible and its linter", true, ansible::read),
    ("fleets: cloud-init", false, machines::cloud_init),
    (
        "fleets: Ignition, MachineConfig, bootc",
        false,
        machines::shapes,
    ),
    ("fleets: alerts", false, alerts),
    ("fleets: units", true, units),
    ("distributions: Nix", false, nix::read),
];

/// A Debian with the readers in it.
fn recipe() -> Recipe {
    const PACKAGES: &[&str] = &[
        "ansible-core",
        "ansible-lint",
        "cloud-init",
        "ignition",
        "initramfs-tools",
        "nix-bin",
        "prometheus",
        "python3-yaml",
        "yamllint",
    ];
    Recipe {
        name: "fleets",
        version: None,
        pool: &[],
        releases: &[("trixie", PACKAGES)],
    }
}

/// A task for each reader.
#[must_use]
pub fn tasks<'a>(rig: &'a Rig<'a>) -> Vec<Task<'a>> {
    let task = |(name, built, read): (&'static str, bool, Read)| {
        let mut wants = vec![Part::ImageTools, Part::System(recipe())];
        if built {
            wants.extend([Part::Compiler, Part::Programs].map(|part| part(ARCHITECTURE)));
        }
        Task::check(name, wants, move || run(rig, name, read))
    };
    READERS.map(task).into_iter().collect()
}

/// Lets one read, in a copy of the system that has all files in it.
fn run(rig: &Rig<'_>, name: &str, read: Read) -> Result<String> {
    let system = rig.system(recipe())?;
    let folder = rig.folder().join(name.replace([':', ',', ' '], "-"));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("rm({})", folder.display()))?;
    }
    files::link_tree(&system, &folder)?;
    for given in ["fleets", "distributions"] {
        let from = workspace::folder().join(given);
        files::link_tree(&from, &folder.join(INPUT).join(given))?;
    }
    let told = read(rig, &folder)?;
    fs::remove_dir_all(&folder).with_context(|| format!("rm({})", folder.display()))?;
    Ok(told)
}

/// What promtool says of the rules, and what their own tests say.
fn alerts(_: &Rig<'_>, root: &Path) -> Result<String> {
    const RULES: &str = "fleets/prometheus/vfio-bind.rules.yml";
    const TESTS: &str = "fleets/prometheus/vfio-bind.rules.test.yml";
    output(
        root,
        &["yamllint", "--strict", "-d", YAMLLINT, "fleets/prometheus"],
    )?;
    let told = output(root, &["promtool", "check", "rules", "--lint=all", RULES])?;
    let test = || output(root, &["promtool", "test", "rules", TESTS]);
    test()?;
    for (good, bad) in [
        ("function_bound == 0", "function_bound == 2"),
        ("exit_status == 2", "exit_status == 1"),
        ("for: 10m", "for: 1m"),
        ("> 1800", "> 18000"),
    ] {
        spoil(root, RULES, good, bad)?;
        ensure!(test().is_err(), "the tests take `{bad}` for `{good}`");
        spoil(root, RULES, bad, good)?;
    }
    // What the rules ask for is what `export` is tested to write.
    let written = workspace::folder().join("cli/tests/export/telling.rs");
    let written = fs::read_to_string(&written).with_context(|| written.display().to_string())?;
    for metric in [
        "vfio_bind_function_bound{address=",
        "vfio_bind_run_exit_status{run=",
    ] {
        ensure!(written.contains(metric), "no metric is called {metric}");
    }
    let rules = told.lines().find(|line| line.contains("SUCCESS"));
    Ok(rules.unwrap_or_default().trim().to_owned())
}

/// As the files of this repository are written, long lines among them.
const YAMLLINT: &str = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, \
                        comments: {min-spaces-from-content: 1}, comments-indentation: disable}}";

/// What systemd says of every unit that is installed.
fn units(rig: &Rig<'_>, root: &Path) -> Result<String> {
    rig.install(root)?;
    let folder = "usr/lib/systemd/system";
    let mut names: Vec<_> = fs::read_dir(root.join(folder))
        .with_context(|| format!("list({folder})"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("vfio-bind"))
        .collect();
    names.sort();
    let verify = |name: &str| {
        let path = format!("/{folder}/{name}");
        let words = [
            "sh",
            "-c",
            "systemd-analyze verify --man=no \"$0\" 2>&1",
            &path,
        ];
        output(root, &words)
    };
    for name in &names {
        let told = verify(name)?;
        ensure!(told.is_empty(), "systemd-analyze says of {name}: {told}");
        // It does tell an executable that is not there, and a word that it does not know.
        let path = root.join(folder).join(name);
        let text = fs::read_to_string(&path).with_context(|| name.clone())?;
        files::write(
            &path,
            format!("{text}\n[Unit]\nAfterwards=x\n").as_bytes(),
            0o644,
        )?;
        let told = verify(name).unwrap_or_else(|error| format!("{error:#}"));
        ensure!(
            told.contains("Afterwards"),
            "systemd-analyze takes anything in {name}"
        );
        files::write(&path, text.as_bytes(), 0o644)?;
    }
    let links = output(root, &["sh", "-c", "find /etc/systemd -name 'vfio-bind*'"])?;
    ensure!(
        links.is_empty(),
        "a unit is enabled that nobody asked for: {links}"
    );
    Ok(format!("{} units", names.len()))
}
