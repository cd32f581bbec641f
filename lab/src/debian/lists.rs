//! One release for one architecture: its package lists, and packages by them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use qemu_tests::architecture::Architecture;

use super::apt::{Apt, Failure};
use super::archives::Source;
use crate::fault::Kind;
use crate::lack::Unavailable;
use crate::progress::say;

/// A release and what of it is wanted, as `bookworm` or `bookworm-backports`: the latter with the
/// former, for it is of no use alone.
pub type Release = &'static str;

/// How long lists serve without asking for newer ones. An archive changes four times a day.
const FRESH: Duration = Duration::from_secs(3600);
/// The part of its patience with an archive that is the pause before it is asked once more.
const PAUSE: u32 = 6;
/// The file in apt's folder that tells when the lists came.
const STAMP: &str = "renewed";

/// The lists that are at hand, and what came of getting newer ones.
#[derive(Debug)]
pub struct Lists {
    pub(super) apt: Arc<Apt>,
    release: Release,
    architecture: Architecture,
    /// apt's folder, kept in the cache.
    pub(super) folder: PathBuf,
    /// How long, in seconds, an archive may be silent.
    timeout: u64,
    /// Why the lists are not whole or not of today, where that is so.
    lack: Option<Unavailable>,
    /// apt's list of the archives that are used.
    sources: PathBuf,
}

impl Lists {
    /// Gets the lists of a release; those of an earlier run, or without the suites that it can do
    /// without, where that is all that can be had.
    ///
    /// # Errors
    /// [`Unavailable`] where nothing can be had.
    pub(super) fn open(
        apt: &Arc<Apt>,
        release: Release,
        architecture: Architecture,
    ) -> Result<Self> {
        let sources = apt.archives()?.sources(release);
        let name = format!("lists-{release}-{}", architecture.debian());
        // Another process that wants the same waits, and has them then.
        let _lock = apt.cache.lock(&name)?;
        let folder = apt.cache.place(&name);
        for name in ["state/lists/partial", "cache/archives/partial"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).with_context(|| format!("mkdir({})", path.display()))?;
        }
        write(&folder.join("status"), "")?;
        let mut lists = Self {
            apt: Arc::clone(apt),
            release,
            architecture,
            folder,
            timeout: apt.archives()?.timeout,
            lack: None,
            sources: PathBuf::new(),
        };
        lists.use_sources(&sources)?;
        if lists.is_fresh(&sources)? {
            return Ok(lists);
        }
        let Some(failure) = lists.renew(&sources)? else {
            return Ok(lists);
        };
        let there = lists.suites()?;
        let usable: Vec<_> = sources
            .iter()
            .filter(|source| there.contains(&source.suite))
            .cloned()
            .collect();
        // The first is the release itself, and additions are what was asked for.
        let wanted = [&sources[0].suite, release];
        if !wanted
            .iter()
            .all(|suite| there.iter().any(|one| one == suite))
        {
            return Err(failure.into());
        }
        lists.use_sources(&usable)?;
        say(format_args!(
            "{failure}: using {}{}",
            match lists.date_of(&sources[0].suite) {
                Some(date) => format!("the lists of {date}"),
                None => "the lists at hand".to_owned(),
            },
            match sources.len() - usable.len() {
                0 => String::new(),
                _ => format!(
                    ", without {}",
                    missing(&sources, &usable).collect::<Vec<_>>().join(", ")
                ),
            }
        ));
        lists.lack = Some(failure);
        Ok(lists)
    }

    /// Asks for newer lists, twice where it has to: why they did not come, if they did not.
    fn renew(&self, sources: &[Source]) -> Result<Option<Unavailable>> {
        if let Some(lack) = self.apt.unreachable() {
            return Ok(Some(lack));
        }
        say(format_args!(
            "getting Debian's package lists ({}, {})",
            self.release,
            self.architecture.debian()
        ));
        let update = |by_hash: &str| {
            let mut command = self.command("apt-get");
            command.arg("-o").arg(format!("Acquire::By-Hash={by_hash}"));
            self.apt.run(command.arg("update"))
        };
        let mut result = update("yes")?;
        if let Err(failure) = &result {
            // Anything but a lack is no better a second time.
            if failure.lack().is_none() {
                return Err(failure.error());
            }
            thread::sleep(Duration::from_secs(self.timeout) / PAUSE);
            result = update("force")?;
        }
        let failure = match result {
            Ok(_) => {
                write(&self.folder.join(STAMP), &names(sources))?;
                return Ok(None);
            }
            Err(failure) => failure,
        };
        let lack = failure.lack().ok_or_else(|| failure.error())?;
        let silent = |failure: &Failure| {
            let mut faults = failure.faults.iter();
            faults.all(|fault| fault.kind == Kind::Unreachable)
        };
        if silent(&failure) {
            self.apt.set_unreachable(lack.clone());
        }
        Ok(Some(lack))
    }

    /// Whether the lists are those of a whole renewal not long ago.
    fn is_fresh(&self, sources: &[Source]) -> Result<bool> {
        let stamp = self.folder.join(STAMP);
        let Ok(metadata) = fs::metadata(&stamp) else {
            return Ok(false);
        };
        let age = metadata
            .modified()
            .map_or(Duration::MAX, |time| time.elapsed().unwrap_or_default());
        let same = fs::read_to_string(&stamp).is_ok_and(|text| text == names(sources));
        let there = self.suites()?;
        let whole = sources.iter().all(|source| there.contains(&source.suite));
        Ok(age < FRESH && same && whole)
    }

    /// Forgets that the lists are new, so that the next run asks.
    pub(super) fn distrust(&self) {
        let _ = fs::remove_file(self.folder.join(STAMP));
    }

    /// The suites whose lists are at hand, verified when they came.
    fn suites(&self) -> Result<Vec<String>> {
        let mut command = self.command("apt-get");
        command.args([
            "indextargets",
            "--format",
            "$(RELEASE)",
            "Created-By: Packages",
        ]);
        let text = self.apt.run(&mut command)?;
        let text = text.map_err(|failure| failure.error())?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Of when the lists of a suite are.
    fn date_of(&self, suite: &str) -> Option<String> {
        let mut command = self.command("apt-get");
        command.args([
            "indextargets",
            "--format",
            "$(RELEASE)|$(METAKEY)|$(FILENAME)",
        ]);
        let text = self
            .apt
            .run(command.arg("Created-By: Packages"))
            .ok()?
            .ok()?;
        let mut lines = text.lines().map(|line| line.split('|').collect::<Vec<_>>());
        let (metakey, file) = lines.find_map(|fields| match fields[..] {
            [release, metakey, file] if release == suite => {
                Some((metakey.to_owned(), file.to_owned()))
            }
            _ => None,
        })?;
        let start = file.rfind(&metakey.replace('/', "_"))?;
        let release = fs::read_to_string(format!("{}InRelease", file.get(..start)?)).ok()?;
        date(&release).map(str::to_owned)
    }

    /// Uses these archives; the file is named after them, for another process may use others.
    fn use_sources(&mut self, sources: &[Source]) -> Result<()> {
        let text: String = sources.iter().map(|source| &*source.line).collect();
        let names = names(sources).replace('\n', "+");
        self.sources = self.folder.join(format!("{names}.list"));
        write(&self.sources, &text)
    }

    /// What is wrong where a list does not name something: the list is not whole, or what asks for it
    /// is of another day.
    pub(super) fn not_listed(&self, what: &str) -> anyhow::Error {
        match &self.lack {
            Some(lack) => Unavailable {
                reason: format!("{what}; {lack}"),
                log: lack.log.clone(),
            }
            .into(),
            None => anyhow!("{what}"),
        }
    }

    /// The file that names the archives.
    pub(super) fn sources(&self) -> &Path {
        &self.sources
    }

    /// The release.
    #[must_use]
    pub fn release(&self) -> Release {
        self.release
    }

    /// The package that the package `name` depends on and whose name starts with `prefix`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn dependency(&self, name: &str, prefix: &str) -> Result<String> {
        let all = self.dependencies(name)?;
        let found = all.iter().find(|name| name.starts_with(prefix));
        found.cloned().ok_or_else(|| {
            self.not_listed(&format!(
                "no dependency {prefix}* of {name} in `{}`",
                all.join(", ")
            ))
        })
    }

    /// The packages that the package `name` depends on, without theirs.
    ///
    /// # Errors
    /// Where there is no such package.
    pub fn dependencies(&self, name: &str) -> Result<Vec<String>> {
        let text = self.ask(&["depends", "--important", name], name)?;
        let names = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.map(str::to_owned).collect())
    }

    /// The package `name` and all that it depends on.
    ///
    /// # Errors
    /// Where there is no such package.
    pub fn closure(&self, name: &str) -> Result<Vec<String>> {
        let text = self.ask(&["depends", "--recurse", "--important", name], name)?;
        // Packages start a line; what they depend on is indented, and `<names>` are virtual.
        let names = text
            .lines()
            .filter(|line| !line.starts_with([' ', '<']) && !line.is_empty());
        Ok(names
            .map(|name| name.split(':').next().unwrap_or(name).to_owned())
            .collect())
    }

    /// The packages whose names start with `prefix` and end with `suffix`, the newest first by the
    /// numbers in their names.
    ///
    /// # Errors
    /// Where the lists cannot be read.
    pub fn names(&self, prefix: &str, suffix: &str) -> Result<Vec<String>> {
        let text = self.ask(&["pkgnames", prefix], prefix)?;
        let mut names: Vec<_> = text
            .lines()
            .filter(|name| name.ends_with(suffix))
            .map(str::to_owned)
            .collect();
        names.sort_by_key(|name| std::cmp::Reverse(numbers(name)));
        Ok(names)
    }

    /// The versions of a package that the lists name, the one that apt prefers first.
    ///
    /// # Errors
    /// Where there is no such package.
    pub fn versions(&self, name: &str) -> Result<Vec<String>> {
        let text = self.ask(&["madison", name], name)?;
        let mut seen = BTreeSet::new();
        let versions = text.lines().filter_map(|line| line.split('|').nth(1));
        let versions = versions.map(|version| version.trim().to_owned());
        let versions: Vec<_> = versions.filter(|v| seen.insert(v.clone())).collect();
        if versions.is_empty() {
            return Err(self.not_listed(&format!("the lists name no package {name}")));
        }
        Ok(versions)
    }

    /// Asks the lists something about `name`.
    fn ask(&self, arguments: &[&str], name: &str) -> Result<String> {
        let result = self.apt.run(self.command("apt-cache").args(arguments))?;
        result.map_err(|failure| match failure.lack() {
            Some(lack) => lack.into(),
            None => self
                .not_listed(&format!("the lists name no package {name}"))
                .context(failure.error()),
        })
    }

    /// A command of apt that knows nothing of the system but how to reach the network.
    pub(super) fn command(&self, program: &str) -> Command {
        let folder = &self.folder;
        let timeout = OsString::from(self.timeout.to_string());
        let mut command = Command::new(program);
        for (name, value) in [
            ("Dir::State", folder.join("state").into_os_string()),
            ("Dir::State::status", folder.join("status").into_os_string()),
            ("Dir::Cache", folder.join("cache").into_os_string()),
            ("Dir::Etc::sourcelist", self.sources.as_os_str().to_owned()),
            ("Dir::Etc::sourceparts", "-".into()),
            ("APT::Architecture", self.architecture.debian().into()),
            ("APT::Architectures", self.architecture.debian().into()),
            // The folder is ours alone, apt's own user could not enter it.
            ("APT::Sandbox::User", "root".into()),
            // Without this, lists that could not be had are a warning.
            ("APT::Update::Error-Mode", "any".into()),
            // Lists of suites that are left out for now may serve again.
            ("APT::Get::List-Cleanup", "false".into()),
            ("Acquire::GzipIndexes", "true".into()),
            ("Acquire::Retries", "1".into()),
            ("Acquire::http::Timeout", timeout.clone()),
            ("Acquire::https::Timeout", timeout),
            ("Acquire::Languages", "none".into()),
            (
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
                "false".into(),
            ),
        ] {
            let mut option = OsString::from(name);
            option.push("=");
            option.push(value);
            command.arg("-o").arg(option);
        }
        command.env("LC_ALL", "C");
        command
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write({})", path.display()))
}

/// The suites of `sources`, a line each.
fn names(sources: &[Source]) -> String {
    let suites = sources.iter().map(|source| format!("{}\n", source.suite));
    suites.collect()
}

/// The suites of `all` that are not in `some`.
fn missing<'a>(all: &'a [Source], some: &'a [Source]) -> impl Iterator<Item = &'a str> {
    let gone = all.iter().filter(|source| !some.contains(source));
    gone.map(|source| &*source.suite)
}

/// The numbers in a name, by which names of one kind are ordered.
fn numbers(name: &str) -> Vec<u64> {
    let digits = name.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|number| number.parse().ok()).collect()
}

/// The date in a signed Release file.
fn date(release: &str) -> Option<&str> {
    release.lines().find_map(|line| line.strip_prefix("Date: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_kind_comes_first() {
        let mut names = [
            "linux-image-6.12.9+deb13-amd64",
            "linux-image-6.12.117+deb13-amd64",
        ];
        names.sort_by_key(|name| std::cmp::Reverse(numbers(name)));
        assert_eq!(names[0], "linux-image-6.12.117+deb13-amd64");
    }

    #[test]
    fn a_release_file_tells_its_date() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nOrigin: Debian\n\
                    Date: Wed, 25 Nov 2026 02:22:31 UTC\nComponents: main\n";
        assert_eq!(date(text), Some("Wed, 25 Nov 2026 02:22:31 UTC"));
        assert_eq!(date(""), None);
    }
}
