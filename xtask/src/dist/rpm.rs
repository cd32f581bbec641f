//! The package for Fedora, openSUSE and their kin, by rpmbuild.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::program;
use lab::tools::{self, RPMBUILD};

use super::stage::{self, LICENCES, source};
use super::{MAINTAINER, Package};
use crate::install::Packaging;
use crate::workspace;

/// Writes it into `folder`; gives its path.
///
/// # Errors
/// Where rpmbuild cannot be had, or something not be read or written.
pub fn build(package: &Package<'_>, folder: &Path) -> Result<PathBuf> {
    tools::ensure_all(&[RPMBUILD])?;
    let architecture = package.architecture;
    // rpmbuild wants whole paths.
    let folder = fs::canonicalize(folder).with_context(|| format!("path({})", folder.display()))?;
    let top = folder.join(format!("stage/rpm-{architecture}"));
    let root = top.join("root");
    stage::fill(package, Packaging::Rpm, &documents(package)?, &root)?;
    stage::settle(&root, package.time)?;
    let list = top.join("files");
    lab::files::write(&list, lines(&root)?.as_bytes(), 0o644)?;
    let mut rpmbuild = RPMBUILD.command()?;
    rpmbuild.args(["-bb", "--quiet", "--target", architecture.name()]);
    for (name, value) in [
        ("_topdir", top.display().to_string()),
        ("_rpmdir", folder.display().to_string()),
        (
            "_rpmfilename",
            "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".to_owned(),
        ),
        ("vfio_bind_version", package.version.to_owned()),
        ("vfio_bind_revision", package.revision.to_string()),
        ("vfio_bind_maintainer", MAINTAINER.to_owned()),
        ("vfio_bind_day", package.time.format("+%a %b %d %Y")?),
        ("vfio_bind_stage", root.display().to_string()),
        ("vfio_bind_files", list.display().to_string()),
        // No trace of when, where and on what it was made.
        ("use_source_date_epoch_as_buildtime", "1".to_owned()),
        ("clamp_mtime_to_source_date_epoch", "1".to_owned()),
        ("source_date_epoch_from_changelog", "0".to_owned()),
        ("_buildhost", "vfio-bind".to_owned()),
        ("_binary_payload", "w19.zstdio".to_owned()),
        ("_build_id_links", "none".to_owned()),
        // Debian's rpm knows neither kind of system.
        ("_host_os", "linux".to_owned()),
        ("_dbpath", top.join("db").display().to_string()),
    ] {
        rpmbuild.arg("--define").arg(format!("{name} {value}"));
    }
    rpmbuild.env("SOURCE_DATE_EPOCH", package.time.0.to_string());
    let spec = workspace::folder().join("packaging/rpm/vfio-bind.spec");
    program::output(rpmbuild.arg(&spec))?;
    let name = format!("vfio-bind-{}.{architecture}.rpm", package.full_version());
    Ok(folder.join(name))
}

/// What Fedora's and openSUSE's rules want beside the files.
fn documents(package: &Package<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = stage::licences(package)?;
    all.push((
        "usr/share/doc/vfio-bind/CHANGELOG.md".to_owned(),
        source("CHANGELOG.md")?,
    ));
    Ok(all)
}

/// The files as rpmbuild's `%files` has them, with the folders that are ours alone.
fn lines(root: &Path) -> Result<String> {
    let mut text = String::new();
    for file in stage::files(root)? {
        let metadata = fs::metadata(&file).with_context(|| format!("stat({})", file.display()))?;
        let mode = metadata.permissions().mode() & 0o777;
        let place = file.strip_prefix(root).unwrap_or(&file);
        let kind = match place {
            _ if place.starts_with("usr/share/licenses") => "%license ",
            _ if place.starts_with("usr/share/doc") => "%doc ",
            _ => "",
        };
        // Infallible.
        let _ = writeln!(text, "%attr({mode:o},root,root) {kind}/{}", place.display());
    }
    for folder in OWN_FOLDERS {
        let _ = writeln!(text, "%dir %attr(755,root,root) /{folder}");
    }
    Ok(text)
}

/// Folders that no other package needs to have.
const OWN_FOLDERS: [&str; 7] = [
    LICENCES,
    "usr/lib/dracut/modules.d/50vfio-bind",
    "usr/share/doc/vfio-bind",
    "usr/share/fish",
    "usr/share/fish/vendor_completions.d",
    "usr/share/zsh",
    "usr/share/zsh/site-functions",
];
