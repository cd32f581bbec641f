//! Every file in its place, under any root: what a package does, each kind with what its systems read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use lab::files::write;
use lab::supply::{AGENT, COMMAND, Executables};

use crate::workspace;

/// A file: where it is in the repository, where it goes, and its mode.
type Entry = (&'static str, &'static str, u32);

/// A manual page of section 8.
macro_rules! page {
    ($name:literal) => {
        (
            concat!("man/", $name, ".8"),
            concat!("usr/share/man/man8/", $name, ".8"),
            0o644,
        )
    };
}

/// Everything but the executables.
const FILES: &[Entry] = &[
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
        "dracut/50vfio-bind/give-back.sh",
        "usr/lib/dracut/modules.d/50vfio-bind/give-back.sh",
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
        "initramfs-tools/scripts/local-block/00-vfio-bind",
        "usr/share/initramfs-tools/scripts/local-block/00-vfio-bind",
        0o755,
    ),
    (
        "initramfs-tools/scripts/panic/vfio-bind",
        "usr/share/initramfs-tools/scripts/panic/vfio-bind",
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
        "systemd/vfio-bind-give-back.service",
        "usr/lib/systemd/system/vfio-bind-give-back.service",
        0o644,
    ),
    (
        "systemd/vfio-bind-verify.service",
        "usr/lib/systemd/system/vfio-bind-verify.service",
        0o644,
    ),
    (
        "systemd/vfio-bind-finish.service",
        "usr/lib/systemd/system/vfio-bind-finish.service",
        0o644,
    ),
    (
        "systemd/vfio-bind-metrics.service",
        "usr/lib/systemd/system/vfio-bind-metrics.service",
        0o644,
    ),
    (
        "systemd/vfio-bind-metrics.timer",
        "usr/lib/systemd/system/vfio-bind-metrics.timer",
        0o644,
    ),
    (
        "systemd/vfio-bind-features.service",
        "usr/lib/systemd/system/vfio-bind-features.service",
        0o644,
    ),
    (
        "systemd/vfio-bind-features.timer",
        "usr/lib/systemd/system/vfio-bind-features.timer",
        0o644,
    ),
    (
        "systemd/vfio-bind-root.target",
        "usr/lib/systemd/system/vfio-bind-root.target",
        0o644,
    ),
    (
        "completions/vfio-bind.bash",
        "usr/share/bash-completion/completions/vfio-bind",
        0o644,
    ),
    (
        "completions/_vfio-bind",
        "usr/share/zsh/site-functions/_vfio-bind",
        0o644,
    ),
    (
        "completions/vfio-bind.fish",
        "usr/share/fish/vendor_completions.d/vfio-bind.fish",
        0o644,
    ),
    page!("vfio-bind"),
    page!("vfio-bind-agent"),
    page!("vfio-bind-capture"),
    page!("vfio-bind-doctor"),
    page!("vfio-bind-export"),
    page!("vfio-bind-list"),
    page!("vfio-bind-plan"),
    page!("vfio-bind-release"),
    page!("vfio-bind-setup"),
    page!("vfio-bind-status"),
    page!("vfio-bind-words"),
];

/// A kind of package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Packaging {
    /// Debian and its kin.
    Deb,
    /// Fedora, openSUSE and their kin.
    Rpm,
    /// Arch and its kin.
    Arch,
}

/// What only one tool reads lies below these places, and which packages it is in: those of systems that have
/// the tool. All else is in each package.
const READERS: [(&str, &[Packaging]); 4] = [
    (
        "usr/lib/dracut/",
        &[Packaging::Deb, Packaging::Rpm, Packaging::Arch],
    ),
    ("usr/share/initramfs-tools/", &[Packaging::Deb]),
    ("usr/lib/initcpio/", &[Packaging::Arch]),
    // A file of /etc would stay behind where dpkg removes the rest, and ask for what is gone.
    ("etc/mkinitcpio.conf.d/", &[Packaging::Arch]),
];

impl Packaging {
    /// Whether it has the file at `place`.
    #[must_use]
    pub fn has(self, place: &str) -> bool {
        let reader = READERS.iter().find(|(start, _)| place.starts_with(start));
        reader.is_none_or(|(_, packagings)| packagings.contains(&self))
    }
}

/// The files of an installation, or of a kind of package: from where, to where under the root, and the mode.
#[must_use]
pub fn files(
    executables: Executables<'_>,
    packaging: Option<Packaging>,
) -> Vec<(PathBuf, &'static str, u32)> {
    let rest = FILES
        .iter()
        .map(|(from, to, mode)| (workspace::folder().join(from), *to, *mode));
    let Executables { agent, command } = executables;
    let built = [(agent, AGENT), (command, COMMAND)];
    let built = built.map(|(from, to)| (from.to_owned(), to, 0o755));
    let has = |place: &str| packaging.is_none_or(|one| one.has(place));
    let all = built.into_iter().chain(rest);
    all.filter(|(_, to, _)| has(to)).collect()
}

/// Lays every file in its place under `root`; those of a kind of package, where one is named.
///
/// # Errors
/// Where one cannot be read or written.
pub fn install(
    executables: Executables<'_>,
    packaging: Option<Packaging>,
    root: &Path,
) -> Result<()> {
    for (from, to, mode) in files(executables, packaging) {
        let content = fs::read(&from).with_context(|| format!("read({})", from.display()))?;
        write(&root.join(to), &content, mode)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn everything_lands_where_the_scripts_look_for_it() {
        let root = tempfile::tempdir().unwrap();
        let [agent, command] = ["agent", "command"].map(|name| {
            let path = root.path().join(name);
            fs::write(&path, name).unwrap();
            path
        });
        let executables = Executables {
            agent: &agent,
            command: &command,
        };
        install(executables, None, root.path()).unwrap();
        // A second time over the first.
        install(executables, None, root.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for (place, content) in [(AGENT, b"agent".as_slice()), (COMMAND, b"command")] {
            let installed = root.path().join(place);
            assert_eq!(fs::read(&installed).unwrap(), content);
            assert_eq!(mode(&installed), 0o755);
        }
        for (from, to, expected) in files(executables, None) {
            let path = root.path().join(to);
            assert_eq!(mode(&path), expected, "{to}");
            assert_eq!(fs::read(from).unwrap(), fs::read(path).unwrap(), "{to}");
        }
        let left: Vec<_> = fs::read_dir(root.path().join("usr/bin")).unwrap().collect();
        assert_eq!(left.len(), 2);
    }

    #[test]
    fn a_package_has_what_its_systems_read_and_only_arch_a_file_of_etc() {
        let places = |packaging: Packaging| FILES.iter().filter(move |one| packaging.has(one.1));
        for (packaging, has, has_not) in [
            (Packaging::Deb, "initramfs-tools/hooks", "initcpio"),
            (Packaging::Rpm, "dracut/modules.d", "initramfs-tools"),
            (Packaging::Arch, "initcpio/hooks", "initramfs-tools"),
        ] {
            let all: Vec<_> = places(packaging).map(|one| one.1).collect();
            assert!(all.iter().any(|place| place.contains(has)), "{packaging:?}");
            assert!(!all.iter().any(|place| place.contains(has_not)));
            assert!(all.contains(&"usr/lib/systemd/system/vfio-bind.service"));
            let etc = all.iter().any(|place| place.starts_with("etc/"));
            assert_eq!(etc, packaging == Packaging::Arch);
        }
        for (start, _) in READERS {
            assert!(FILES.iter().any(|one| one.1.starts_with(start)), "{start}");
        }
    }

    #[test]
    fn every_script_names_the_executables_by_their_places() {
        for (from, to, _) in FILES {
            let text = fs::read_to_string(workspace::folder().join(from)).unwrap();
            let runs = ["scripts/init-top", "hooks/", "vfio-bind.sh", ".service"];
            if runs.iter().any(|piece| to.contains(piece)) {
                // In the real root the command is what runs.
                let real_root = [
                    ("vfio-bind-verify.service", "verify\n"),
                    ("vfio-bind-finish.service", "verify\n"),
                    ("vfio-bind-metrics.service", "export --to prometheus "),
                    ("vfio-bind-features.service", "export --to nfd "),
                ];
                let own = match real_root.iter().find(|(unit, _)| to.ends_with(unit)) {
                    Some((_, word)) => format!("=/{COMMAND} {word}"),
                    None => format!("/{AGENT}"),
                };
                assert!(text.contains(&own), "{to}");
            }
            let builds = [
                "module-setup.sh",
                "initramfs-tools/hooks",
                "initcpio/install",
            ];
            if builds.iter().any(|piece| to.contains(piece)) {
                let ends = [" ", "\n", ";"];
                let names = |end| text.contains(&format!("/{COMMAND}{end}"));
                assert!(ends.iter().any(names), "{to}");
            }
        }
    }
}
