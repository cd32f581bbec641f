//! The pages of `vfio-bind list --html` in a real browser: nothing is wider than the screen, nothing is fetched, and
//! axe finds no fault.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use lab::lack::Unavailable;
use lab::progress::say;
use lab::schedule::Task;
use lab::tools::{self, CHROMIUM, NODE, NPM};
use lab::{logs, program};

use super::conclusion::alone;
use crate::build::cargo;
use crate::workspace;

/// Show the pages of `vfio-bind list --html` to a headless browser, on a phone and on a desk, light and dark.
///
/// chromium and node are installed or named where they are missing; axe-core and puppeteer-core come through npm
/// into target/page-test. The pictures stay there, to be looked at.
#[derive(Clone, Debug, clap::Args)]
pub struct PageTest {
    /// Count it as a failure where something that it wants cannot be had.
    #[arg(long)]
    strict: bool,
}

/// Where all of it happens.
const FOLDER: &str = "target/page-test";
/// What the browser is told to do, and what that needs.
const FILES: [&str; 2] = ["check.mjs", "package.json"];

/// Runs it alone.
///
/// # Errors
/// What went wrong, faults of a page included.
pub fn run(options: &PageTest) -> Result<bool> {
    alone(check(), options.strict)
}

/// Runs it among other checks.
#[must_use]
pub fn task<'a>() -> Task<'a> {
    Task::cargo("pages in a browser", check)
}

/// Writes the pages, and shows them; tells how many were looked at.
fn check() -> Result<String> {
    let folder = workspace::folder().join(FOLDER);
    let pages = folder.join("pages");
    if pages.exists() {
        fs::remove_dir_all(&pages).with_context(|| format!("rm({})", pages.display()))?;
    }
    fs::create_dir_all(&pages).with_context(|| format!("mkdir({})", pages.display()))?;
    tools::ensure_all(&[CHROMIUM, NODE, NPM]).map_err(lack)?;
    install(&folder)?;
    let mut cargo = cargo::cargo();
    cargo.args(["test", "--package", "vfio-bind-cli", "--test", "list"]);
    program::output(
        cargo
            .args(["pages_for_a_browser"])
            .env("VFIO_BIND_PAGES", &pages),
    )?;
    let chromium = CHROMIUM.find().context(CHROMIUM.program)?;
    let mut node = NODE.command()?;
    let told = program::output(
        node.current_dir(&folder)
            .arg("check.mjs")
            .arg(chromium)
            .arg(&pages),
    )?;
    let last = told.lines().last().unwrap_or_default();
    ensure!(
        last.ends_with("no fault"),
        "check.mjs did not come to an end:\n{told}"
    );
    Ok(last.to_owned())
}

/// Only an archive that does not give something is a lack; who is not root on Debian is told what to install.
fn lack(error: anyhow::Error) -> anyhow::Error {
    let reason = format!("{error:#}");
    match Unavailable::behind(&error) {
        None if reason.starts_with("not on this machine") => Unavailable {
            reason: reason.split(". ").next().unwrap_or_default().to_owned(),
            log: None,
        }
        .into(),
        _ => error,
    }
}

/// What goes wrong in npm because a registry is out of reach or gives something else: codes of node's, and npm's own.
const OUT_OF_REACH: [&str; 9] = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "E404",
    "E503",
    "EINTEGRITY",
];

/// Puts the check and its packages where it runs, each once.
fn install(folder: &Path) -> Result<()> {
    let source = workspace::folder().join("tools/page-test");
    for name in FILES {
        let (from, to) = (source.join(name), folder.join(name));
        fs::copy(&from, &to)
            .with_context(|| format!("copy({}, {})", from.display(), to.display()))?;
    }
    if is_installed(folder)? {
        return Ok(());
    }
    say("getting axe-core and puppeteer-core with npm");
    let mut npm = NPM.command()?;
    npm.current_dir(folder)
        .args(["install", "--no-audit", "--no-fund", "--no-package-lock"])
        .args(["--ignore-scripts", "--loglevel=error"]);
    let Err(error) = program::output(&mut npm) else {
        return Ok(());
    };
    let said = format!("{error:#}");
    let code = OUT_OF_REACH.iter().find(|code| said.contains(**code));
    let Some(code) = code else {
        bail!("{said}");
    };
    Err(Unavailable {
        reason: format!("npm cannot get axe-core and puppeteer-core: {code}"),
        log: Some(logs::keep("npm", &said)?),
    }
    .into())
}

/// Whether what package.json names is there in the version that it names.
fn is_installed(folder: &Path) -> Result<bool> {
    let read = |path: PathBuf| -> Result<serde_json::Value> {
        let text = fs::read(&path).with_context(|| format!("read({})", path.display()))?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    };
    let wanted = read(folder.join("package.json"))?;
    let wanted = wanted["dependencies"].as_object().cloned();
    let wanted = wanted.context("package.json without dependencies")?;
    Ok(wanted.iter().all(|(name, version)| {
        let own = folder.join("node_modules").join(name).join("package.json");
        read(own).is_ok_and(|own| own["version"] == *version)
    }))
}
