//! Debian's compiler, for targets that this machine's rustc has no libraries for.
//!
//! Compiler and libraries of another architecture come in packages of one version each, from archives
//! that reach their versions on different days: the folders in the cache are named after the version,
//! and each target has its own, so that one that cannot be had keeps no other from being built.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::debian::{Debian, Lists, Release};
use lab::lack::Unavailable;
use lab::program;
use lab::progress::say;
use qemu_tests::architecture::Architecture;

/// The releases with a Rust that is new enough for the workspace, the best first.
const RELEASES: [Release; 3] = ["trixie", "bookworm", "sid"];
/// Rust as Debian packages it to build browsers, newer than its `rustc`.
const COMPILER: &str = "rustc-web";
const LIBRARIES: &str = "libstd-rust-web-dev";
/// The source of the libraries, for targets that Debian packages none for.
const SOURCE: &str = "rust-web-src";
/// The script that starts the compiler.
const SCRIPT: &str = "rustc";

/// What the compiler is to have for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libraries {
    /// The packaged ones of an architecture.
    Packaged(Architecture),
    /// Their source.
    Source,
}

impl Libraries {
    fn name(self) -> &'static str {
        match self {
            Self::Packaged(architecture) => architecture.debian(),
            Self::Source => "source",
        }
    }

    /// What must be there below a folder.
    fn place(self, root: &Path) -> PathBuf {
        let rustlib = root.join("usr/lib/rustlib");
        match self {
            Self::Packaged(architecture) => rustlib.join(architecture.triple()).join("lib"),
            Self::Source => rustlib.join("src/rust/library/core"),
        }
    }
}

/// A script that starts Debian's compiler with these libraries, from the cache.
///
/// # Errors
/// Where they cannot be had.
pub fn with(libraries: Libraries, debian: &Debian) -> Result<PathBuf> {
    let host = Architecture::host().context("Debian has no compiler for this machine")?;
    if libraries == Libraries::Packaged(host) {
        let newest = debian.get(&RELEASES, host, |lists| {
            let version = lists.versions(COMPILER)?.into_iter().next();
            base(host, &version.context("a version")?, lists, debian)
        })?;
        return Ok(newest.join(SCRIPT));
    }
    let name = format!("{COMPILER}-{}-for-{}", host.debian(), libraries.name());
    let check = |root: &Path| has(root, host, libraries);
    let root = debian.cache().folder(&name, check, |root| {
        debian.get(&RELEASES, host, |ours| match libraries {
            Libraries::Source => fill(root, host, libraries, ours, ours, debian),
            Libraries::Packaged(other) => debian.get(&[ours.release()], other, |theirs| {
                fill(root, host, libraries, ours, theirs, debian)
            }),
        })
    })?;
    Ok(root.join(SCRIPT))
}

/// Whether a folder serves, and the compiler that it leads to is still there.
fn has(root: &Path, host: Architecture, libraries: Libraries) -> Result<()> {
    let all = [libraries, Libraries::Packaged(host)].map(|one| one.place(root));
    for path in all.into_iter().chain([root.join(SCRIPT)]) {
        ensure!(path.exists(), "there is no {}", path.display());
    }
    Ok(())
}

/// Fills `root` with `libraries` by the lists `theirs`, for a compiler of the same version by `ours`.
fn fill(
    root: &Path,
    host: Architecture,
    libraries: Libraries,
    ours: &Lists,
    theirs: &Lists,
    debian: &Debian,
) -> Result<()> {
    let package = match libraries {
        Libraries::Packaged(_) => LIBRARIES,
        Libraries::Source => SOURCE,
    };
    let known = ours.versions(COMPILER)?;
    let mut first = None;
    for version in theirs.versions(package)? {
        let try_one = || -> Result<()> {
            let same = known.iter().find(|one| stem(one) == stem(&version));
            let Some(compiler) = same else {
                // An archive in the middle of an update has different versions for a day or so.
                let reason = format!(
                    "the archive has {package} {version} for {} and no compiler of that version",
                    libraries.name()
                );
                return Err(Unavailable { reason, log: None }.into());
            };
            theirs.unpack(&[format!("{package}={version}")], root)?;
            let base = base(host, compiler, ours, debian)?;
            join(root, &base, host, libraries)
        };
        let Err(error) = try_one() else {
            return Ok(());
        };
        if Unavailable::behind(&error).is_none() {
            return Err(error);
        }
        say(format_args!("{error:#}: trying other versions"));
        first.get_or_insert(error);
    }
    Err(first.context("no version is named")?)
}

/// A version without the number of its rebuild, which architectures have one by one: `1.96-1+b1`.
fn stem(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((stem, rest)) if rest.bytes().all(|byte| byte.is_ascii_digit()) => stem,
        _ => version,
    }
}

/// The compiler of a version, with the libraries of this machine's own architecture.
fn base(host: Architecture, version: &str, lists: &Lists, debian: &Debian) -> Result<PathBuf> {
    let plain = version.replace([':', '~'], "-");
    let name = format!("{COMPILER}-{}-{plain}", host.debian());
    let check = |root: &Path| has(root, host, Libraries::Packaged(host));
    debian.cache().folder(&name, check, |root| {
        let mut packages = lists.closure(LIBRARIES)?;
        packages.retain(|name| name != LIBRARIES);
        packages.extend([LIBRARIES, COMPILER].map(|name| format!("{name}={version}")));
        lists.unpack(&packages, root)?;
        write_script(&root.join(SCRIPT), &start(host))?;
        try_out(root, host.triple())
    })
}

/// Joins libraries to a compiler: it looks for all of them in one place.
fn join(root: &Path, base: &Path, host: Architecture, libraries: Libraries) -> Result<()> {
    let rustlib = root.join("usr/lib/rustlib");
    fs::create_dir_all(&rustlib).with_context(|| format!("mkdir({})", rustlib.display()))?;
    let own = base.join("usr/lib/rustlib").join(host.triple());
    let link = rustlib.join(host.triple());
    symlink(&own, &link).with_context(|| format!("symlink({})", link.display()))?;
    let script = format!(
        "#!/bin/sh\nSYSROOT=${{0%/*}}/usr exec \"{}\" \"$@\"\n",
        base.join(SCRIPT).display()
    );
    write_script(&root.join(SCRIPT), &script)?;
    match libraries {
        Libraries::Packaged(architecture) => try_out(root, architecture.triple()),
        Libraries::Source => link_source(root, &rustlib),
    }
}

/// Puts the source where cargo looks for it; Debian's package has it under a version's name.
fn link_source(root: &Path, rustlib: &Path) -> Result<()> {
    let sources = root.join("usr/src");
    let listing = fs::read_dir(&sources).with_context(|| format!("list({})", sources.display()))?;
    let mut folders = listing.flatten().map(|entry| entry.path());
    let found = folders
        .find(|path| path.join("library/core").is_dir())
        .with_context(|| format!("{SOURCE} has no library/core in {}", sources.display()))?;
    let place = rustlib.join("src/rust");
    if place.join("library/core").is_dir() {
        return Ok(());
    }
    let _ = fs::remove_file(&place);
    fs::create_dir_all(rustlib.join("src")).context("mkdir(src)")?;
    let name = found.file_name().unwrap_or_default();
    symlink(Path::new("../../../src").join(name), &place)
        .with_context(|| format!("symlink({})", place.display()))
}

/// Whether the compiler takes the libraries: those of another build it does not.
fn try_out(root: &Path, triple: &str) -> Result<()> {
    let empty = root.join("empty.rs");
    fs::write(&empty, "#![no_std]\n").with_context(|| format!("write({})", empty.display()))?;
    let mut rustc = Command::new(root.join(SCRIPT));
    rustc.args(["--crate-type=lib", "--emit=metadata", "--target"]);
    rustc.args([OsStr::new(triple), empty.as_os_str()]);
    program::output(rustc.arg("--out-dir").arg(root))
        .with_context(|| format!("Debian's compiler cannot use its libraries for {triple}"))
        .map(drop)
}

fn write_script(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write({})", path.display()))?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).context("chmod(rustc)")
}

/// The script: the compiler on the loader and the libraries of its own release, which the system's
/// may be older than. Nothing of that reaches the programs that the compiler starts.
fn start(host: Architecture) -> String {
    let (gnu, loader) = match host {
        Architecture::X86_64 => (host.gnu(), "ld-linux-x86-64.so.2"),
        Architecture::Aarch64 => (host.gnu(), "ld-linux-aarch64.so.1"),
        Architecture::S390x => (host.gnu(), "ld64.so.1"),
    };
    format!(
        "#!/bin/sh\n\
         usr=${{0%/*}}/usr\n\
         exec \"$usr/lib/{gnu}/{loader}\" --library-path \"$usr/lib/{gnu}\" \
         \"$usr/bin/rustc\" --sysroot \"${{SYSROOT:-$usr}}\" \"$@\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use Architecture::S390x;

    #[test]
    fn rebuilds_are_one_version() {
        assert_eq!(stem("1.96.0+dfsg1-1~deb13u1+b1"), "1.96.0+dfsg1-1~deb13u1");
        assert_eq!(stem("1.96.0+bpo-1"), "1.96.0+bpo-1");
    }

    #[test]
    fn the_compiler_runs_on_its_own_loader() {
        assert_eq!(
            start(S390x),
            "#!/bin/sh\nusr=${0%/*}/usr\nexec \"$usr/lib/s390x-linux-gnu/ld64.so.1\" \
             --library-path \"$usr/lib/s390x-linux-gnu\" \"$usr/bin/rustc\" \
             --sysroot \"${SYSROOT:-$usr}\" \"$@\"\n"
        );
    }
}
