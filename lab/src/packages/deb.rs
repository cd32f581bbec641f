//! dpkg's package in Debian 12 and 13, with each of the tools that build images there.

use anyhow::{Result, ensure};

use super::course::{Course, Packages, look, name};
use super::root::{Root, ensure_same};
use crate::debian::Release;
use crate::program;
use crate::rig::Rig;
use crate::system::Recipe;
use crate::tools::{self, LINTIAN};

/// A release, and what is installed of it.
type Installed = &'static [(Release, &'static [&'static str])];

const INITRAMFS_TOOLS: &str = "dpkg-initramfs-tools";
const DRACUT: &str = "dpkg-dracut";

/// The rows, each with its system.
const SYSTEMS: [(&str, &str, Installed); 4] = [
    (
        "packages: Debian 12, initramfs-tools",
        INITRAMFS_TOOLS,
        &[("bookworm", &["initramfs-tools", "linux-base", "zstd"])],
    ),
    (
        "packages: Debian 13, initramfs-tools",
        INITRAMFS_TOOLS,
        &[("trixie", &["initramfs-tools", "linux-base", "zstd"])],
    ),
    (
        "packages: Debian 12, dracut",
        DRACUT,
        &[("bookworm", &["dracut", "linux-base", "zstd"])],
    ),
    (
        "packages: Debian 13, dracut",
        DRACUT,
        &[("trixie", &["dracut", "linux-base", "zstd"])],
    ),
];

/// A row for each.
pub(super) fn courses() -> Vec<Course> {
    let course = |(name, system, releases)| Course {
        name,
        recipe: Recipe {
            name: system,
            version: None,
            pool: &[],
            releases,
        },
        run,
    };
    SYSTEMS.map(course).into_iter().collect()
}

/// What a package may leave where it is removed and not purged, and the words of `setup` as it notes them.
const NOTED: [(&str, &str); 2] = [
    ("etc/vfio-bind/policy.conf", "vfio.bind=0000:42:00.0\n"),
    ("var/lib/vfio-bind/setup.json", "{}\n"),
];
/// The name of both executables, and of all that is ours.
const OURS: &str = "vfio-bind";

fn run(rig: &Rig<'_>, recipe: Recipe, packages: &Packages) -> Result<String> {
    let root = Root::new(rig, recipe)?;
    let image = root.image("initrd.img-");
    let release = root.release.clone();
    let (build, list) = match recipe.name {
        DRACUT => (vec!["/etc/kernel/postinst.d/dracut", &*release], "lsinitrd"),
        _ => (
            vec!["update-initramfs", "-c", "-k", &*release],
            "lsinitramfs",
        ),
    };
    root.run(&build)?;
    let inside = |step: &str, expected: bool| -> Result<()> {
        let text = root.run(&[list, &format!("/{image}")])?;
        ensure!(text.contains("modprobe"), "{step}: {list} says {text}");
        look(step, &text, expected)
    };
    inside("before", false)?;
    let before = root.names()?;
    let first = root.put(&packages.deb.first)?;
    let newer = root.put(&packages.deb.newer)?;
    // A step, and whether the image has us behind it.
    let step = |step: &str, words: &[&str], expected: bool| -> Result<String> {
        root.age(&image)?;
        let said = root.run(words)?;
        root.ensure_built(step, &image)?;
        inside(step, expected)?;
        Ok(said)
    };
    step("installing", &["dpkg", "--install", &first], true)?;
    let verified = root.run(&["dpkg", "--verify", OURS])?;
    ensure!(verified.is_empty(), "dpkg --verify says {verified}");
    root.run(&["vfio-bind", "--version"])?;
    root.run(&["vfio-bind-agent", "--version"])?;
    let own = root.names()?;
    let foreign = own.difference(&before).filter(|place| {
        let text = place.to_string_lossy();
        !text.contains(OURS)
    });
    let folders = ["etc", "initcpio", "mkinitcpio"];
    for place in foreign {
        let words = place.iter().map(|word| word.to_string_lossy());
        let mut bad = words.filter(|word| folders.contains(&&**word));
        ensure!(bad.next().is_none(), "it brings {}", place.display());
    }
    step("installing again", &["dpkg", "--install", &first], true)?;
    step("upgrading", &["dpkg", "--install", &newer], true)?;
    let version = root.run(&["dpkg-query", "--show", "--showformat=${Version}", OURS])?;
    let wanted = name(&packages.deb.newer);
    ensure!(
        wanted.contains(&format!("_{version}_")),
        "{version} is installed"
    );
    for (place, text) in NOTED {
        root.write(place, text)?;
    }
    let enable = ["systemctl", "enable", "vfio-bind-verify.service"];
    root.run(&enable)?;
    let said = step("removing", &["dpkg", "--remove", OURS], false)?;
    ensure!(
        said.contains("setup --undo"),
        "removing it says nothing of the words that are set: {said}"
    );
    for (place, _) in NOTED {
        ensure!(root.place(place).exists(), "removing took {place}");
    }
    step(
        "installing after a removal",
        &["dpkg", "--install", &first],
        true,
    )?;
    step("purging", &["dpkg", "--purge", OURS], false)?;
    ensure_same("purging", &before, &root.names()?)?;
    tools::ensure_all(&[LINTIAN])?;
    let mut lintian = LINTIAN.command()?;
    lintian.args([
        "--info",
        "--tag-display-limit=0",
        "--fail-on=error,warning,info",
    ]);
    // Of what concerns the archive only.
    lintian.arg("--allow-root").arg(&packages.deb.first);
    let said = program::output(lintian.env("LC_ALL", "C"))?;
    ensure!(said.trim().is_empty(), "lintian says {said}");
    Ok(format!(
        "{} files and folders come and go",
        own.difference(&before).count()
    ))
}
