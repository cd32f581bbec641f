//! pacman's package, by the pacman that Debian has: no Arch, and no mkinitcpio.

use anyhow::{Result, ensure};

use super::course::{Course, Packages, name};
use super::root::{Root, ensure_same};
use crate::rig::Rig;
use crate::system::Recipe;

/// The row.
pub(super) fn course() -> Course {
    Course {
        name: "packages: pacman of Debian 13",
        recipe: Recipe {
            name: "pacman",
            version: None,
            pool: &[],
            releases: &[(
                "trixie",
                &[
                    "bash",
                    "libarchive-tools",
                    "makepkg",
                    "pacman-package-manager",
                    "zstd",
                ],
            )],
        },
        run,
    }
}

/// pacman knows nothing of what dpkg installed, and nobody signed the package.
const PACMAN: [&str; 2] = ["pacman", "--noconfirm"];
const OURS: &str = "vfio-bind";
/// A hook as mkinitcpio has one: what it watches is written to a file when something changed.
const HOOK: &str = "[Trigger]\nType = Path\nOperation = Install\nOperation = Upgrade\nOperation = Remove\n\
                    Target = usr/lib/initcpio/*\n[Action]\nWhen = PostTransaction\nExec = /bin/touch /images\n";
/// What mkinitcpio does with its configuration and its drop-ins.
const HOOKS: &str = "HOOKS=(base udev); for file in /etc/mkinitcpio.conf.d/*.conf; do [ ! -e \"$file\" ] || \
                     . \"$file\" || exit; done; echo \"${HOOKS[*]}\"";

fn run(rig: &Rig<'_>, recipe: Recipe, packages: &Packages) -> Result<String> {
    let root = Root::new(rig, recipe)?;
    root.write("usr/share/libalpm/hooks/90-test.hook", HOOK)?;
    root.write(
        "etc/pacman.conf",
        "[options]\nArchitecture = auto\nSigLevel = Never\nLocalFileSigLevel = Never\n",
    )?;
    for folder in ["var/lib/pacman/local/.x", "var/cache/pacman/pkg/.x"] {
        root.write(folder, "")?;
    }
    let before = root.names()?;
    let first = root.put(&packages.arch.first)?;
    let newer = root.put(&packages.arch.newer)?;
    let pacman = |words: &[&str]| root.run(&[&PACMAN, words].concat());
    let hooks = || root.run(&["bash", "-c", HOOKS]);
    // A step, behind which mkinitcpio's hook has run, and its HOOKS are these.
    let step = |step: &str, words: &[&str], expected: &str| -> Result<()> {
        let mark = root.place("images");
        let _ = std::fs::remove_file(&mark);
        pacman(words)?;
        ensure!(mark.exists(), "{step}: pacman's hook did not run");
        let hooks = hooks()?;
        ensure!(hooks.trim() == expected, "{step}: HOOKS are {hooks}");
        Ok(())
    };
    let install = |path| ["--upgrade", "--nodeps", "--nodeps", path];
    step("installing", &install(&first), "vfio-bind base udev")?;
    let checked = pacman(&["--query", "--check", "--check", OURS])?;
    ensure!(
        checked.contains(" 0 altered files"),
        "pacman says {checked}"
    );
    root.run(&["vfio-bind", "--version"])?;
    step("installing again", &install(&first), "vfio-bind base udev")?;
    step("upgrading", &install(&newer), "vfio-bind base udev")?;
    let version = pacman(&["--query", OURS])?.trim().replace(' ', "-");
    ensure!(
        name(&packages.arch.newer).starts_with(&version),
        "{version} is installed"
    );
    // One that its owner changed stays, under a name that nobody reads.
    let drop_in = "etc/mkinitcpio.conf.d/zz-vfio-bind.conf";
    let text = std::fs::read_to_string(root.place(drop_in))?;
    root.write(drop_in, &format!("{text}# mine\n"))?;
    step("removing", &["--remove", OURS], "base udev")?;
    let saved = root.place(&format!("{drop_in}.pacsave"));
    ensure!(saved.exists(), "pacman saved no {drop_in}");
    // One that was left behind asks for nothing.
    std::fs::rename(&saved, root.place(drop_in))?;
    let left = hooks()?;
    ensure!(left.trim() == "base udev", "left behind: HOOKS are {left}");
    std::fs::remove_dir_all(root.place("etc/mkinitcpio.conf.d"))?;
    let _ = std::fs::remove_file(root.place("images"));
    ensure_same("removing", &before, &root.names()?)?;
    let folder = root.put(&packages.pkgbuild)?;
    let folder = folder.trim_end_matches("/PKGBUILD");
    let print = format!(
        "chmod 777 {folder} && cd {folder} && exec setpriv --reuid 65534 makepkg --printsrcinfo"
    );
    let read = root.run(&["sh", "-c", &print])?;
    for line in ["pkgbase = vfio-bind", "arch = x86_64", "depends = kmod"] {
        ensure!(read.contains(line), "makepkg reads of PKGBUILD: {read}");
    }
    Ok("the hook is one of ours that watches what mkinitcpio's does".to_owned())
}
