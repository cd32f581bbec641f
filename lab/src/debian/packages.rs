//! Packages: downloaded, with a word on how much has come, and unpacked.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::apt::Failure;
use super::lists::Lists;
use crate::program;
use crate::progress::say;
use crate::tools::{DPKG_DEB, TAR};

/// How often it is said how much has come.
const TICK: Duration = Duration::from_secs(10);

/// What apt would fetch: a file, and its size in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    file: String,
    size: u64,
}

impl Lists {
    /// Downloads packages and unpacks them into `root`; a package that the archive lists and does not
    /// give is taken in another version, where the lists name one.
    ///
    /// # Errors
    /// [`Unavailable`] where one is not to be had.
    pub fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        let folder = Download::beside(root)?;
        let mut files = Vec::new();
        let together = self.download(packages, &folder.0)?;
        match together {
            Ok(all) => files.extend(all),
            Err(_) => {
                for package in packages {
                    files.extend(self.download_any(package, &folder.0)?);
                }
            }
        }
        ensure!(
            files.len() == packages.len(),
            "{} packages came for {}",
            files.len(),
            packages.join(", ")
        );
        for file in files {
            program::output(DPKG_DEB.command()?.arg("--extract").arg(&file).arg(root))?;
        }
        folder.remove()
    }

    /// Downloads packages and everything that they depend on, and unpacks all of it into `root`
    /// as a system of its own, though one in which no package was configured. A package from
    /// another release is asked for as `NAME/RELEASE`.
    ///
    /// # Errors
    /// [`Unavailable`] where one is not to be had.
    pub fn unpack_system(&self, packages: &[&str], root: &Path) -> Result<()> {
        let folder = Download::beside(root)?;
        let files = self.download_system(packages, &folder.0)?;
        // Debian 12's folders; unpacking a package must not turn a link back into a folder.
        for name in ["bin", "sbin", "lib", "lib64"] {
            let folder = root.join("usr").join(name);
            fs::create_dir_all(&folder).with_context(|| format!("mkdir({})", folder.display()))?;
            std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name))
                .with_context(|| format!("symlink({name})"))?;
        }
        for file in files {
            unpack_into_links(&file, root)?;
        }
        folder.remove()
    }

    /// Puts packages and everything that they depend on, as files, into `folder`.
    ///
    /// # Errors
    /// [`Unavailable`] where one is not to be had.
    pub fn collect(&self, packages: &[&str], folder: &Path) -> Result<()> {
        let download = Download::beside(folder)?;
        let files = self.download_system(packages, &download.0)?;
        fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
        for file in files {
            let to = folder.join(file.file_name().unwrap_or_default());
            fs::rename(&file, &to).with_context(|| format!("rename({})", to.display()))?;
        }
        download.remove()
    }

    /// Downloads packages and everything that they depend on into `folder`.
    fn download_system(&self, packages: &[&str], folder: &Path) -> Result<Vec<PathBuf>> {
        let mut archives = OsString::from("Dir::Cache::archives=");
        archives.push(folder);
        let install = |into: bool| {
            let mut install = self.command("apt-get");
            if into {
                install.arg("-o").arg(&archives).arg("--download-only");
            }
            install.args(["install", "--yes", "--no-install-recommends"]);
            install
        };
        // What has come already is not listed: the list is made without that folder.
        let files = self.fetch(install(false), install(true), packages, folder)?;
        files.map_err(|failure| failure.error())
    }

    /// Downloads one package, in the newest version that the archive gives.
    fn download_any(&self, package: &str, folder: &Path) -> Result<Vec<PathBuf>> {
        let first = match self.download(&[package.to_owned()], folder)? {
            Ok(files) => return Ok(files),
            Err(failure) => failure,
        };
        let lack = first.lack().ok_or_else(|| first.error())?;
        // What names a version means that one.
        let others = match package.contains('=') {
            true => Vec::new(),
            false => self.versions(package)?,
        };
        for version in others.iter().skip(1) {
            say(format_args!("{lack}: trying version {version}"));
            let named = format!("{package}={version}");
            if let Ok(files) = self.download(&[named], folder)? {
                return Ok(files);
            }
        }
        Err(lack.into())
    }

    /// Downloads packages into `folder`, with one more try: the files, or what did not come.
    fn download(
        &self,
        packages: &[String],
        folder: &Path,
    ) -> Result<Result<Vec<PathBuf>, Failure>> {
        let words: Vec<_> = packages.iter().map(String::as_str).collect();
        let download = || {
            let mut download = self.command("apt-get");
            download.current_dir(folder).arg("download");
            download
        };
        let files = self.fetch(download(), download(), &words, folder)?;
        if let Err(failure) = &files {
            // Anything but a lack is no better in another version.
            if failure.lack().is_none() {
                return Err(failure.error());
            }
            // The lists may be older than what became of the archive since.
            self.distrust();
        }
        Ok(files)
    }

    /// Lists what `list` would fetch, runs `download`, and tells how it goes.
    fn fetch(
        &self,
        mut list: Command,
        mut download: Command,
        packages: &[&str],
        folder: &Path,
    ) -> Result<Result<Vec<PathBuf>, Failure>> {
        if let Some(lack) = self.apt.unreachable() {
            return Err(lack.into());
        }
        let name = packages.join(", ");
        let listing = self.apt.run(list.arg("--print-uris").args(packages))?;
        let wanted = match listing {
            Ok(text) => wanted(&text),
            Err(failure) => return Err(self.not_listed(&format!("{:#}", failure.error()))),
        };
        let total: u64 = wanted.iter().map(|one| one.size).sum();
        say(format_args!("downloading {name}: {}", megabytes(total)));
        let (sender, ended) = mpsc::channel::<()>();
        let result = thread::scope(|scope| {
            let name = &name;
            scope.spawn(move || {
                while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    say(format_args!(
                        "downloading {name}: {} of {} have come",
                        // What is on its way lies in apt's own folder.
                        megabytes(size(folder) + size(&self.folder.join("cache/archives"))),
                        megabytes(total)
                    ));
                }
            });
            let result = self.apt.run(download.args(packages));
            drop(sender);
            result
        })?;
        Ok(result.map(|_| wanted.iter().map(|one| folder.join(&one.file)).collect()))
    }
}

/// The folder of packages beside the one that they are unpacked into, which is locked: it stays where
/// something did not come, so that the rest need not come again.
struct Download(PathBuf);

impl Download {
    fn beside(root: &Path) -> Result<Self> {
        let folder = root.with_extension("packages");
        let partial = folder.join("partial");
        fs::create_dir_all(&partial).with_context(|| format!("mkdir({})", partial.display()))?;
        Ok(Self(folder))
    }

    fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.0).with_context(|| format!("remove({})", self.0.display()))
    }
}

/// What apt would fetch, by its list: `'URL' FILE SIZE CHECKSUM`.
fn wanted(text: &str) -> Vec<Wanted> {
    let lines = text.lines().filter(|line| line.starts_with('\''));
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let wanted = fields.filter_map(|fields| match fields[..] {
        [_, file, size, ..] => Some(Wanted {
            file: file.to_owned(),
            size: size.parse().ok()?,
        }),
        _ => None,
    });
    wanted.collect()
}

/// How much is in a folder and in those below it; what vanishes meanwhile does not count.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Unpacks one package; links to folders stay links.
fn unpack_into_links(package: &Path, root: &Path) -> Result<()> {
    let mut dpkg = DPKG_DEB.command()?;
    dpkg.arg("--fsys-tarfile").arg(package);
    let line = program::line(&dpkg);
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
    let done = program::output_from(&mut tar, pipe.into());
    let status = child.wait().with_context(|| format!("wait({line})"))?;
    done.with_context(|| format!("unpacking {}", package.display()))?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_fetch_is_read() {
        let text = "Reading package lists...\n\
                    'http://mirror.example/k/kmod_1%3a34.2-2_s390x.deb' kmod_1%3a34.2-2_s390x.deb 91680 SHA256:7f\n\
                    'http://mirror.example/l/libc6_2_s390x.deb' libc6_2_s390x.deb 8 SHA256:a0\n";
        let all = wanted(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].file, "kmod_1%3a34.2-2_s390x.deb");
        assert_eq!(all.iter().map(|one| one.size).sum::<u64>(), 91_688);
    }

    #[test]
    fn sizes_are_added_up() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("partial")).unwrap();
        fs::write(folder.path().join("a"), "12345").unwrap();
        fs::write(folder.path().join("partial/b"), "123").unwrap();
        assert_eq!(size(folder.path()), 8);
        assert_eq!(megabytes(1_250_000), "1.2 MB");
    }
}
