//! The IOMMU: offered by the firmware, used by the kernel, and what it keeps interrupts and memory from.

use std::io::Read;

use flate2::read::GzDecoder;
use vfio_bind_agent::machine::inventory::Function;
use vfio_bind_agent::machine::iommu::{Advice, Kind, group_count};

use super::finding::{Answer, Said};
use super::system::{Cpu, System};
use crate::preview::mapping::{DIRECT, of_kind};

const TABLES: &str = "sys/firmware/acpi/tables";
const GROUPS: &str = "sys/kernel/iommu_groups";

/// The ACPI tables that describe an IOMMU, and what they call it.
const DESCRIBE: [(&str, &str); 4] = [
    ("DMAR", "Intel VT-d"),
    ("IVRS", "AMD-Vi"),
    ("IORT", "Arm SMMU"),
    ("VIOT", "virtio-iommu"),
];

/// What turns it on, in the agent's words.
fn advice(system: &System<'_>) -> String {
    let line = system.line.as_deref().unwrap_or_default();
    Advice::of(&system.tree, line.as_bytes()).to_string()
}

/// Whether the firmware tells the kernel of an IOMMU.
pub(super) fn firmware(system: &System<'_>) -> Answer {
    if system.cpu() == Cpu::S390 {
        return Ok(Said::not_applicable(
            "IBM Z has an IOMMU for each function; no firmware setting is needed",
        ));
    }
    let mut tables = DESCRIBE.iter();
    if let Some((table, what)) = tables.find(|(table, _)| system.has(&format!("{TABLES}/{table}")))
    {
        let said = Said::pass(format!(
            "the firmware offers {what}: ACPI has a table {table}"
        ));
        return Ok(said.from(format!("{TABLES}/{table}")));
    }
    let kind = Kind::of(&system.tree);
    if kind != Kind::None {
        return Ok(Said::pass(format!(
            "no ACPI table tells of an IOMMU, but the kernel uses one ({kind})"
        ))
        .from("sys/class/iommu"));
    }
    if !system.has("sys/firmware") {
        return Ok(Said::not_applicable("this tree has no /sys/firmware"));
    }
    let fact = match system.has(TABLES) {
        true => "ACPI has no table of an IOMMU (DMAR, IVRS, IORT, VIOT)",
        false => "there are no ACPI tables, and the kernel found no IOMMU in the device tree",
    };
    Ok(Said::fail(fact, advice(system)).from(TABLES))
}

/// Whether the kernel uses it.
pub(super) fn active(system: &System<'_>) -> Answer {
    let kind = Kind::of(&system.tree);
    let groups = group_count(&system.tree);
    let said = match (kind, groups) {
        (_, 1) => Said::pass(format!("{kind}, with 1 IOMMU group")).from(GROUPS),
        (_, 2..) => Said::pass(format!("{kind}, with {groups} IOMMU groups")).from(GROUPS),
        (Kind::None, 0) => Said::fail("the kernel uses no IOMMU", advice(system)),
        (_, 0) => Said::warn(
            format!("{kind} is there, and no function has an IOMMU group yet"),
            "nothing, where it is a virtio-iommu or an Arm SMMU under Linux before 6.15: groups come with the \
             first driver, and the agent sees to that; else look for `iommu` in the kernel log",
        )
        .from(GROUPS),
    };
    Ok(said.from("sys/class/iommu"))
}

/// What a kernel for Intel does where its command line says nothing.
pub(super) fn intel_default(system: &System<'_>) -> Answer {
    if system.cpu() != Cpu::Intel {
        return Ok(Said::not_applicable("it is about Intel VT-d"));
    }
    let said = system.parameter("intel_iommu");
    let Some((place, config)) = kernel_config(system)? else {
        return Ok(Said::not_applicable(
            "neither /boot/config-RELEASE nor /proc/config.gz tells how the kernel was built",
        ));
    };
    let is_set = |name: &str| config.contains(&format!("CONFIG_INTEL_IOMMU_DEFAULT_{name}=y\n"));
    let parameter = said.as_deref().unwrap_or("nothing");
    let is_asked_on = parameter.split(',').any(|word| word == "on");
    let answer = if is_set("ON") {
        Said::pass("the kernel turns VT-d on without a parameter")
    } else if is_set("ON_INTGPU_OFF") {
        let graphics = |function: &&Function| {
            let is_own = function.id.is_display() && function.id.vendor == 0x8086;
            is_own && function.address.bus == 0 && system.chosen.contains(&function.address)
        };
        match system.functions.iter().find(graphics) {
            Some(own) if !is_asked_on => Said::fail(
                format!(
                    "the kernel turns VT-d on except for Intel's own graphics, and {} is that",
                    own.address
                ),
                "add intel_iommu=on to the kernel command line",
            ),
            _ => Said::pass("the kernel turns VT-d on, except for Intel's own graphics"),
        }
    } else if is_set("OFF") && !is_asked_on {
        Said::fail(
            "the kernel leaves VT-d off, and the command line does not ask for it",
            "add intel_iommu=on to the kernel command line",
        )
    } else if is_set("OFF") {
        Said::pass("the kernel leaves VT-d off, and intel_iommu=on turns it on")
    } else {
        Said::not_applicable("the kernel was built without a default for VT-d")
    };
    Ok(answer.from(place).from("proc/cmdline"))
}

/// How the kernel that runs was built, and where that is written.
fn kernel_config(system: &System<'_>) -> Result<Option<(String, String)>, super::finding::Unread> {
    if let Some(release) = system.release()? {
        for place in [
            format!("boot/config-{release}"),
            format!("lib/modules/{release}/config"),
            format!("usr/lib/modules/{release}/config"),
        ] {
            if let Some(text) = system.text(&place)? {
                return Ok(Some((place, text + "\n")));
            }
        }
    }
    let place = "proc/config.gz";
    let Some(packed) = system.bytes(place)? else {
        return Ok(None);
    };
    let mut text = String::new();
    // A kernel's is some 300 KB.
    let mut reader = GzDecoder::new(&packed[..]).take(16 << 20);
    let is_whole = reader.read_to_string(&mut text).is_ok();
    Ok(is_whole.then(|| (place.to_owned(), text)))
}

/// Whether a device can raise no interrupt but its own. VFIO refuses a group otherwise
/// (`vfio_iommu_type1_attach_group`, with EPERM).
pub(super) fn interrupt_remapping(system: &System<'_>) -> Answer {
    if !matches!(system.cpu(), Cpu::Intel | Cpu::Amd) {
        return Ok(Said::not_applicable("it is about x86"));
    }
    if Kind::of(&system.tree) == Kind::None {
        return Ok(Said::not_applicable(
            "without an IOMMU interrupts are not remapped",
        ));
    }
    let mut place = "sys/kernel/irq/*/chip_name";
    let mut chips = Vec::new();
    for number in system.names("sys/kernel/irq")?.unwrap_or_default() {
        chips.extend(system.text(&format!("sys/kernel/irq/{number}/chip_name"))?);
    }
    if chips.iter().all(String::is_empty) {
        place = "proc/interrupts";
        let text = system.text(place)?.unwrap_or_default();
        chips = text.split_whitespace().map(str::to_owned).collect();
    }
    if chips.is_empty() {
        return Ok(Said::not_applicable(
            "neither /sys/kernel/irq nor /proc/interrupts is in this tree",
        ));
    }
    let remapped = chips.iter().find(|chip| {
        let names = ["IR-", "INTEL-IR", "AMD-IR"];
        names.iter().any(|name| chip.starts_with(name))
    });
    let said = match remapped {
        Some(chip) => Said::pass(format!("interrupts are remapped ({chip})")),
        None => Said::fail(
            "interrupts are not remapped, and VFIO refuses to lend a device like this",
            "update the firmware and turn on x2APIC or interrupt remapping in its setup; remove \
             intremap=off and nointremap from the kernel command line; where all \
             guests are trusted, vfio_iommu_type1.allow_unsafe_interrupts=1",
        ),
    };
    Ok(said.from(place))
}

/// Whether VFIO was told to do without.
pub(super) fn unsafe_interrupts(system: &System<'_>) -> Answer {
    let place = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
    let parameter = system.parameter("vfio_iommu_type1.allow_unsafe_interrupts");
    let mode = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
    if system.text(mode)?.as_deref() == Some("Y") {
        return Ok(Said::warn(
            "vfio lends devices without an IOMMU: such a device reaches all memory",
            "set enable_unsafe_noiommu_mode of the module vfio to N, and turn the IOMMU on",
        )
        .from(mode));
    }
    let is_on = |value: &str| matches!(value, "1" | "y" | "Y" | "");
    Ok(match (system.text(place)?, parameter) {
        (Some(value), _) if value == "Y" => Said::warn(
            "a guest may raise interrupts of the host: allow_unsafe_interrupts is on",
            "remove allow_unsafe_interrupts=1 from the kernel command line and /etc/modprobe.d, unless \
             interrupt remapping is missing and all guests are trusted",
        )
        .from(place),
        (Some(_), _) => Said::pass("allow_unsafe_interrupts is off").from(place),
        (None, Some(value)) if is_on(&value) => Said::warn(
            "the kernel command line has vfio_iommu_type1.allow_unsafe_interrupts: a guest may raise \
             interrupts of the host",
            "remove it, unless interrupt remapping is missing and all guests are trusted",
        )
        .from("proc/cmdline"),
        (None, _) => Said::not_applicable("the module vfio_iommu_type1 is not loaded"),
    })
}

/// What the group of a function does with DMA, for information.
pub(super) fn dma_mode(system: &System<'_>, function: &Function) -> Answer {
    let Some(group) = function.group else {
        return Ok(Said::not_applicable("it has no IOMMU group"));
    };
    let place = format!("{GROUPS}/{group}/type");
    Ok(match system.text(&place)? {
        Some(kind) => {
            let means = match kind.as_str() {
                "identity" => "the host lets it reach all memory; a guest gets a domain of its own",
                "DMA" => "the host translates, and flushes at once",
                "DMA-FQ" => "the host translates, and flushes in batches",
                _ => "while nobody has lent it",
            };
            Said::pass(format!("group {group} is {kind}: {means}")).from(place)
        }
        None => Said::not_applicable("the kernel does not tell it; Linux does since 5.11"),
    })
}

/// Whether the firmware wants a function to reach some memory at its own address: VFIO refuses its group
/// (`vfio_iommu_resv_exclude` and `iommu_group_claim_dma_owner` in drivers/iommu/iommu.c).
pub(super) fn direct_mapping(system: &System<'_>, function: &Function) -> Answer {
    let Some(group) = function.group else {
        return Ok(Said::not_applicable("it has no IOMMU group"));
    };
    let place = format!("{GROUPS}/{group}/reserved_regions");
    let Some(regions) = system.text(&place)? else {
        return Ok(Said::not_applicable("the kernel does not tell it"));
    };
    let direct: Vec<_> = of_kind(&regions, DIRECT).collect();
    let said = match direct[..] {
        // For what the firmware needs no more once the system runs.
        [] if of_kind(&regions, "direct-relaxable").next().is_some() => {
            Said::pass("the firmware has mapped memory for it, and lets go of it")
        }
        [] => Said::pass("the firmware maps no memory for it"),
        [first, ..] => {
            let mut range = first.split_whitespace();
            let (start, end) = (range.next(), range.next());
            Said::fail(
                format!(
                    "the firmware wants {} to {} mapped 1:1 for group {group}, and VFIO refuses to lend it",
                    start.unwrap_or_default(),
                    end.unwrap_or_default()
                ),
                "turn off in the firmware setup what shares the device with the machine's management (on HP \
                 ProLiant `conrep` excludes the slot from shared memory), or update the firmware",
            )
        }
    };
    Ok(said.from(place))
}
