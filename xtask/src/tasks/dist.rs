//! Packages, and what goes with them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::debian::Debian;
use lab::files;
use lab::progress::say;
use qemu_tests::architecture::Architecture;

use crate::dist::built::Built;
use crate::dist::{Time, VERSION, arch, deb, notes, rpm, sbom, source, sums};
use crate::install::Packaging;
use crate::workspace;

/// Make packages of the list of installed files: .deb, .rpm and pacman's, the same bytes each time.
///
/// Beside them in the folder: the source, a PKGBUILD that builds it, the licences of what is linked, a bill of
/// materials (CycloneDX), what is new in the release, and SHA256SUMS. The last lines of the output are the paths. Times are those of the last
/// commit, or $SOURCE_DATE_EPOCH.
#[derive(Clone, Debug, clap::Args)]
pub struct Dist {
    /// Only for this architecture: x86_64, aarch64 or s390x. All of them where none is named, but that Arch has
    /// no s390x.
    #[arg(long, value_name = "NAME", value_parser = architecture)]
    architecture: Vec<Architecture>,
    /// Only this kind of package.
    #[arg(long, value_enum)]
    packaging: Vec<Packaging>,
    /// Where they go: target/dist where none is named. `stage` in it has what they are made of.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

fn architecture(name: &str) -> Result<Architecture, String> {
    let mut all = Architecture::ALL.into_iter();
    let found = all.find(|one| one.name() == name);
    found.ok_or_else(|| {
        format!(
            "there are {}",
            Architecture::ALL.map(Architecture::name).join(", ")
        )
    })
}

/// Makes them.
///
/// # Errors
/// Where something cannot be had, built, read or written.
pub fn run(options: &Dist, debian: &Debian) -> Result<bool> {
    let default = || workspace::folder().join("target/dist");
    let folder = options.folder.clone().unwrap_or_else(default);
    for path in make(options, &folder, debian)? {
        println!("{}", path.display());
    }
    Ok(true)
}

impl Dist {
    /// All packages for one architecture.
    #[must_use]
    pub fn only(architecture: Architecture) -> Self {
        Self {
            architecture: vec![architecture],
            packaging: Vec::new(),
            folder: None,
        }
    }
}

/// Makes them in `folder`; gives their paths, and those of what goes with them.
///
/// # Errors
/// Where something cannot be had, built, read or written.
pub fn make(options: &Dist, folder: &Path, debian: &Debian) -> Result<Vec<PathBuf>> {
    let time = Time::of(workspace::folder())?;
    fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
    // Their names may be told by programs that run elsewhere.
    let folder = fs::canonicalize(folder).with_context(|| format!("path({})", folder.display()))?;
    let architectures = match &options.architecture[..] {
        [] => &Architecture::ALL,
        some => some,
    };
    let is_wanted =
        |one: Packaging| options.packaging.is_empty() || options.packaging.contains(&one);
    let mut made = Vec::new();
    for architecture in architectures.iter().copied() {
        let built = Built::new(architecture, debian)?;
        let package = built.package(1, time);
        let write = |end: &str, text: &str| -> Result<PathBuf> {
            let path = folder.join(format!("vfio-bind-{VERSION}-{architecture}{end}"));
            files::write(&path, text.as_bytes(), 0o644)?;
            Ok(path)
        };
        made.push(write(".licences.txt", &built.licences)?);
        let bill = sbom::text(&package, &built.linked, &built.compiler)?;
        made.push(write(".cdx.json", &bill)?);
        if is_wanted(Packaging::Deb) {
            made.push(deb::build(&package, &folder)?);
        }
        if is_wanted(Packaging::Rpm) {
            made.push(rpm::build(&package, &folder)?);
        }
        if is_wanted(Packaging::Arch) && arch::has(architecture) {
            made.push(arch::build(&package, &folder)?);
        }
    }
    let archive = source::write(time, &folder)?;
    made.push(arch::pkgbuild(&archive, &folder)?);
    made.push(archive);
    let changes = workspace::folder().join("CHANGELOG.md");
    let changes =
        fs::read_to_string(&changes).with_context(|| format!("read({})", changes.display()))?;
    let path = folder.join(format!("vfio-bind-{VERSION}.md"));
    files::write(&path, notes::of(&changes, VERSION)?.as_bytes(), 0o644)?;
    made.push(path);
    made.sort();
    let path = folder.join("SHA256SUMS");
    files::write(&path, sums("sha256sum", &folder, &made)?.as_bytes(), 0o644)?;
    made.push(path);
    say(format_args!(
        "{} files of {}",
        made.len(),
        time.format("+%F %T")?
    ));
    Ok(made)
}
