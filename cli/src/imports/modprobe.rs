//! `ids=` of vfio-pci in modprobe.d (modprobe.d(5), kmod's libkmod-config.c), on the kernel command line and in
//! initramfs-tools' list of modules (initramfs-tools(7)), with the lines that people write beside it.

use std::path::Path;

use anyhow::Result;
use vfio_bind_agent::text::cmdline::{parameters, same_name};

use super::line::{Line, Manager, Takes};
use crate::preview::known::read;
use crate::storage::block::{entries, name};

const DIRECTORIES: [&str; 5] = [
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
];

/// Drivers whose loading people forbid or put off for the sake of a guest.
const NATIVE: [&str; 12] = [
    "nouveau",
    "nvidia",
    "nvidia_drm",
    "nvidia_modeset",
    "nvidia_uvm",
    "nvidiafb",
    "radeon",
    "amdgpu",
    "i915",
    "xe",
    "snd_hda_intel",
    "xhci_pci",
];

/// Drivers that do nothing with what they hold, and take a list of IDs.
const HOLDERS: [&str; 2] = ["vfio-pci", "pci-stub"];

const BY_ID: &str = "it goes by ID: equal cards are taken as well, and what is plugged in later; once the words are \
                     set, remove it and build the image anew";

/// The lines about vfio-pci of the system at `root`.
///
/// # Errors
/// Where a file is there and cannot be read.
pub fn lines(root: &Path) -> Result<Vec<Line>> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for directory in DIRECTORIES {
        for path in entries(&root.join(directory)) {
            let own = name(&path);
            // The first directory that has a name wins, and only these names count.
            if !own.ends_with(".conf") || seen.contains(&own) {
                continue;
            }
            if let Some(text) = read(&path)? {
                let text = String::from_utf8_lossy(&text);
                found.extend(of_modprobe(&format!("/{directory}/{own}"), &text));
            }
            seen.push(own);
        }
    }
    const MODULES: &str = "etc/initramfs-tools/modules";
    if let Some(text) = read(&root.join(MODULES))? {
        found.extend(of_modules(
            &format!("/{MODULES}"),
            &String::from_utf8_lossy(&text),
        ));
    }
    if let Some(text) = read(&root.join("proc/cmdline"))? {
        found.extend(of_line(&text));
    }
    Ok(found)
}

/// Whole lines with their numbers: a `\` at the end joins the next.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let (body, goes_on) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some((_, last)) => last.push_str(body),
            None => lines.push((number, body.to_owned())),
        }
        open = goes_on;
    }
    lines
}

/// The value of `ids=` among a module's options; the last one counts.
fn ids(options: &str) -> Option<String> {
    let all = parameters(options.as_bytes()).filter(|one| one.is("ids"));
    let last = all.last()?.value?;
    Some(String::from_utf8_lossy(last).into_owned())
}

fn is_holder(module: &str) -> bool {
    HOLDERS
        .iter()
        .any(|holder| same_name(module.as_bytes(), holder.as_bytes()))
}

fn of_modprobe(file: &str, text: &str) -> Vec<Line> {
    let mut found = Vec::new();
    for (line, text) in joined(text) {
        let mut words = text.split_whitespace();
        let (Some(command), Some(module)) = (words.next(), words.next()) else {
            continue;
        };
        let rest = words.collect::<Vec<_>>().join(" ");
        let native = || {
            NATIVE
                .iter()
                .any(|one| same_name(module.as_bytes(), one.as_bytes()))
        };
        let (takes, by_hand) = match command {
            "options" if is_holder(module) => match ids(&rest) {
                Some(list) => (Takes::Ids(list), BY_ID.to_owned()),
                None => continue,
            },
            "softdep" if rest.contains("vfio") => (
                Takes::Nothing,
                format!(
                    "it loads vfio-pci before {module}, which the agent needs no more: it acts before any native \
                     driver; remove it"
                ),
            ),
            "install" if is_holder(module) => (
                Takes::Nothing,
                "the agent does not run it: vfio-pci is loaded without it; remove it, and say in words what it \
                 did"
                .to_owned(),
            ),
            "blacklist" if native() => (
                Takes::Nothing,
                format!(
                    "it keeps {module} from every device; where it is there for a card that is lent, it is needed \
                     no more: the card is bound before {module} loads"
                ),
            ),
            _ => continue,
        };
        found.push(Line {
            manager: Manager::Modprobe,
            file: file.to_owned(),
            line,
            text: text.trim().to_owned(),
            takes,
            by_hand,
        });
    }
    found
}

fn of_modules(file: &str, text: &str) -> Vec<Line> {
    let lines = (1..).zip(text.lines()).filter_map(|(line, text)| {
        let (module, options) = text.trim().split_once(char::is_whitespace)?;
        let takes = Takes::Ids(ids(options).filter(|_| is_holder(module))?);
        Some(Line {
            manager: Manager::InitramfsTools,
            file: file.to_owned(),
            line,
            text: text.trim().to_owned(),
            takes,
            by_hand: BY_ID.to_owned(),
        })
    });
    lines.collect()
}

fn of_line(text: &[u8]) -> Vec<Line> {
    let mut found = Vec::new();
    for holder in HOLDERS {
        let name = format!("{}.ids", holder.replace('-', "_"));
        // The last one counts.
        let last = parameters(text).filter(|one| one.is(&name)).last();
        let Some(value) = last.and_then(|one| one.value) else {
            continue;
        };
        let list = String::from_utf8_lossy(value).into_owned();
        found.push(Line {
            manager: Manager::CommandLine,
            file: "/proc/cmdline".to_owned(),
            line: 1,
            text: format!("{holder}.ids={list}"),
            takes: Takes::Ids(list),
            by_hand: "it goes by ID: equal cards are taken as well, and what is plugged in later; once the words \
                      are set, take it off the command line where the boot loader keeps it"
                .to_owned(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_kmod_reads_them() {
        let text = "# options vfio-pci ids=1:1\noptions vfio_pci ids=10de:2204,\\\n10de:1aef disable_vga=1\n\
                    options vfio-pci disable_idle_d3=1\nsoftdep nouveau pre: vfio-pci\nsoftdep a pre: b\n\
                    blacklist nouveau\nblacklist pcspkr\ninstall vfio-pci /sbin/mine\n\
                    options vfio-pci ids=1:1 ids=2:2\n";
        let found = of_modprobe("/etc/modprobe.d/a.conf", text);
        let told: Vec<_> = found.iter().map(|one| (one.line, &one.takes)).collect();
        assert_eq!(
            told,
            [
                (2, &Takes::Ids("10de:2204,10de:1aef".to_owned())),
                (5, &Takes::Nothing),
                (7, &Takes::Nothing),
                (9, &Takes::Nothing),
                (10, &Takes::Ids("2:2".to_owned())),
            ]
        );
    }

    #[test]
    fn lists_of_modules_and_command_lines_are_read() {
        let found = of_modules(
            "m",
            "vfio\n# vfio_pci ids=1:1\nvfio_pci ids=10de:2204\nvfio_pci\nfoo ids=1:2\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].line, &found[0].takes),
            (3, &Takes::Ids("10de:2204".to_owned()))
        );
        let found =
            of_line(b"quiet vfio-pci.ids=1:1 vfio_pci.ids=10de:2204 pci-stub.ids=8086:1528\n");
        let texts: Vec<_> = found.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["vfio-pci.ids=10de:2204", "pci-stub.ids=8086:1528"]);
        assert_eq!(of_line(b"quiet vfio_pci.ids\n"), []);
    }
}
