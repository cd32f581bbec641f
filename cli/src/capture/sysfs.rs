//! What of sysfs is captured: PCI functions where they really are, with all that hangs behind them, and the classes
//! through which it is found. Only attributes that are listed here are read.

use std::fs;
use std::path::Path;

use super::disguise::Kind;
use super::hardware::{configuration, edid};
use super::taker::Taker;

/// How deep a device may be below its function.
const DEEPEST: usize = 40;

/// Attributes that tell of a kind of device, and so of no machine.
const PLAIN: &str = " modalias vendor device subsystem_vendor subsystem_device class revision boot_vga enable numa_node \
    local_cpulist reset_method reset power_state d3cold_allowed resource secondary_bus_number \
    subordinate_bus_number sriov_totalvfs sriov_numvfs sriov_offset sriov_stride sriov_vf_device sriov_drivers_autoprobe \
    driver_override current_link_speed current_link_width max_link_speed max_link_width acpi_index ari_enabled uid \
    function_id pchid pfgid uid_is_unique dev partition size removable ro rotational start state level operstate \
    carrier speed duplex ifindex iflink type addr_len flags mtu bInterfaceClass bInterfaceSubClass bInterfaceProtocol \
    bDeviceClass bDeviceSubClass bDeviceProtocol idVendor idProduct busnum devnum devpath maxchild status enabled dpms \
    modes boot_display id number rev firmware_rev transport cntlid nsid bind active suspended read_ahead_kb \
    chip_name reserved_regions path ";

/// Attributes with what a device calls itself, in which its owner's name may stand.
const TEXTS: &str = " product manufacturer model name label address phys traddr ";

/// Attributes that tell one device from all others.
const SERIALS: &str = " serial wwid wwn uuid nguid eui subsysnqn hostnqn hostid uniq unique_id targetname initiatorname \
    iSerial permanent_address ";

/// Attributes with the names of what people made.
const NAMES: &str = " backing_file ";

/// Links that lead from one device to another.
const LINKS: &str =
    " driver subsystem iommu_group iommu physfn device firmware_node bdi module master ";

/// Directories with nothing that anybody reads.
const SKIPPED: &str = " power msi_irqs statistics queues trace hwmon ieee80211 rfkill leds of_node ptp pps \
    integrity mq fdt aer_stats link ";

fn is_listed(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|one| one == name)
}

/// Takes all of it.
pub(super) fn take(taker: &mut Taker<'_>) {
    let devices = "sys/bus/pci/devices";
    taker.put_directory(devices);
    for name in taker.names(devices) {
        let entry = format!("{devices}/{name}");
        let place = taker.target(&entry);
        taker.put_link(&entry);
        if let Some(place) = place {
            device(taker, &place, 0);
            let status = place.join("power/runtime_status");
            if let Some(bytes) = taker.read(&status) {
                taker.put(status, bytes);
            }
        }
    }
    drivers(taker);
    groups(taker);
    classes(taker);
    for directory in [
        "sys/bus/usb/devices",
        "sys/dev/block",
        "sys/bus/virtio/devices",
    ] {
        for name in taker.names(directory) {
            taker.put_link(format!("{directory}/{name}"));
        }
    }
    for directory in [
        "sys/bus/virtio/drivers",
        "sys/bus/platform/drivers",
        "sys/hypervisor",
    ] {
        taker.put_directory(directory);
    }
    for name in taker.names("sys/bus/virtio/drivers") {
        links_in(taker, &format!("sys/bus/virtio/drivers/{name}"));
    }
    modules(taker);
    firmware(taker);
    file_systems(taker);
}

/// Takes a device with all below it.
fn device(taker: &mut Taker<'_>, place: &Path, depth: usize) {
    let Ok(entries) = fs::read_dir(taker.root.join(place)) else {
        return;
    };
    taker.put_directory(place);
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        let path = place.join(&name);
        if kind.is_dir() {
            let below = depth < DEEPEST && !is_listed(SKIPPED, &name);
            // A function behind a bridge has an entry of its own.
            if below {
                device(taker, &path, depth + 1);
            }
        } else if kind.is_symlink() {
            let many = ["virtfn", "lower_", "upper_", "consumer:", "supplier:"];
            let in_list = place.file_name().is_some_and(|list| {
                ["slaves", "holders", "multipath", "devices"]
                    .iter()
                    .any(|one| list == *one)
            });
            if is_listed(LINKS, &name)
                || in_list
                || many.iter().take(3).any(|m| name.starts_with(m))
            {
                taker.put_link(&path);
            }
            if name == "firmware_node"
                && let Some(node) = taker.target(&path)
            {
                attribute(taker, &node.join("path"));
            }
        } else {
            attribute(taker, &path);
        }
    }
}

/// Takes an attribute, where it is one of those that are.
fn attribute(taker: &mut Taker<'_>, path: &Path) {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let is_mapped = folder == "dm";
    let resizable = name.starts_with("resource") && name.ends_with("_resize");
    if name == "config" || name == "edid" {
        if let Some(bytes) = taker.read(path) {
            let bytes = match name.as_str() {
                "config" => configuration(&mut taker.disguise, bytes),
                _ => edid(&mut taker.disguise, bytes),
            };
            taker.put(path, bytes);
        }
    } else if is_mapped && ["name", "uuid"].contains(&name.as_str()) {
        if let Some(text) = taker.read_text(path) {
            let new = match name.as_str() {
                "uuid" => mapped_uuid(taker, text.trim()),
                _ => taker.disguise.name(text.trim()),
            };
            taker.put(path, new + "\n");
        }
    } else if resizable || is_listed(PLAIN, &name) {
        // One that can only be written, as `reset`, is there all the same.
        let bytes = match name.as_str() {
            "reset" => Some(Vec::new()),
            _ => taker.read(path),
        };
        if let Some(bytes) = bytes {
            taker.put(path, bytes);
        }
    } else if is_listed(TEXTS, &name) {
        if let Some(text) = taker.read_text(path) {
            let new = taker.disguise.text(&text);
            taker.put_loose(path, new);
        }
    } else if is_listed(NAMES, &name) {
        if let Some(text) = taker.read_text(path) {
            let new = taker.disguise.names(&text);
            taker.put(path, new);
        }
    } else if is_listed(SERIALS, &name)
        && let Some(text) = taker.read_text(path)
    {
        let kind = if name == "uuid" {
            Kind::Uuid
        } else {
            Kind::Serial
        };
        let new = match text.trim() {
            "" => String::new(),
            text => taker.disguise.word(kind, text),
        };
        taker.put(path, new + "\n");
    }
}

/// `LVM-` with the group's and the volume's numbers, `CRYPT-LUKS2-NUMBER-NAME`, `mpath-NUMBER`.
fn mapped_uuid(taker: &mut Taker<'_>, uuid: &str) -> String {
    let disguise = &mut taker.disguise;
    if let Some(rest) = uuid.strip_prefix("LVM-")
        && let Some((group, volume)) = rest.split_at_checked(32)
    {
        let group = disguise.word(Kind::Uuid, group);
        return match volume.split_at_checked(32) {
            Some((volume, layer)) => {
                format!("LVM-{group}{}{layer}", disguise.word(Kind::Uuid, volume))
            }
            None => format!("LVM-{group}{volume}"),
        };
    }
    let mut parts = uuid.splitn(4, '-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("CRYPT"), Some(kind), Some(number), Some(name)) => format!(
            "CRYPT-{kind}-{}-{}",
            disguise.word(Kind::Uuid, number),
            disguise.name(name)
        ),
        _ => match uuid.split_once('-') {
            Some((kind, rest)) => format!("{kind}-{}", disguise.word(Kind::Uuid, rest)),
            None => disguise.name(uuid),
        },
    }
}

fn drivers(taker: &mut Taker<'_>) {
    for name in taker.names("sys/bus/pci/drivers") {
        taker.put_directory(format!("sys/bus/pci/drivers/{name}"));
        links_in(taker, &format!("sys/bus/pci/drivers/{name}"));
    }
    for name in taker.names("sys/bus/pci/slots") {
        let path = format!("sys/bus/pci/slots/{name}/address");
        if let Some(bytes) = taker.read(&path) {
            taker.put(path, bytes);
        }
    }
}

fn links_in(taker: &mut Taker<'_>, directory: &str) {
    taker.put_directory(directory);
    for name in taker.names(directory) {
        let path = format!("{directory}/{name}");
        // Its functions; the module is found by its name.
        if name != "module" && taker.root.join(&path).is_symlink() {
            taker.put_link(path);
        }
    }
}

fn groups(taker: &mut Taker<'_>) {
    let groups = "sys/kernel/iommu_groups";
    taker.put_directory(groups);
    for group in taker.names(groups) {
        for file in ["type", "reserved_regions", "name"] {
            let path = format!("{groups}/{group}/{file}");
            if let Some(bytes) = taker.read(&path) {
                taker.put(path, bytes);
            }
        }
        let members = format!("{groups}/{group}/devices");
        taker.put_directory(&members);
        for name in taker.names(&members) {
            let path = format!("{members}/{name}");
            match taker.root.join(&path).is_symlink() {
                true => taker.put_link(path),
                false => taker.put_mark(path),
            }
        }
    }
}

/// The classes through which devices are found; what they list is taken where it is.
fn classes(taker: &mut Taker<'_>) {
    for class in [
        "iommu",
        "block",
        "net",
        "drm",
        "sound",
        "graphics",
        "vtconsole",
        "nvme",
        "nvme-subsystem",
        "vfio",
        "vfio-dev",
        "scsi_host",
        "input",
        "usbmisc",
        "hidraw",
        "backlight",
    ] {
        let directory = format!("sys/class/{class}");
        taker.put_directory(&directory);
        for name in taker.names(&directory) {
            of_class(taker, &format!("{directory}/{name}"));
        }
    }
    let console = "sys/class/tty/console/active";
    let Some(active) = taker.read_text(console) else {
        return;
    };
    taker.put_link("sys/class/tty/console");
    let place = taker.target(console).unwrap_or_else(|| console.into());
    taker.put(place, active.clone());
    for name in active.split_whitespace() {
        of_class(taker, &format!("sys/class/tty/{name}"));
    }
}

fn of_class(taker: &mut Taker<'_>, entry: &str) {
    let Some(place) = taker.target(entry) else {
        return;
    };
    if taker.root.join(entry).is_symlink() {
        taker.put_link(entry);
    }
    // Below a function it was taken with that.
    device(taker, &place, DEEPEST - 4);
}

fn modules(taker: &mut Taker<'_>) {
    for module in taker.names("sys/module") {
        taker.put_directory(format!("sys/module/{module}"));
        links_in_existing(taker, &format!("sys/module/{module}/drivers"));
        for parameter in [
            "allow_unsafe_interrupts",
            "enable_unsafe_noiommu_mode",
            "disable_idle_d3",
            "nested",
        ] {
            let path = format!("sys/module/{module}/parameters/{parameter}");
            if (module.starts_with("vfio") || module.starts_with("kvm"))
                && let Some(bytes) = taker.read(&path)
            {
                taker.put(path, bytes);
            }
        }
    }
}

fn links_in_existing(taker: &mut Taker<'_>, directory: &str) {
    if taker.root.join(directory).is_dir() {
        links_in(taker, directory);
    }
}

fn firmware(taker: &mut Taker<'_>) {
    for directory in [
        "sys/firmware",
        "sys/firmware/acpi/tables",
        "sys/firmware/efi",
        "sys/hypervisor/s390",
    ] {
        taker.put_directory(directory);
    }
    for table in ["DMAR", "IVRS", "IORT", "VIOT"] {
        let path = format!("sys/firmware/acpi/tables/{table}");
        if taker.root.join(&path).exists() {
            taker.put(path, "");
        }
    }
    let variables = "sys/firmware/efi/efivars";
    let boot = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let loader = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    for name in taker.names(variables) {
        let path = format!("{variables}/{name}");
        if name == boot
            && let Some(bytes) = taker.read(&path)
        {
            // The number in the name is that of the specification.
            taker.tree.add(
                Path::new(&path),
                super::tree::Entry::File(bytes),
                super::tree::Meta::default(),
            );
        } else if ["LoaderInfo", "LoaderEntrySelected"]
            .iter()
            .any(|one| name == format!("{one}-{loader}"))
            && let Some(bytes) = taker.read(&path)
            && let Some((attributes, text)) = bytes.split_at_checked(4)
        {
            let (units, _) = text.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            let text = String::from_utf16_lossy(&units);
            let new = taker.disguise.text(&text);
            let mut bytes = attributes.to_vec();
            bytes.extend(new.encode_utf16().flat_map(u16::to_le_bytes));
            taker.tree.add(
                Path::new(&path),
                super::tree::Entry::File(bytes),
                super::tree::Meta::default(),
            );
        }
    }
    if let Some(bytes) = taker.read("sys/kernel/security/lockdown") {
        taker.put("sys/kernel/security/lockdown", bytes);
    }
    for number in taker.names("sys/kernel/irq") {
        let path = format!("sys/kernel/irq/{number}/chip_name");
        if let Some(bytes) = taker.read(&path) {
            taker.put(path, bytes);
        }
    }
}

fn file_systems(taker: &mut Taker<'_>) {
    for system in taker.names("sys/fs/btrfs") {
        links_in_existing(taker, &format!("sys/fs/btrfs/{system}/devices"));
    }
    for disk in taker.names("sys/fs/ext4") {
        let path = format!("sys/fs/ext4/{disk}/journal_task");
        if let Some(bytes) = taker.read(&path) {
            taker.put(path, bytes);
        }
    }
    for name in taker.names("sys/fs/virtiofs") {
        let path = format!("sys/fs/virtiofs/{name}/tag");
        if let Some(text) = taker.read_text(&path) {
            let new = taker.disguise.names(&text);
            taker.put(path, new);
        }
        taker.put_link(format!("sys/fs/virtiofs/{name}/device"));
    }
}
