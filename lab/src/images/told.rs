//! What builds of images say where something is missing, or where an image is for any machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use qemu_tests::boot_case::{MODPROBE, POLICY, PROTECTED};

use super::build::Builds;
use super::repack;
use super::tool::{Dracut, IMAGE, InitramfsTools, Tool};
use crate::files;
use crate::program;
use crate::supply::AGENT;
use crate::system;

/// What is gone, and the words that a build without it ends with: what is missing, and what to do.
type Gone = (&'static str, [&'static str; 2]);

/// The tools whose builds are looked at, and what may be gone of ours.
const TOOLS: [(Tool, &[Gone]); 2] = [
    (
        Tool::Dracut(Dracut::V059, false),
        &[
            (
                AGENT,
                [
                    "vfio-bind: /usr/bin/vfio-bind-agent is not there",
                    "remove 50-vfio-bind.conf",
                ],
            ),
            (
                "usr/lib/dracut/modules.d/50vfio-bind",
                [
                    "vfio-bind: /usr/lib/dracut/dracut.conf.d/50-vfio-bind.conf asks for",
                    "install vfio-bind, or remove that file",
                ],
            ),
        ],
    ),
    (
        Tool::InitramfsTools(InitramfsTools::V0142),
        &[(
            AGENT,
            [
                "vfio-bind: /usr/bin/vfio-bind-agent is not there",
                "or remove /usr/share/initramfs-tools/hooks/vfio-bind",
            ],
        )],
    ),
];

/// The tools, each with the name of its row.
pub fn tools() -> impl Iterator<Item = (Tool, String)> {
    let tools = TOOLS.into_iter().map(|(tool, _)| tool);
    tools.map(|tool| (tool.clone(), format!("{}, what builds say", tool.name())))
}

/// Builds images that must fail and say why, and generic ones.
///
/// # Errors
/// Where one does not, with all that it said.
pub fn check(builds: &Builds<'_>, tool: &Tool) -> Result<()> {
    let all = TOOLS.into_iter().find(|(one, _)| one == tool);
    for (gone, words) in all.map_or(&[][..], |(_, gone)| gone) {
        let root = builds.installed(tool, "told")?;
        let place = root.join(gone);
        let removed = match place.is_dir() {
            true => fs::remove_dir_all(&place),
            false => fs::remove_file(&place),
        };
        removed.with_context(|| format!("remove({gone})"))?;
        let said = match build(builds, tool, &root, "") {
            Ok(said) => anyhow::bail!("without {gone} it builds an image, and says\n{said}"),
            Err(error) => format!("{error:#}"),
        };
        for word in words {
            ensure!(
                said.contains(word),
                "without {gone} nothing of `{word}` in\n{said}"
            );
        }
        remove(&root)?;
    }
    match tool {
        Tool::Dracut(..) => check_generic(builds, tool),
        _ => Ok(()),
    }
}

/// A generic image carries what is protected, and the policy only where its owner says so.
fn check_generic(builds: &Builds<'_>, tool: &Tool) -> Result<()> {
    for (owner, carries) in [("", false), ("vfio_bind_policy=yes\n", true)] {
        let root = builds.installed(tool, "generic")?;
        for (place, text) in [
            ("etc/vfio-bind/policy.conf", POLICY),
            ("etc/modprobe.d/vfio.conf", MODPROBE),
            ("etc/dracut.conf.d/owner.conf", owner),
        ] {
            files::write(&root.join(place), text.as_bytes(), 0o644)?;
        }
        let said = build(builds, tool, &root, "--no-hostonly")?;
        let warned = said.contains("vfio-bind: a generic image");
        ensure!(warned != carries, "with `{owner}` it says\n{said}");
        let content = |place: &str| repack::content(&root.join(IMAGE), place);
        let list = content("etc/vfio-bind/protected.conf")?;
        ensure!(
            list.as_deref() == Some(PROTECTED.as_bytes()),
            "with `{owner}` the list is {list:?}"
        );
        for place in ["etc/vfio-bind/policy.conf", "etc/modprobe.d/vfio.conf"] {
            let there = content(place)?.is_some();
            ensure!(
                there == carries,
                "with `{owner}`, {place}: {there}; it says\n{said}"
            );
        }
        remove(&root)?;
    }
    Ok(())
}

/// Builds an image in `root`, with one more word that counts more than those of [`Tool::command`]; what it
/// said.
fn build(builds: &Builds<'_>, tool: &Tool, root: &Path, word: &str) -> Result<String> {
    let words = tool.command(&builds.release()?);
    let mut all = vec!["sh", "-c", "exec \"$0\" \"$@\" 2>&1"];
    for one in &words {
        all.push(if !word.is_empty() && one == "--hostonly" {
            word
        } else {
            one
        });
    }
    program::output(&mut system::command(root, &all)?)
}

fn remove(root: &Path) -> Result<()> {
    fs::remove_dir_all(root).with_context(|| format!("remove({})", root.display()))
}
