//! What else than sysfs is captured: what the kernel tells in proc, the settings of vfio-bind and of modules. Of a
//! file only the lines are taken that something reads.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::disguise::Kind;
use super::taker::Taker;
use super::words::without_comments;

/// Words that are replaced wherever they stand: the names of this host and of its users.
pub(super) fn plant(taker: &mut Taker<'_>) {
    for path in ["proc/sys/kernel/hostname", "etc/hostname"] {
        let name = taker.read_text(path).unwrap_or_default();
        let name = name.trim().to_owned();
        let short = name.split('.').next().unwrap_or_default();
        for name in [&name, short] {
            if !["localhost", "debian", "fedora", "ubuntu", "archlinux"].contains(&name) {
                taker.disguise.plant(Kind::Name, name);
            }
        }
    }
    let users = taker.read_text("etc/passwd").unwrap_or_default();
    for line in users.lines() {
        let fields: Vec<_> = line.split(':').collect();
        let number = fields.get(2).and_then(|number| number.parse::<u32>().ok());
        if number.is_some_and(|number| (1000..60_000).contains(&number)) {
            let home = fields.get(5).and_then(|home| home.rsplit('/').next());
            for name in [Some(fields[0]), home].into_iter().flatten() {
                taker.disguise.plant(Kind::Name, name);
            }
        }
    }
}

/// Takes all of it.
pub(super) fn take(taker: &mut Taker<'_>) {
    // What has names of the owner's comes first: where they stand in what follows, they are known.
    nodes(taker);
    storage(taker);
    routes(taker);
    proc(taker);
    kernel(taker);
    settings(taker);
}

/// A file line by line, with something put in place of each line that is kept.
pub(super) fn lines(
    taker: &mut Taker<'_>,
    path: &str,
    new: impl Fn(&mut Taker<'_>, &str) -> Option<String>,
) {
    let Some(text) = taker.read_text(path) else {
        return;
    };
    let mut kept = String::new();
    for line in text.lines() {
        if let Some(line) = new(taker, line) {
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    taker.put_text(path, kept);
}

fn proc(taker: &mut Taker<'_>) {
    lines(taker, "proc/cmdline", |taker, line| {
        Some(taker.disguise.command_line(line))
    });
    let begins = |words: &'static [&'static str]| {
        move |_: &mut Taker<'_>, line: &str| {
            let is_one = words.iter().any(|word| line.starts_with(word));
            is_one.then(|| line.to_owned())
        }
    };
    lines(
        taker,
        "proc/cpuinfo",
        begins(&["vendor_id", "model name", "flags", "CPU implementer"]),
    );
    lines(
        taker,
        "proc/meminfo",
        begins(&["MemTotal", "HugePages_", "Hugepagesize"]),
    );
    lines(
        taker,
        "proc/self/limits",
        begins(&["Limit", "Max locked memory"]),
    );
    for path in [
        "proc/sys/kernel/osrelease",
        "proc/sys/kernel/random/boot_id",
        "proc/iomem",
    ] {
        lines(taker, path, |taker, line| {
            Some(taker.disguise.numbers(line))
        });
    }
    // Of interrupts only whether they are remapped.
    if let Some(text) = taker.read_text("proc/interrupts") {
        let words = text.split_whitespace();
        let mut chips: Vec<_> = words
            .filter(|word| word.contains("IO-APIC") || word.contains("MSI"))
            .collect();
        chips.sort_unstable();
        chips.dedup();
        taker.put("proc/interrupts", chips.join("\n") + "\n");
    }
    lines(taker, "proc/asound/cards", |taker, line| {
        Some(taker.disguise.text(line))
    });
    for name in taker.names("proc/fs/jbd2") {
        taker.put_directory(format!("proc/fs/jbd2/{name}"));
    }
    for gpu in taker.names("proc/driver/nvidia/gpus") {
        let path = format!("proc/driver/nvidia/gpus/{gpu}/information");
        lines(taker, &path, begins(&["Device Minor"]));
    }
    if taker.root.join("proc/vmcore").exists() {
        taker.put("proc/vmcore", "");
    }
}

fn nodes(taker: &mut Taker<'_>) {
    for node in ["dev/iommu", "dev/vfio/vfio"] {
        taker.put_mark(node);
    }
    for group in taker.names("dev/vfio") {
        taker.put_mark(format!("dev/vfio/{group}"));
    }
    // Links that name disks by what they hold.
    let mut directories = vec!["dev/mapper".to_owned()];
    directories.extend(
        taker
            .names("dev/disk")
            .iter()
            .map(|name| format!("dev/disk/{name}")),
    );
    let others = taker
        .names("dev")
        .into_iter()
        .filter(|name| !["fd", "char", "block"].contains(&name.as_str()));
    directories.extend(others.map(|name| format!("dev/{name}")));
    for directory in directories {
        for name in taker.names(&directory) {
            let from = taker.root.join(&directory).join(&name);
            let Ok(target) = std::fs::read_link(&from) else {
                continue;
            };
            let new = format!(
                "{}/{}",
                taker.disguise.names(&directory),
                taker.disguise.names(&name)
            );
            let target = taker.disguise.names(&target.to_string_lossy());
            taker.tree.add(
                new.as_ref(),
                super::tree::Entry::Link(target.into()),
                super::tree::Meta::default(),
            );
        }
    }
}

/// The tables of routes, in which addresses are hexadecimal: of version 4 as a number of the host
/// whose bytes are in the order of the network (`fib_route_seq_show` in net/ipv4/fib_trie.c).
fn routes(taker: &mut Taker<'_>) {
    lines(taker, "proc/net/route", |taker, line| {
        let mut fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let number = |text: Option<&String>| u32::from_str_radix(text?, 16).ok();
        let mask = number(fields.get(7)).unwrap_or(u32::MAX);
        for (place, mask) in [(1, mask), (2, u32::MAX)] {
            let Some(old) = number(fields.get(place)) else {
                continue;
            };
            let new = taker.disguise.ipv4(Ipv4Addr::from(old.to_ne_bytes()));
            let new = u32::from_ne_bytes(new.octets()) & mask;
            fields[place] = format!("{new:08X}");
        }
        if let Some(name) = fields.first_mut() {
            *name = taker.disguise.text(name);
        }
        Some(fields.join("\t"))
    });
    lines(taker, "proc/net/ipv6_route", |taker, line| {
        let mut fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let length = |text: Option<&String>| u32::from_str_radix(text?, 16).ok();
        for (place, length) in [
            (0, length(fields.get(1))),
            (2, length(fields.get(3))),
            (4, Some(128)),
        ] {
            let old = fields
                .get(place)
                .and_then(|text| u128::from_str_radix(text, 16).ok());
            let Some((old, length)) = old.zip(length) else {
                continue;
            };
            let new = taker.disguise.ipv6(Ipv6Addr::from_bits(old)).to_bits();
            let mask = u128::MAX
                .checked_shl(128u32.saturating_sub(length))
                .unwrap_or(0);
            fields[place] = format!("{:032x}", new & mask);
        }
        if let Some(name) = fields.last_mut() {
            *name = taker.disguise.text(name);
        }
        Some(fields.join(" "))
    });
}

/// The kernel that runs: how it was built, and its modules of VFIO.
fn kernel(taker: &mut Taker<'_>) {
    let release = taker
        .read_text("proc/sys/kernel/osrelease")
        .unwrap_or_default();
    let release = release.trim();
    let is_of_concern = |line: &&str| {
        ["IOMMU", "VFIO", "SMMU"]
            .iter()
            .any(|word| line.contains(word))
    };
    let of_concern = |text: &str| -> String {
        let lines = text.lines().filter(is_of_concern);
        lines.flat_map(|line| [line, "\n"]).collect()
    };
    if let Some(packed) = taker.read("proc/config.gz") {
        let mut text = String::new();
        let mut reader = GzDecoder::new(&packed[..]).take(16 << 20);
        if reader.read_to_string(&mut text).is_ok() {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            let packed = packer
                .write_all(of_concern(&text).as_bytes())
                .and_then(|()| packer.finish());
            // What memory holds is always written.
            taker.put("proc/config.gz", packed.unwrap_or_default());
        }
    }
    if release.is_empty() {
        return;
    }
    let mut configs = vec![format!("boot/config-{release}")];
    let merged = taker.root.join("lib").is_symlink();
    if merged {
        taker.put_link("lib");
    }
    let roots: &[&str] = if merged {
        &["usr/lib"]
    } else {
        &["lib", "usr/lib"]
    };
    for root in roots {
        let modules = format!("{root}/modules/{release}");
        configs.push(format!("{modules}/config"));
        for list in ["modules.builtin", "modules.dep"] {
            lines(taker, &format!("{modules}/{list}"), |_, line| {
                (line.contains("vfio") || line.contains("virtio_iommu")).then(|| line.to_owned())
            });
        }
        let aliases = format!("{modules}/modules.alias.bin");
        if let Some(bytes) = taker.read(&aliases) {
            taker.put(&aliases, bytes);
        }
    }
    for config in configs {
        if let Some(text) = taker.read_text(&config) {
            taker.put(&config, of_concern(&text));
        }
    }
    for mark in [
        "usr/sbin/update-initramfs",
        "usr/bin/mkinitcpio",
        "usr/bin/dracut",
        "usr/bin/vfio-bind-agent",
        "run/ostree-booted",
        "etc/NIXOS",
        "etc/kernel/proxmox-boot-uuids",
    ] {
        taker.put_mark(mark);
    }
}

/// What is mounted, and what is to be.
fn storage(taker: &mut Taker<'_>) {
    for path in [
        "proc/self/mountinfo",
        "proc/1/mountinfo",
        "proc/swaps",
        "proc/mdstat",
    ] {
        lines(taker, path, |taker, line| Some(taker.disguise.names(line)));
    }
    for path in ["etc/fstab", "etc/crypttab"] {
        let Some(text) = taker.read_text(path) else {
            continue;
        };
        let text = without_comments(&text);
        let new: Vec<_> = text
            .lines()
            .map(|line| taker.disguise.names(line))
            .collect();
        taker.put_text(path, new.join("\n") + "\n");
    }
    let mut resume = vec!["etc/initramfs-tools/initramfs.conf".to_owned()];
    let directory = "etc/initramfs-tools/conf.d";
    resume.extend(
        taker
            .names(directory)
            .iter()
            .map(|name| format!("{directory}/{name}")),
    );
    for path in resume {
        lines(taker, &path, |taker, line| {
            let value = line.trim().strip_prefix("RESUME=")?;
            Some(format!("RESUME={}", taker.disguise.names(value)))
        });
    }
}

/// What the owner wrote: for vfio-bind, for modules, and for boot loaders.
fn settings(taker: &mut Taker<'_>) {
    for path in ["etc/vfio-bind/policy.conf", "etc/vfio-bind/protected.conf"] {
        policy(taker, path);
    }
    let mut modprobe = vec!["etc/initramfs-tools/modules".to_owned()];
    let roots = ["etc", "run", "usr/lib", "usr/local/lib", "lib"];
    for root in roots {
        let directory = format!("{root}/modprobe.d");
        if root == "lib" && taker.root.join("lib").is_symlink() {
            continue;
        }
        modprobe.extend(
            taker
                .names(&directory)
                .iter()
                .map(|name| format!("{directory}/{name}")),
        );
    }
    for path in modprobe {
        if let Some(text) = taker.read_text(&path) {
            let text = modprobe_text(taker, &text);
            taker.put_text(&path, text);
        }
    }
    for name in taker.names("etc/driverctl.d") {
        let path = format!("etc/driverctl.d/{name}");
        if let Some(text) = taker.read_text(&path) {
            taker.put_text(path, text);
        }
    }
    let unraid = "boot/config/vfio-pci.cfg";
    lines(taker, unraid, |taker, line| {
        Some(taker.disguise.numbers(line))
    });
    lines(taker, "etc/os-release", |_, line| {
        let kept = ["ID=", "ID_LIKE=", "VERSION_ID="];
        kept.iter()
            .any(|front| line.starts_with(front))
            .then(|| line.to_owned())
    });
}

/// A policy without its owner's comments. Those of a list of what is protected are the program's, and are shown.
pub(super) fn policy(taker: &mut Taker<'_>, path: &str) {
    if let Some(text) = taker.read_text(path) {
        let text = policy_text(taker, path, &text);
        taker.put_text(path, text);
    }
}

fn policy_text(taker: &mut Taker<'_>, path: &str, text: &str) -> String {
    let is_list = path.ends_with("protected.conf");
    let mut new = String::new();
    for (line, plain) in text.lines().zip(without_comments(text).lines()) {
        // What could not be found names mount points.
        match plain.split_once("vfio.unprotected=") {
            Some((front, open)) => {
                new.extend([front, "vfio.unprotected=", &taker.disguise.names(open)]);
            }
            None => new.push_str(&taker.disguise.text(plain)),
        }
        if let Some((_, why)) = line.split_once("  # ").filter(|_| is_list) {
            new.extend(["  # ", &taker.disguise.names(why)]);
        }
        new.push('\n');
    }
    new
}

/// Lists of modules and of their options, without comments.
fn modprobe_text(taker: &mut Taker<'_>, text: &str) -> String {
    let text = without_comments(text);
    let lines = text.lines().map(|line| modprobe_line(taker, line));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// A file of an image.
pub(super) fn in_image(taker: &mut Taker<'_>, path: &str, text: &str) -> String {
    match path.starts_with("etc/vfio-bind/") {
        true => policy_text(taker, path, text),
        false => modprobe_text(taker, text),
    }
}

/// Of a line for modprobe what it says of VFIO; of other modules only that it is one.
fn modprobe_line(taker: &mut Taker<'_>, line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        ["options", module, ..] if !module.starts_with("vfio") && !module.starts_with("kvm") => {
            format!("options {module}")
        }
        ["install" | "remove", module, ..] if !module.starts_with("vfio") => {
            format!("# {} {module}", words[0])
        }
        ["install" | "remove", ..] => taker.disguise.names(line),
        _ => taker.disguise.text(line),
    }
}
