//! Packages of any Debian release and architecture, without changing the system.
//!
//! apt works with a folder of its own for lists, status and packages. Mirror and keyring are
//! those of the system's own apt, so a machine behind a proxy or on a local mirror just works.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use qemu_tests::architecture::Architecture;

use crate::command;
use crate::progress::say;
use crate::tools::{APT_GET, DPKG_DEB, TAR};

/// The keys of all releases, where the package debian-archive-keyring is installed.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One release for one architecture.
#[derive(Debug)]
pub struct Apt {
    folder: tempfile::TempDir,
    architecture: Architecture,
}

impl Apt {
    /// Gets something from `release` (`bookworm`) with its security updates; without them where that
    /// fails, for what a mirror has of those is not always whole.
    ///
    /// # Errors
    /// Where the system's apt knows no Debian archive, it cannot be reached, or `get` fails.
    pub fn with<T>(
        release: &str,
        architecture: Architecture,
        get: impl Fn(&Self) -> Result<T>,
    ) -> Result<T> {
        let all = Self::update(release, architecture, true).and_then(|apt| get(&apt));
        all.or_else(|error| {
            say(format_args!(
                "once more, without the security updates of {release}, for {error:#}"
            ));
            get(&Self::without_updates(release, architecture)?)
        })
    }

    /// The package lists of a release without its security updates, which reach some architectures
    /// days before others: for packages that must have one version on all of them.
    ///
    /// # Errors
    /// As [`Apt::with`].
    pub fn without_updates(release: &str, architecture: Architecture) -> Result<Self> {
        Self::update(release, architecture, false)
    }

    /// Gets the package lists of a release.
    fn update(release: &str, architecture: Architecture, security: bool) -> Result<Self> {
        ensure!(
            APT_GET.find().is_some(),
            "test kernels come from Debian's archive through apt, which is not on this machine: name \
             one by --kernel PATH --modules DIR"
        );
        say(format_args!(
            "getting Debian's package lists ({release}, {})",
            architecture.debian()
        ));
        let targets = command::output(APT_GET.command()?.args(INDEX_TARGETS))?;
        let mut archives = Archives::parse(&targets)?;
        archives.security = archives.security.filter(|_| security);
        let keyring = Path::new(KEYRING).exists().then_some(KEYRING);
        let folder = tempfile::tempdir().context("a folder for apt")?;
        for name in ["state/lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(folder.path().join(name))
                .with_context(|| format!("mkdir({name})"))?;
        }
        fs::write(folder.path().join("status"), "").context("write(status)")?;
        let sources = archives.sources(release, keyring);
        fs::write(folder.path().join("sources.list"), sources).context("write(sources.list)")?;
        let apt = Self {
            folder,
            architecture,
        };
        command::output(apt.command("apt-get").arg("update")).context(
            "Debian's archive cannot be reached; --kernel PATH --modules DIR needs no network",
        )?;
        Ok(apt)
    }

    /// The package that the package `name` depends on and whose name starts with `prefix`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn dependency(&self, name: &str, prefix: &str) -> Result<String> {
        let all = self.dependencies(name)?;
        let found = all.iter().find(|name| name.starts_with(prefix));
        found
            .cloned()
            .with_context(|| format!("no dependency {prefix}* of {name} in `{}`", all.join(", ")))
    }

    /// The packages that the package `name` depends on, without theirs.
    ///
    /// # Errors
    /// Where there is no such package.
    pub fn dependencies(&self, name: &str) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        command.args(["depends", "--important", name]);
        let text = command::output(&mut command)?;
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
        let mut command = self.command("apt-cache");
        command.args(["depends", "--recurse", "--important", name]);
        let text = command::output(&mut command)?;
        // Packages start a line; what they depend on is indented, and `<names>` are virtual.
        let names = text
            .lines()
            .filter(|line| !line.starts_with([' ', '<']) && !line.is_empty());
        Ok(names
            .map(|name| name.split(':').next().unwrap_or(name).to_owned())
            .collect())
    }

    /// Downloads packages and unpacks them into `root`.
    ///
    /// # Errors
    /// Where one is not to be had.
    pub fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        say(format_args!("downloading {}", packages.join(", ")));
        let folder = self.folder.path().join("packages");
        let mut download = self.command("apt-get");
        command::output(download.current_dir(&folder).arg("download").args(packages))?;
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("list({})", folder.display()))? {
            files.push(entry?.path());
        }
        ensure!(
            files.len() == packages.len(),
            "{} packages came, not {}",
            files.len(),
            packages.len()
        );
        say("unpacking");
        for file in files {
            command::output(DPKG_DEB.command()?.arg("--extract").arg(&file).arg(root))?;
            fs::remove_file(&file).with_context(|| format!("remove({})", file.display()))?;
        }
        Ok(())
    }

    /// Downloads packages and everything that they depend on, and unpacks all of it into `root`
    /// as a system of its own, though one in which no package was configured. A package from
    /// another release is asked for as `NAME/RELEASE`.
    ///
    /// # Errors
    /// Where one is not to be had.
    pub fn unpack_system(&self, packages: &[&str], root: &Path) -> Result<()> {
        say(format_args!("downloading {}", packages.join(", ")));
        let mut install = self.command("apt-get");
        install.args([
            "install",
            "--yes",
            "--no-install-recommends",
            "--download-only",
        ]);
        command::output(install.args(packages))?;
        // Debian 12's folders; unpacking a package must not turn a link back into a folder.
        for name in ["bin", "sbin", "lib", "lib64"] {
            let folder = root.join("usr").join(name);
            fs::create_dir_all(&folder).with_context(|| format!("mkdir({})", folder.display()))?;
            std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name))
                .with_context(|| format!("symlink({name})"))?;
        }
        let archives = self.folder.path().join("cache/archives");
        say("unpacking");
        for entry in
            fs::read_dir(&archives).with_context(|| format!("list({})", archives.display()))?
        {
            let file = entry?.path();
            if file.extension().is_some_and(|name| name == "deb") {
                unpack_into_links(&file, root)?;
            }
        }
        Ok(())
    }

    /// A command of apt that knows nothing of the system but how to reach the network.
    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(program);
        for (name, value) in [
            ("Dir::State", folder.join("state").into_os_string()),
            ("Dir::State::status", folder.join("status").into_os_string()),
            ("Dir::Cache", folder.join("cache").into_os_string()),
            (
                "Dir::Etc::sourcelist",
                folder.join("sources.list").into_os_string(),
            ),
            ("Dir::Etc::sourceparts", "-".into()),
            ("APT::Architecture", self.architecture.debian().into()),
            ("APT::Architectures", self.architecture.debian().into()),
            // The folder is ours alone, apt's own user could not enter it.
            ("APT::Sandbox::User", "root".into()),
            // Without this, lists that could not be had are a warning.
            ("APT::Update::Error-Mode", "any".into()),
            ("Acquire::Retries", "3".into()),
            ("Acquire::http::Timeout", "30".into()),
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

/// Unpacks one package; links to folders stay links.
fn unpack_into_links(package: &Path, root: &Path) -> Result<()> {
    let mut dpkg = DPKG_DEB.command()?;
    dpkg.arg("--fsys-tarfile").arg(package);
    let line = command::line(&dpkg);
    let mut child = dpkg
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{line}` could not be started"))?;
    let pipe = child.stdout.take().context("a pipe from dpkg-deb")?;
    let mut tar = TAR.command()?;
    tar.args(["--extract", "--keep-directory-symlink", "--directory"])
        .arg(root);
    // Nothing that a build of an image reads.
    tar.args(["doc", "man", "locale"].map(|name| format!("--exclude=./usr/share/{name}")));
    let done = command::output_from(&mut tar, pipe.into());
    let status = child.wait().with_context(|| format!("wait({line})"))?;
    done.with_context(|| format!("unpacking {}", package.display()))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

/// Asks apt which archives the system uses, a line each.
const INDEX_TARGETS: [&str; 4] = [
    "indextargets",
    "--format",
    "$(ORIGIN)|$(RELEASE)|$(SITE)",
    "Created-By: Packages",
];

/// Where Debian's packages are.
#[derive(Debug, PartialEq, Eq)]
struct Archives {
    main: String,
    security: Option<String>,
}

impl Archives {
    /// Reads the answer to [`INDEX_TARGETS`].
    fn parse(text: &str) -> Result<Self> {
        let mut archives = Vec::new();
        for line in text.lines() {
            let mut fields = line.splitn(3, '|');
            let (origin, release, site) = (fields.next(), fields.next(), fields.next());
            // A machine that never ran `apt-get update` knows no origins: `$(ORIGIN)` stays.
            let debian = origin.is_some_and(|origin| origin == "Debian" || origin.starts_with('$'));
            if let (true, Some(release), Some(site)) = (debian, release, site) {
                archives.push((release.ends_with("-security"), site.to_owned()));
            }
        }
        let first = |security| {
            archives
                .iter()
                .find(|(is, _)| *is == security)
                .map(|(_, site)| site.clone())
        };
        let main = first(false).context(
            "the system's apt names no archive of Debian, where the test kernels come from: name one \
             by --kernel PATH --modules DIR",
        )?;
        Ok(Self {
            main,
            security: first(true),
        })
    }

    /// The sources of `release`; those of `X-backports` are of no use without `X`.
    fn sources(&self, release: &str, keyring: Option<&str>) -> String {
        let options = keyring
            .map(|path| format!("[signed-by={path}] "))
            .unwrap_or_default();
        let (backports, release) = match release.strip_suffix("-backports") {
            Some(base) => (format!("deb {options}{} {release} main\n", self.main), base),
            None => (String::new(), release),
        };
        let main = format!("deb {options}{} {release} main\n", self.main);
        let security = self.security.as_ref();
        let security =
            security.map(|site| format!("deb {options}{site} {release}-security main\n"));
        main + &security.unwrap_or_default() + &backports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_and_security_archive_are_the_systems_own() {
        let text = "Google|stable|https://example.org/chrome\n\
                    Debian|bookworm|http://mirror.example/debian\n\
                    Debian|bookworm-updates|http://mirror.example/debian\n\
                    Debian|bookworm-security|http://security.example/debian-security\n";
        let archives = Archives::parse(text).unwrap();
        assert_eq!(
            archives.sources("trixie", Some("/k.gpg")),
            "deb [signed-by=/k.gpg] http://mirror.example/debian trixie main\n\
             deb [signed-by=/k.gpg] http://security.example/debian-security trixie-security main\n"
        );
    }

    #[test]
    fn a_machine_that_never_updated_still_names_its_mirror() {
        let archives =
            Archives::parse("$(ORIGIN)|bookworm|http://mirror.example/debian\n").unwrap();
        let sources = archives.sources("bookworm", None);
        assert_eq!(sources, "deb http://mirror.example/debian bookworm main\n");
        assert_eq!(
            archives.sources("bookworm-backports", None),
            "deb http://mirror.example/debian bookworm main\n\
             deb http://mirror.example/debian bookworm-backports main\n"
        );
    }

    #[test]
    fn without_debian_the_way_out_is_named() {
        let error = Archives::parse("Ubuntu|noble|http://mirror.example/ubuntu\n").unwrap_err();
        assert!(error.to_string().contains("--kernel PATH"), "{error}");
    }
}
