//! What the machine as a whole allows.

use crate::next::memlock::{self, Limit};

use super::finding::{Answer, Said};
use super::system::{Cpu, System};

/// Whether only signed code runs, for information.
pub(super) fn secure_boot(system: &System<'_>) -> Answer {
    if !system.has("sys/firmware/efi") {
        return Ok(Said::not_applicable("this machine was not started by EFI"));
    }
    let place = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    // Four bytes of attributes come first.
    Ok(match system.bytes(place)?.as_deref() {
        Some([_, _, _, _, 1, ..]) => Said::pass(
            "Secure Boot is on: modules, and a unified kernel image with its command line, want a signature",
        ),
        Some([_, _, _, _, ..]) => Said::pass("Secure Boot is off"),
        _ => Said::not_applicable("the firmware does not tell whether Secure Boot is on"),
    }
    .from(place))
}

/// Whether the kernel keeps root from the hardware, for information.
pub(super) fn lockdown(system: &System<'_>) -> Answer {
    let place = "sys/kernel/security/lockdown";
    let Some(text) = system.text(place)? else {
        return Ok(Said::not_applicable(
            "the kernel has no lockdown, or securityfs is not mounted",
        ));
    };
    let current = text
        .split('[')
        .nth(1)
        .and_then(|rest| rest.split(']').next());
    Ok(match current {
        Some("none") => Said::pass("the kernel is not locked down"),
        Some(mode) => Said::pass(format!(
            "the kernel is locked down ({mode}): VFIO lends devices all the same; setpci and what writes BARs \
             itself do not work"
        )),
        None => Said::not_applicable(format!("not understood: {text}")),
    }
    .from(place))
}

/// Whether there is the newer interface to VFIO.
pub(super) fn iommufd(system: &System<'_>) -> Answer {
    let (node, class) = ("dev/iommu", "sys/class/vfio-dev");
    Ok(match (system.has(node), system.has(class)) {
        (true, true) => Said::pass("iommufd and VFIO's own nodes are there (QEMU 9.0 and later use them)")
            .from(node)
            .from(class),
        (true, false) => Said::pass(
            "iommufd is there; VFIO shows no nodes of its own, and virtual machines use /dev/vfio/GROUP",
        )
        .from(node),
        (false, _) => Said::not_applicable(
            "there is no /dev/iommu; virtual machines use /dev/vfio/GROUP",
        ),
    })
}

/// Large pages, for information.
pub(super) fn hugepages(system: &System<'_>) -> Answer {
    let place = "proc/meminfo";
    let Some(text) = system.text(place)? else {
        return Ok(Said::not_applicable("this tree has no /proc/meminfo"));
    };
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Ok(match (
        field("HugePages_Total:"),
        field("HugePages_Free:"),
        field("Hugepagesize:"),
    ) {
        (Some(0), _, _) => Said::pass("no huge pages are set aside; a guest does without"),
        (Some(total), Some(free), Some(size)) => Said::pass(format!(
            "{total} huge pages of {} MiB are set aside, {free} of them free",
            size >> 10
        )),
        _ => Said::not_applicable("the kernel has no huge pages"),
    }
    .from(place))
}

/// How much memory a guest with a device may have.
pub(super) fn memlock(system: &System<'_>) -> Answer {
    let place = "proc/self/limits";
    let Some(limit) = memlock::now(system.root) else {
        return Ok(Said::not_applicable("this tree has no /proc/self/limits"));
    };
    let told = memlock::told(limit);
    let beside = "libvirt and root raise it by themselves";
    Ok(match limit {
        Limit::Unlimited => Said::pass(told),
        Limit::Bytes(_) if rustix::process::geteuid().is_root() && system.is_live() => {
            Said::pass(format!("{told}; {beside}"))
        }
        Limit::Bytes(_) => {
            let [line, unit] = memlock::lines("USER", 4096);
            Said::warn(
                format!("{told}; {beside}"),
                format!(
                    "for a guest of 4096 MiB that a user starts: `{line}` in /etc/security/limits.d/70-vfio.conf, \
                     or {unit} in its unit"
                ),
            )
        }
    }
    .from(place))
}

/// Whether the machine is itself a guest, and whether its guests may have guests.
pub(super) fn nested(system: &System<'_>) -> Answer {
    let place = "proc/cpuinfo";
    let Some(text) = system.text(place)? else {
        return Ok(Said::not_applicable("this tree has no /proc/cpuinfo"));
    };
    let flags = text.lines().find(|line| line.starts_with("flags"));
    let is_guest =
        flags.is_some_and(|line| line.split_whitespace().any(|word| word == "hypervisor"));
    if is_guest {
        return Ok(Said::pass(
            "this machine is a virtual one: it can lend only what its own host lent to it, and needs a virtual \
             IOMMU for that",
        )
        .from(place));
    }
    for module in ["kvm_intel", "kvm_amd"] {
        let place = format!("sys/module/{module}/parameters/nested");
        if let Some(value) = system.text(&place)? {
            let may = match value.as_str() {
                "Y" | "1" => "may",
                _ => "may not",
            };
            return Ok(Said::pass(format!("guests {may} have guests of their own")).from(place));
        }
    }
    Ok(Said::not_applicable(
        "this is no virtual machine, and KVM for x86 is not loaded",
    ))
}

/// What the kernel of an IBM Z was told of PCI (arch/s390/pci/pci.c).
pub(super) fn ibm_z(system: &System<'_>) -> Answer {
    if system.cpu() != Cpu::S390 {
        return Ok(Said::not_applicable("this is no IBM Z"));
    }
    let value = system.parameter("pci").unwrap_or_default();
    let has = |word: &str| value.split(',').any(|one| one == word);
    Ok(match () {
        () if has("off") => Said::fail(
            "the kernel command line has pci=off: there is no PCI at all",
            "remove pci=off",
        ),
        () if has("norid") => Said::warn(
            "the kernel command line has pci=norid: every function is a device 00.0 in a domain of its own",
            "remove pci=norid, unless addresses were written with it",
        ),
        () if has("nomio") => Said::warn(
            "the kernel command line has pci=nomio: guests reach BARs slowly, through the hypervisor",
            "remove pci=nomio, unless the machine needs it",
        ),
        () => Said::pass("nothing on the kernel command line limits PCI"),
    }
    .from("proc/cmdline"))
}

/// What is asked for, as the agent understands it.
pub(super) fn policy(system: &System<'_>) -> Answer {
    let asked = &system.asked;
    let said = match () {
        () if !asked.errors.is_empty() => Said::fail(
            asked.errors.join("; "),
            "`vfio-bind plan` shows what is done all the same; `vfio-bind check` names lines of policy.conf",
        ),
        () if !asked.refused.is_empty() => Said::fail(
            asked.refused.join("; "),
            "`vfio-bind plan` shows all of it and what can be done",
        ),
        () if !asked.warnings.is_empty() => Said::warn(
            asked.warnings.join("; "),
            "`vfio-bind plan` shows what is done",
        ),
        () if asked.anything && asked.bound.is_empty() => Said::warn(
            "something is asked for, and a boot binds nothing: all of it is excluded, or off",
            "`vfio-bind plan` shows all of it",
        ),
        () if !asked.anything => Said::not_applicable("nothing is asked for"),
        () => {
            let count = asked.bound.len();
            let s = if count == 1 { "" } else { "s" };
            Said::pass(format!(
                "a boot binds what is asked for: {count} function{s}"
            ))
        }
    };
    Ok(said.from("proc/cmdline").from("etc/vfio-bind/policy.conf"))
}
