//! What is found out about a machine.

use crate::machine::{GPU, GPU_AUDIO, NIC, NVME, Row, SATA, SOUND, System, USB, at};
use vfio_bind_cli::facts::behind::Detail;
use vfio_bind_cli::facts::{Lending, Machine, seen};

fn verdict(machine: &Machine, path: &str) -> (Lending, String) {
    let group = machine.group_of(at(machine, path).address).unwrap();
    (group.verdict.lending, group.verdict.told(Detail::All))
}

#[test]
fn what_hangs_behind_each_function() {
    let system = System::desktop();
    let machine = system.read();
    for (path, all, impersonal) in [
        (
            NVME,
            &["disk nvme0n1 Samsung SSD 980 PRO 1TB (1.0 TB): /boot/efi, /, vg-spare, swap"][..],
            &[
                "disk nvme0n1 Samsung SSD 980 PRO 1TB (1.0 TB): /boot/efi, /, something in use, swap",
            ][..],
        ),
        (
            SATA,
            &[
                "disk sda WDC WD40EFRX (4.0 TB): /srv/alice",
                "disk sdb WDC WD40EFRX (4.0 TB): /srv/alice",
            ],
            &[
                "disk sda WDC WD40EFRX (4.0 TB): something in use",
                "disk sdb WDC WD40EFRX (4.0 TB): something in use",
            ],
        ),
        (
            NIC,
            &["network enp2s0, up, 192.168.1.5/24, default route"],
            &["network enp2s0, up, default route"],
        ),
        (
            USB,
            &[
                "USB 1-4: Logitech USB Receiver (keyboard, mouse)",
                "USB 1-10.2: Logitech  [31mDock",
            ],
            &[
                "USB 1-4: Logitech USB Receiver (keyboard, mouse)",
                "USB 1-10.2: Logitech  [31mDock",
            ],
        ),
        (
            GPU,
            &["monitor DELL U2720Q on DP-1", "monitor on DP-2"],
            &["monitor DELL U2720Q on DP-1", "monitor on DP-2"],
        ),
        (SOUND, &["sound HDA Intel PCH"], &["sound HDA Intel PCH"]),
        (GPU_AUDIO, &[], &[]),
    ] {
        let behind = &at(&machine, path).behind;
        assert_eq!(behind.told(Detail::All), all, "{path}");
        assert_eq!(behind.told(Detail::Impersonal), impersonal, "{path}");
    }
    let layers: Vec<_> = at(&machine, NVME).behind.disks[0]
        .users
        .iter()
        .map(|user| (&*user.device, user.through.join(" "), &*user.of))
        .collect();
    let expected = [
        ("nvme0n1p1", "", "/boot/efi"),
        ("nvme0n1p2", "cryptroot vg-root", "/"),
        ("nvme0n1p2", "cryptroot", "vg-spare"),
        ("nvme0n1p3", "", "swap"),
    ];
    assert_eq!(
        layers,
        expected.map(|(device, through, of)| (device, through.to_owned(), of))
    );
}

#[test]
fn functions_know_their_names_links_resets_and_places() {
    let system = System::desktop();
    let machine = system.read();
    let gpu = at(&machine, GPU);
    assert_eq!(gpu.name, "NVIDIA GA102 [GeForce RTX 3090]");
    assert_eq!(gpu.resets.as_deref().unwrap(), ["flr", "bus"]);
    assert_eq!(gpu.parent, Some(at(&machine, "0000:00:01.0").address));
    assert_eq!((&*gpu.root_bus, gpu.numa_node), ("0000:00", None));
    assert_eq!(gpu.path.as_deref(), Some("0000:00:01.0/00.0"));
    assert!(gpu.boot_display);
    let told = gpu.link.unwrap().told();
    assert_eq!(
        told.as_deref(),
        Some("8.0 GT/s x4, where both ends can 16.0 GT/s x16")
    );
    // What sleeps is not looked at.
    system.file(GPU, "power/runtime_status", "suspended\n");
    assert_eq!(at(&system.read(), GPU).link, None);
}

#[test]
fn the_agent_says_what_can_be_lent() {
    let system = System::desktop();
    let machine = system.read();
    let is = |path, expected| assert_eq!(verdict(&machine, path), expected, "{path}");
    let in_use = |why: &str| (Lending::InUse, format!("can be lent, but is in use: {why}"));
    let cannot = |why: &str| (Lending::Cannot, format!("cannot be lent: {why}"));
    is(GPU, in_use("the machine boots on this display"));
    is(GPU_AUDIO, (Lending::Can, "can be lent".to_owned()));
    is(NIC, in_use("enp2s0 has the default route"));
    is(USB, in_use("it has a keyboard"));
    is(SATA, in_use("sda has /srv/alice, sdb has /srv/alice"));
    is(
        NVME,
        cannot("the system needs 0000:03:00.0 for /, /boot/efi, swap"),
    );
    is(
        SOUND,
        cannot("0000:00:1f.4 of it belongs to the machine and has the driver i801_smbus"),
    );
    is(
        "0000:00:1c.0",
        (Lending::Machine, "belongs to the machine".to_owned()),
    );
}

#[test]
fn what_forbids_lending_is_a_phrase() {
    const PATH: &str = "pci0000:00/0000:00:05.0";
    let row: Row<'_> = (PATH, "8086:1572", "020000", "i40e", Some(1));
    let none: Row<'_> = (PATH, "8086:1572", "020000", "i40e", None);
    let other: Row<'_> = (
        "pci0000:00/0000:00:06.0",
        "8086:1572",
        "020000",
        "",
        Some(2),
    );
    for (rows, file, text, expected) in [
        (
            &[row][..],
            "sys/kernel/iommu_groups/1/reserved_regions",
            "0x00000000fee00000 0x00000000feefffff msi\n0x0 0xfff direct\n",
            "cannot be lent: its firmware wants memory mapped 1:1, and VFIO refuses that",
        ),
        (
            &[row],
            "sys/kernel/iommu_groups/1/reserved_regions",
            "0x0 0xfff direct-relaxable\n",
            "can be lent",
        ),
        (
            &[none],
            "etc/x",
            "",
            "cannot be lent: the kernel uses no IOMMU",
        ),
        (
            &[none, other],
            "etc/x",
            "",
            "cannot be lent: the kernel gave it no IOMMU group",
        ),
        (
            &[row],
            "etc/vfio-bind/policy.conf",
            "vfio.protect=00:05.0\n",
            "cannot be lent: 0000:00:05.0 is protected by the policy",
        ),
        (
            &[row],
            "etc/vfio-bind/policy.conf",
            "vfio.bind=!00:05.0\n",
            "cannot be lent: the policy excludes 0000:00:05.0",
        ),
        // What is switched off for this boot can be lent in another.
        (&[row], "proc/cmdline", "vfio.bind=off\n", "can be lent"),
        (&[row], "proc/cmdline", "quiet \"open\n", "can be lent"),
        (
            &[row],
            "etc/vfio-bind/policy.conf",
            "vfio.group=strict\n",
            "can be lent",
        ),
    ] {
        let system = System::of(rows);
        system.write(file, text);
        let machine = system.read();
        assert_eq!(verdict(&machine, PATH).1, expected, "{file}: {text}");
    }
}

#[test]
fn a_graphics_card_is_one_device_whatever_groups_it_is_in() {
    let system = System::desktop();
    let machine = system.read();
    let device = machine.device_of(at(&machine, GPU_AUDIO).address).unwrap();
    assert_eq!(device.name, "NVIDIA GA102 [GeForce RTX 3090]");
    assert_eq!(
        (device.functions.len(), &device.groups[..]),
        (2, &[10, 11][..])
    );
    // The functions of the chipset's slot are no device.
    assert_eq!(
        machine
            .device_of(at(&machine, SOUND).address)
            .unwrap()
            .functions
            .len(),
        1
    );
}

#[test]
fn audio_behind_the_cards_own_switch_is_of_the_card() {
    const UP: &str = "pci0000:00/0000:00:01.0/0000:01:00.0";
    let below = |rest: &str| format!("{UP}/{rest}");
    let display = below("0000:02:01.0/0000:03:00.0");
    let audio = below("0000:02:04.0/0000:04:00.0");
    let ports = [below("0000:02:01.0"), below("0000:02:04.0")];
    let rows = [
        (
            "pci0000:00/0000:00:01.0",
            "8086:a70d",
            "060400",
            "pcieport",
            Some(1),
        ),
        (UP, "8086:4fa0", "060400", "pcieport", Some(2)),
        (&*ports[0], "8086:4fa4", "060400", "pcieport", Some(3)),
        (&*display, "8086:56a0", "030000", "i915", Some(4)),
        (&*ports[1], "8086:4fa4", "060400", "pcieport", Some(5)),
        (&*audio, "8086:4f90", "040300", "snd_hda_intel", Some(6)),
    ];
    let machine = System::of(&rows).read();
    let device = machine.device_of(at(&machine, &audio).address).unwrap();
    assert_eq!(device.groups, [4, 6]);
    // Something else behind the switch, and it is no card's own.
    let other = below("0000:02:04.0/0000:04:00.1");
    let mut rows = rows.to_vec();
    rows.push((&*other, "144d:a80a", "010802", "nvme", Some(7)));
    let machine = System::of(&rows).read();
    assert_eq!(
        machine
            .device_of(at(&machine, &audio).address)
            .unwrap()
            .groups,
        [6]
    );
}

#[test]
fn what_was_seen_is_remembered_of_the_same_card_only() {
    let system = System::desktop();
    let look = || {
        let mut machine = system.read();
        seen::recall(system.root(), &mut machine).unwrap();
        machine
    };
    seen::keep(system.root(), &look()).unwrap();
    let file = system.path(seen::FILE);
    let kept = std::fs::read_to_string(&file).unwrap();
    for personal in ["192.168", "52:54", "/srv/alice", "vg-"] {
        assert!(!kept.contains(personal), "{personal}: {kept}");
    }
    assert!(at(&look(), NIC).last_seen.is_empty());
    // Lent, nothing is to be seen; what is remembered stays.
    system
        .drive(NIC, "vfio-pci")
        .remove(&format!("sys/devices/{NIC}/net"));
    for _ in 0..2 {
        let machine = look();
        assert_eq!(
            at(&machine, NIC).last_seen,
            ["network enp2s0, up, default route"]
        );
        assert_eq!(verdict(&machine, NIC).0, Lending::Lent);
        seen::keep(system.root(), &machine).unwrap();
    }
    // With a driver that does nothing it is kept, and a native one without an interface has none.
    system.drive(NIC, "pci-stub");
    seen::keep(system.root(), &look()).unwrap();
    system.drive(NIC, "vfio-pci");
    assert_eq!(at(&look(), NIC).last_seen.len(), 1);
    // Another card in its place.
    system.function(&(NIC, "8086:15f2", "020000", "vfio-pci", Some(12)));
    assert!(at(&look(), NIC).last_seen.is_empty());
    // What is no file of ours is told, and stays.
    system.write(seen::FILE, "{}");
    let mut machine = system.read();
    let error = format!(
        "{:#}",
        seen::recall(system.root(), &mut machine).unwrap_err()
    );
    assert!(error.contains("remove it"), "{error}");
    assert!(seen::keep(system.root(), &machine).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}");
}

#[test]
fn a_group_that_the_host_has_a_part_of_is_no_guests() {
    let rows = [
        (
            "pci0000:00/0000:00:05.0",
            "8086:1572",
            "020000",
            "vfio-pci",
            Some(1),
        ),
        (
            "pci0000:00/0000:00:05.1",
            "8086:1572",
            "020000",
            "i40e",
            Some(1),
        ),
    ];
    let machine = System::of(&rows).read();
    let expected =
        "bound to VFIO: no guest can have it while 0000:00:05.1 of it has the driver i40e";
    assert_eq!(
        verdict(&machine, rows[0].0),
        (Lending::Lent, expected.to_owned())
    );
}

#[test]
fn what_virtual_functions_are_made_of_is_in_use() {
    const VF: &str = "pci0000:00/0000:00:05.1";
    let rows: [Row<'_>; 2] = [
        (
            "pci0000:00/0000:00:05.0",
            "8086:1572",
            "020000",
            "i40e",
            Some(1),
        ),
        (VF, "8086:154c", "020000", "vfio-pci", Some(2)),
    ];
    let pf = rows[0].0;
    let system = System::of(&rows);
    for (file, text) in [
        ("sriov_totalvfs", "8\n"),
        ("sriov_offset", "1\n"),
        ("sriov_stride", "1\n"),
    ] {
        system.file(pf, file, text);
    }
    system
        .link(
            &format!("sys/devices/{pf}/virtfn0"),
            &format!("sys/devices/{VF}"),
        )
        .link(
            &format!("sys/devices/{VF}/physfn"),
            &format!("sys/devices/{pf}"),
        );
    let machine = system.read();
    let expected = "can be lent, but is in use: its virtual functions go with it";
    assert_eq!(verdict(&machine, pf).1, expected);
    assert_eq!(
        at(&machine, VF).physical_function,
        Some(at(&machine, pf).address)
    );
    assert_eq!(verdict(&machine, VF).0, Lending::Lent);
    // Each is lent by itself.
    assert_eq!(
        machine
            .device_of(at(&machine, VF).address)
            .unwrap()
            .functions
            .len(),
        1
    );
}
