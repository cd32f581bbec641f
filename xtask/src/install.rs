//! Every file in its place, under any root: what a package does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::bench::workspace;

/// Where the agent goes; hooks, unit and archive name it.
pub const AGENT: &str = "usr/bin/vfio-bind-agent";

/// A file: where it is in the repository, where it goes, and its mode.
type Place = (&'static str, &'static str, u32);

/// Everything but the agent.
const FILES: [Place; 10] = [
    (
        "dracut/50vfio-bind/module-setup.sh",
        "usr/lib/dracut/modules.d/50vfio-bind/module-setup.sh",
        0o755,
    ),
    (
        "dracut/50vfio-bind/vfio-bind.sh",
        "usr/lib/dracut/modules.d/50vfio-bind/vfio-bind.sh",
        0o755,
    ),
    (
        "dracut/50-vfio-bind.conf",
        "usr/lib/dracut/dracut.conf.d/50-vfio-bind.conf",
        0o644,
    ),
    (
        "initramfs-tools/hooks/vfio-bind",
        "usr/share/initramfs-tools/hooks/vfio-bind",
        0o755,
    ),
    (
        "initramfs-tools/scripts/init-top/00-vfio-bind",
        "usr/share/initramfs-tools/scripts/init-top/00-vfio-bind",
        0o755,
    ),
    (
        "mkinitcpio/install/vfio-bind",
        "usr/lib/initcpio/install/vfio-bind",
        0o644,
    ),
    (
        "mkinitcpio/hooks/vfio-bind",
        "usr/lib/initcpio/hooks/vfio-bind",
        0o644,
    ),
    // mkinitcpio reads no drop-ins from /usr.
    (
        "mkinitcpio/zz-vfio-bind.conf",
        "etc/mkinitcpio.conf.d/zz-vfio-bind.conf",
        0o644,
    ),
    (
        "systemd/vfio-bind.service",
        "usr/lib/systemd/system/vfio-bind.service",
        0o644,
    ),
    (
        "man/vfio-bind-agent.8",
        "usr/share/man/man8/vfio-bind-agent.8",
        0o644,
    ),
];

/// The files of an installation with this agent: from where, to where under the root, and the mode.
#[must_use]
pub fn files(agent: &Path) -> Vec<(PathBuf, &'static str, u32)> {
    let rest = FILES
        .iter()
        .map(|(from, to, mode)| (workspace().join(from), *to, *mode));
    let agent = std::iter::once((agent.to_owned(), AGENT, 0o755));
    agent.chain(rest).collect()
}

/// Lays every file in its place under `root`.
///
/// # Errors
/// Where one cannot be read or written.
pub fn install(agent: &Path, root: &Path) -> Result<()> {
    for (from, to, mode) in files(agent) {
        let content = fs::read(&from).with_context(|| format!("read({})", from.display()))?;
        write(&root.join(to), &content, mode)?;
    }
    Ok(())
}

/// Writes a file as a whole: a program that runs, or a hard link to what is there, stays as it is.
///
/// # Errors
/// Where it cannot be written.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("mkdir({})", folder.display()))?;
    let mut name = path.file_name().context("a file has a name")?.to_owned();
    name.push(".new");
    let new = folder.join(name);
    let fill = || -> std::io::Result<()> {
        fs::write(&new, content)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
        fs::rename(&new, path)
    };
    fill().with_context(|| format!("write({})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_lands_where_the_scripts_look_for_it() {
        let root = tempfile::tempdir().unwrap();
        let agent = root.path().join("built");
        fs::write(&agent, "agent").unwrap();
        install(&agent, root.path()).unwrap();
        // A second time over the first.
        install(&agent, root.path()).unwrap();
        let installed = root.path().join(AGENT);
        assert_eq!(fs::read(&installed).unwrap(), b"agent");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&installed), 0o755);
        for (from, to, expected) in files(&agent) {
            let path = root.path().join(to);
            assert_eq!(mode(&path), expected, "{to}");
            assert_eq!(fs::read(from).unwrap(), fs::read(path).unwrap(), "{to}");
        }
        let left: Vec<_> = fs::read_dir(root.path().join("usr/bin")).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn every_script_names_the_agent_by_its_place() {
        for (from, to, _) in files(Path::new("/dev/null")) {
            let text = fs::read_to_string(&from).unwrap();
            let runs = ["scripts/init-top", "hooks/", "vfio-bind.sh", ".service"];
            if runs.iter().any(|piece| to.contains(piece)) {
                assert!(text.contains("/usr/bin/vfio-bind-agent"), "{to}");
            }
        }
    }
}
