//! rpm's package, by the rpm that Debian has, with Debian's dracut: no Fedora and no openSUSE.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::course::{Course, Packages, look, name};
use super::root::{Root, ensure_same};
use crate::program;
use crate::rig::Rig;
use crate::system::Recipe;
use crate::tools::{self, RPMLINT};

/// The row.
pub(super) fn course() -> Course {
    Course {
        name: "packages: rpm and dracut of Debian 13",
        recipe: Recipe {
            name: "rpm-dracut",
            version: None,
            pool: &[],
            releases: &[("trixie", &["dracut", "rpm", "zstd"])],
        },
        run,
    }
}

/// rpm knows nothing of what dpkg installed.
const RPM: [&str; 2] = ["rpm", "--nodeps"];
const OURS: &str = "vfio-bind";

fn run(rig: &Rig<'_>, _: Recipe, packages: &Packages) -> Result<String> {
    let root = Root::new(rig, course().recipe)?;
    root.run(&["rpm", "--initdb"])?;
    // Of the package filesystem, which is on all systems that have rpm.
    let licences = root.place("usr/share/licenses");
    fs::create_dir_all(&licences).with_context(|| format!("mkdir({})", licences.display()))?;
    root.run(&["dracut", "--force", "--regenerate-all"])?;
    let image = image(&root)?;
    let inside = |step: &str, expected: bool| -> Result<()> {
        let text = root.run(&["lsinitrd", &format!("/{image}")])?;
        ensure!(text.contains("modprobe"), "{step}: lsinitrd says {text}");
        look(step, &text, expected)
    };
    inside("before", false)?;
    let before = root.names()?;
    let first = root.put(&packages.rpm.first)?;
    let newer = root.put(&packages.rpm.newer)?;
    let rpm = |words: &[&str]| root.run(&[&RPM, words].concat());
    let step = |step: &str, words: &[&str], expected: bool| -> Result<String> {
        root.age(&image)?;
        let said = rpm(words)?;
        root.ensure_built(step, &image)?;
        inside(step, expected)?;
        Ok(said)
    };
    step("installing", &["--install", &first], true)?;
    let verified = rpm(&["--verify", OURS])?;
    ensure!(verified.is_empty(), "rpm --verify says {verified}");
    let needs = root.run(&["rpm", "--query", "--requires", OURS])?;
    for need in ["kmod", "libc.so.6(GLIBC_", "libgcc_s.so.1"] {
        ensure!(needs.contains(need), "it does not require {need}: {needs}");
    }
    step("installing again", &["--reinstall", &first], true)?;
    step("upgrading", &["--upgrade", &newer], true)?;
    let version = root.run(&["rpm", "--query", OURS])?;
    let wanted = name(&packages.rpm.newer);
    ensure!(wanted.starts_with(version.trim()), "{version} is installed");
    root.write("var/lib/vfio-bind/setup.json", "{}\n")?;
    root.run(&["systemctl", "enable", "vfio-bind-verify.service"])?;
    let said = step("removing", &["--erase", OURS], false)?;
    ensure!(
        said.contains("setup --undo"),
        "removing it says nothing of the words that are set: {said}"
    );
    // What setup noted is its owner's.
    let folder = root.place("var/lib/vfio-bind");
    fs::remove_dir_all(&folder).with_context(|| format!("rm({})", folder.display()))?;
    ensure_same("removing", &before, &root.names()?)?;
    // On ostree the image is not built where a package is installed.
    root.age(&image)?;
    let layer = format!(
        "touch /run/ostree-booted && {} --install {first}",
        RPM.join(" ")
    );
    root.run(&["sh", "-c", &layer])?;
    let built = root.ensure_built("installing on ostree", &image);
    ensure!(built.is_err(), "on ostree the image is built");
    tools::ensure_all(&[RPMLINT])?;
    let mut rpmlint = RPMLINT.command()?;
    rpmlint.arg("--config").arg(&packages.rpmlint);
    let said = program::output(rpmlint.arg(&packages.rpm.first))?;
    let last = said.lines().rev().find(|line| line.contains("errors"));
    let last = last.with_context(|| format!("rpmlint says {said}"))?;
    ensure!(
        last.contains(" 0 errors, 0 warnings"),
        "rpmlint says {said}"
    );
    Ok("rpmlint has nothing to say".to_owned())
}

/// Where dracut puts the image of the only kernel.
fn image(root: &Root) -> Result<String> {
    let mut all = ["initrd.img-", "initramfs-"]
        .map(|start| root.image(start))
        .to_vec();
    all.push(root.image("initramfs-") + ".img");
    let found = all.iter().find(|place| root.place(place).exists());
    found
        .cloned()
        .with_context(|| format!("dracut wrote none of {all:?}"))
}
