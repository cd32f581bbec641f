//! The image of the next boot: whether the agent is in it, and whether it knows what was written since.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use super::finding::{Answer, Said, Unread};
use super::system::System;

/// How long a tool may take to list an image of a gigabyte.
const LIMIT: Duration = Duration::from_secs(60);

/// The programs that list what an image has, one for each tool that makes images, and what makes a new one.
const TOOLS: [(&str, &str, &str); 3] = [
    ("lsinitramfs", "usr/bin/lsinitramfs", "update-initramfs -u"),
    ("lsinitrd", "usr/bin/lsinitrd", "dracut --force"),
    ("lsinitcpio", "usr/bin/lsinitcpio", "mkinitcpio -P"),
];

/// The image that the kernel of this boot is given, below the root.
fn image(system: &System<'_>) -> Result<Option<String>, Unread> {
    let release = system.release()?.unwrap_or_default();
    let line = system.line.clone().unwrap_or_default();
    let kernel = system.parameter("BOOT_IMAGE").unwrap_or_default();
    let kernel = kernel.rsplit(['/', '\\']).next().unwrap_or_default();
    let flavour = kernel.strip_prefix("vmlinuz-").unwrap_or("linux");
    let mut names = vec![
        format!("boot/initrd.img-{release}"),
        format!("boot/initramfs-{release}.img"),
        format!("boot/initrd-{release}"),
        format!("boot/initramfs-{flavour}.img"),
    ];
    // What systemd-boot and the kernel's own loader were told.
    let initrd = line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("initrd="));
    for path in initrd {
        let path = path.replace('\\', "/");
        let path = path.trim_start_matches('/');
        names.extend([
            format!("boot/{path}"),
            format!("efi/{path}"),
            format!("boot/efi/{path}"),
        ]);
    }
    Ok(names.into_iter().find(|name| system.has(name)))
}

/// Whether the agent is in it.
pub(super) fn agent(system: &System<'_>) -> Answer {
    let Some(image) = image(system)? else {
        return Ok(Said::not_applicable(
            "no image of the running kernel was found in /boot: the boot loader has it elsewhere, or it is a \
             unified kernel image",
        ));
    };
    if !system.is_live() {
        return Ok(Said::not_applicable(format!(
            "what is in /{image} is not looked up in a captured tree"
        )));
    }
    let Some((tool, _, make)) = TOOLS.iter().find(|(_, place, _)| system.has(place)) else {
        return Ok(Said::not_applicable(format!(
            "/{image} cannot be listed: there is no lsinitramfs, lsinitrd or lsinitcpio"
        )));
    };
    if let Err(error) = std::fs::File::open(system.place(&image)) {
        return Err(Unread {
            path: image,
            answer: error.to_string(),
            denied: error.kind() == std::io::ErrorKind::PermissionDenied,
        });
    }
    Ok(match list(tool, &system.place(&image)) {
        Err(answer) => Said::unknown(
            format!("{tool} /{image}: {answer}"),
            format!("run `{tool} /{image}` and look for vfio-bind-agent"),
        ),
        Ok(names) => in_list(&names, &image, make),
    }
    .from(image))
}

/// What the names in an image tell.
fn in_list(names: &str, image: &str, make: &str) -> Said {
    let has = |name: &str| names.lines().any(|line| line.contains(name));
    if !has("vfio-bind-agent") {
        return Said::fail(
            format!("the agent is not in /{image}: nothing is bound at boot"),
            format!(
                "{make}; where that leaves it out, see docs/install.md for what its tool wants set"
            ),
        );
    }
    if !has("vfio-pci.ko") && !has("vfio_pci.ko") {
        return Said::warn(
            format!("the agent is in /{image}, and vfio-pci is not"),
            format!("nothing, where vfio-pci is a part of the kernel; else {make}"),
        );
    }
    Said::pass(format!("the agent and vfio-pci are in /{image}"))
}

fn list(tool: &str, image: &std::path::Path) -> Result<String, String> {
    let child = Command::new(tool)
        .arg(image)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody waits for what comes too late.
        let _ = sender.send(child.wait_with_output());
    });
    let output = receiver
        .recv_timeout(LIMIT)
        .map_err(|_| format!("no answer within {} s", LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What an image carries a copy of.
const CARRIED: [&str; 4] = [
    "etc/vfio-bind/policy.conf",
    "etc/initramfs-tools/modules",
    "etc/modprobe.d",
    "usr/bin/vfio-bind-agent",
];

/// Whether something is newer than the image that should have it.
pub(super) fn age(system: &System<'_>) -> Answer {
    let Some(image) = image(system)? else {
        return Ok(Said::not_applicable(
            "no image of the running kernel was found in /boot",
        ));
    };
    let changed = |path: &str| -> Option<SystemTime> {
        std::fs::metadata(system.place(path)).ok()?.modified().ok()
    };
    let Some(made) = changed(&image) else {
        return Ok(Said::not_applicable(format!(
            "the time of /{image} is not known"
        )));
    };
    let mut carried = Vec::new();
    for path in CARRIED {
        match system.names(path)? {
            Some(names) => {
                let names = names.into_iter().filter(|name| name.ends_with(".conf"));
                carried.extend(names.map(|name| format!("{path}/{name}")));
            }
            None => carried.push(path.to_owned()),
        }
    }
    let newer: Vec<_> = carried
        .into_iter()
        .filter(|path| changed(path).is_some_and(|time| time > made))
        .map(|path| format!("/{path}"))
        .collect();
    let make = TOOLS.iter().find(|(_, place, _)| system.has(place));
    let make = make.map_or("rebuild the image", |(_, _, make)| make);
    Ok(match newer.is_empty() {
        true => Said::pass(format!("/{image} is newer than what it carries")),
        false => Said::warn(format!("/{image} is older than {}", newer.join(", ")), make),
    }
    .from(image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_has_is_told_by_its_names() {
        let agent = "usr/bin/vfio-bind-agent\n";
        let module = "usr/lib/modules/6.1/kernel/drivers/vfio/pci/vfio-pci.ko.xz\n";
        for (names, expected) in [
            (format!("init\n{agent}{module}"), "PASS"),
            (agent.to_owned(), "WARN"),
            (module.to_owned(), "FAIL"),
        ] {
            let finding = in_list(&names, "boot/x", "make").of("agent-in-image", None);
            assert_eq!(finding.verdict.to_string(), expected, "{names}");
        }
    }
}
