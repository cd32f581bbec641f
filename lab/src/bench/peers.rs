//! What is measured beside the agent: a shell for hooks, and driverctl.

use std::path::Path;

use anyhow::{Result, ensure};

use super::machine::ARCHITECTURE;
use crate::rig::Rig;
use crate::userland::{self, Files, RELEASES};

/// Where an image has driverctl.
pub const DRIVERCTL: &str = "usr/sbin/driverctl";
/// The package of the same name.
const PACKAGE: &str = "driverctl";
/// The programs that it runs besides kmod, and the packages that have them. udev it needs only in order to be
/// started.
const PROGRAMS: [(&str, &str); 3] = [
    ("bash", "bash"),
    ("realpath", "coreutils"),
    ("cut", "coreutils"),
];

/// The shell and its libraries.
///
/// # Errors
/// Where it cannot be had.
pub fn shell(rig: &Rig<'_>) -> Result<Files> {
    userland::packaged("dash", ARCHITECTURE, rig.debian())
}

/// driverctl, what it runs, and the libraries of that.
///
/// # Errors
/// Where it cannot be had.
pub fn driverctl(rig: &Rig<'_>) -> Result<Files> {
    let check = |root: &Path| files(root).map(drop);
    let debian = rig.debian();
    let (_, root) = debian.unpacked(&RELEASES, ARCHITECTURE, PACKAGE, check, |lists, root| {
        let mut packages = vec![PACKAGE.to_owned()];
        for (_, package) in PROGRAMS {
            packages.extend(lists.closure(package)?);
        }
        packages.sort();
        packages.dedup();
        lists.unpack(&packages, root)
    })?;
    files(&root)
}

fn files(root: &Path) -> Result<Files> {
    let script = root.join(DRIVERCTL);
    ensure!(script.is_file(), "no {DRIVERCTL} in {}", root.display());
    let mut files = Files::from([(DRIVERCTL.to_owned(), script)]);
    for (program, _) in PROGRAMS {
        files.extend(userland::collect(program, root, ARCHITECTURE)?);
    }
    Ok(files)
}
