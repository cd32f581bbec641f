//! The modules of VFIO, and what else on the machine hands devices to them.

use super::finding::{Answer, Said, Unread};
use super::system::System;

/// The modules that lend a device: the driver, its core, and what maps memory.
const NEEDED: [&str; 3] = ["vfio_pci", "vfio", "vfio_iommu_type1"];

/// Whether the kernel has VFIO.
pub(super) fn vfio(system: &System<'_>) -> Answer {
    if let Some(said) = no_virqfd(system)? {
        return Ok(said);
    }
    let loaded = |name: &&str| system.has(&format!("sys/module/{name}"));
    if system.has("sys/bus/pci/drivers/vfio-pci") || NEEDED.iter().all(loaded) {
        return Ok(Said::pass("vfio-pci is there").from("sys/bus/pci/drivers"));
    }
    let Some(release) = system.release()? else {
        return Ok(Said::not_applicable(
            "vfio-pci is not loaded, and this tree does not tell which kernel runs",
        ));
    };
    let roots = ["lib/modules", "usr/lib/modules"];
    for root in roots {
        for (list, how) in [
            ("modules.builtin", "is a part of the kernel"),
            ("modules.dep", "is a module, and loaded when it is needed"),
        ] {
            let place = format!("{root}/{release}/{list}");
            let text = system.text(&place)?.unwrap_or_default();
            let has = |line: &str| {
                let file = line.split(':').next().unwrap_or_default();
                let name = file.rsplit('/').next().unwrap_or_default();
                name.starts_with("vfio-pci.ko") || name.starts_with("vfio_pci.ko")
            };
            if text.lines().any(has) {
                return Ok(Said::pass(format!("vfio-pci {how}")).from(place));
            }
        }
    }
    let known = roots
        .iter()
        .find(|root| system.has(&format!("{root}/{release}/modules.dep")));
    if let Some(root) = known {
        return Ok(Said::fail(
            format!("the kernel {release} has no vfio-pci"),
            "boot a kernel with CONFIG_VFIO_PCI, or install the package with its further modules (on Ubuntu \
             linux-modules-extra)",
        )
        .from(format!("{root}/{release}/modules.dep")));
    }
    if roots.iter().any(|root| system.has(root)) {
        return Ok(Said::warn(
            format!(
                "the modules of the running kernel ({release}) are gone: the kernel was replaced"
            ),
            "restart the machine",
        )
        .from("lib/modules"));
    }
    Ok(Said::not_applicable(
        "vfio-pci is not loaded, and there are no modules in /lib/modules",
    ))
}

/// A list of modules for an image with vfio_virqfd, which is a part of vfio since Linux 6.2: some builders
/// fail over it.
fn no_virqfd(system: &System<'_>) -> Result<Option<Said>, Unread> {
    let release = system.release()?.unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (6, 2) {
        return Ok(None);
    }
    for place in ["etc/initramfs-tools/modules", "etc/mkinitcpio.conf"] {
        let text = system.text(place)?.unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default());
        let mut words =
            lines.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        if words.any(|word| word == "vfio_virqfd") {
            let said = Said::warn(
                format!("/{place} lists vfio_virqfd, which is a part of vfio since Linux 6.2"),
                "remove it; with vfio-bind's hook the others need not be listed either",
            );
            return Ok(Some(said.from(place)));
        }
    }
    Ok(None)
}

/// Where modprobe reads its configuration (kmod's libkmod-config.c).
const MODPROBE: [&str; 4] = [
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
];

/// Drivers that guides tell people to forbid.
const FORBIDDEN: [&str; 11] = [
    "nouveau",
    "nvidia",
    "nvidia_drm",
    "nvidiafb",
    "amdgpu",
    "radeon",
    "i915",
    "xe",
    "xhci_pci",
    "snd_hda_intel",
    "nvme",
];

/// What else would hand devices to VFIO, or keep their drivers off.
pub(super) fn other_managers(system: &System<'_>) -> Answer {
    let mut found: Vec<String> = Vec::new();
    let mut mends: Vec<&str> = Vec::new();
    let mut read = Vec::new();
    for directory in MODPROBE {
        for name in system.names(directory)?.unwrap_or_default() {
            let place = format!("{directory}/{name}");
            if !name.ends_with(".conf") {
                continue;
            }
            let text = system.text(&place)?.unwrap_or_default();
            let mut lines = Vec::new();
            for (number, line) in text.lines().enumerate() {
                if let Some(mend) = modprobe_line(line, &name) {
                    lines.push(format!("/{place}:{}: {}", number + 1, line.trim()));
                    if !mends.contains(&mend) {
                        mends.push(mend);
                    }
                }
            }
            if !lines.is_empty() {
                read.push(place);
                found.extend(lines);
            }
        }
    }
    let mut other = |is_there: bool, place: &str, what: String, mend| {
        if is_there {
            found.push(what);
            mends.push(mend);
            read.push(place.to_owned());
        }
    };
    let overrides = system.names("etc/driverctl.d")?.unwrap_or_default();
    other(
        !overrides.is_empty(),
        "etc/driverctl.d",
        format!("driverctl has overrides for {}", overrides.join(", ")),
        "`driverctl unset-override ADDRESS` for what vfio-bind is asked for",
    );
    let unraid = "boot/config/vfio-pci.cfg";
    other(
        system.text(unraid)?.is_some_and(|text| !text.is_empty()),
        unraid,
        "Unraid binds what its own list has".to_owned(),
        "take out of Unraid's list (Tools, System Devices) what vfio-bind is asked for",
    );
    let modules = "etc/initramfs-tools/modules";
    let listed = system.text(modules)?.unwrap_or_default();
    let listed = listed.lines().find(|line| {
        let mut words = line.split_whitespace();
        words
            .next()
            .is_some_and(|word| word.replace('-', "_") == "vfio_pci")
            && words.any(|word| word.starts_with("ids="))
    });
    other(
        listed.is_some(),
        modules,
        format!("/{modules}: {}", listed.unwrap_or_default().trim()),
        "vfio-bind heeds these ids= as well; vfio.bind= says the same with an address",
    );
    for name in ["pci-stub.ids", "xen-pciback.hide"] {
        let value = system.parameter(name);
        other(
            value.is_some(),
            "proc/cmdline",
            format!(
                "the kernel command line has {name}={}",
                value.unwrap_or_default()
            ),
            "remove it: another driver than VFIO's takes the device",
        );
    }
    if found.is_empty() {
        return Ok(Said::pass("nothing else hands devices to VFIO").from("etc/modprobe.d"));
    }
    let mut said = Said::warn(found.join("; "), mends.join("; "));
    for place in read {
        said = said.from(place);
    }
    Ok(said)
}

/// What is to be done about a line of modprobe.d; `None` where it is of no concern.
fn modprobe_line(line: &str, file: &str) -> Option<&'static str> {
    let line = line.split('#').next()?.trim();
    let mut words = line.split_whitespace();
    let command = words.next()?;
    let module = words.next()?.replace('-', "_");
    let mut rest = words;
    let is_ours = module.starts_with("vfio");
    match command {
        "options" if module == "vfio_pci" && rest.any(|word| word.starts_with("ids=")) => Some(
            "vfio-bind heeds these ids= as well; vfio.bind= says the same with an address, and tells twins apart",
        ),
        "softdep" if rest.any(|word| word.replace('-', "_") == "vfio_pci") => Some(
            "a softdep orders nothing that vfio-bind needs: it is there before the first driver",
        ),
        "install" if is_ours => {
            Some("an install line keeps VFIO's modules from being loaded as usual")
        }
        // A driver's own package forbids the other one.
        "blacklist" if FORBIDDEN.contains(&module.as_str()) && !file.contains("nvidia") => {
            Some("a blacklist is not needed: it keeps the driver from all other devices, too")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_lines_are_of_concern() {
        for (line, file, concerns) in [
            ("options vfio-pci ids=10de:1b80", "a.conf", true),
            ("options vfio_pci disable_vga=1", "a.conf", false),
            ("softdep nouveau pre: vfio-pci", "a.conf", true),
            ("softdep a pre: b", "a.conf", false),
            ("install vfio-pci /bin/false", "a.conf", true),
            ("blacklist nouveau", "vfio.conf", true),
            ("blacklist nouveau", "nvidia-blacklists-nouveau.conf", false),
            ("blacklist pcspkr", "a.conf", false),
            ("# blacklist nouveau", "a.conf", false),
            ("", "a.conf", false),
        ] {
            assert_eq!(modprobe_line(line, file).is_some(), concerns, "{line}");
        }
    }
}
