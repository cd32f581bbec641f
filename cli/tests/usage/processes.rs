//! Processes that have a device open, or mapped.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::machine::{FULL, GPU, Machine, NIC, RANDOM, USB, ZERO, place};

#[test]
fn a_display_that_is_shown_on() {
    let machine = Machine::new();
    machine.card(FULL.1).process(812, "Xorg");
    // What it has open, and what is none of its business.
    machine
        .open(812, 3, ZERO.0)
        .open(812, 4, "socket:[1234]")
        .open(812, 5, "/no/such/file");
    machine.expect(GPU, &[]);
    machine.open(812, 9, FULL.0);
    machine.expect(GPU, &["Xorg (pid 812) has /dev/full open"]);
    machine.expect(USB, &[]);
    let usage = machine.usage(&[GPU, USB, NIC], &[]);
    assert_eq!(usage.users.len(), 1, "{usage:?}");
}

#[test]
fn what_is_mapped_is_in_use_when_its_descriptor_is_closed() {
    let machine = Machine::new();
    machine.card(FULL.1).process(77, "render").map(77, FULL.0);
    machine.expect(GPU, &["render (pid 77) has /dev/full mapped"]);
    // The same thing once.
    machine.open(77, 3, FULL.0);
    machine.expect(GPU, &["render (pid 77) has /dev/full open"]);
}

#[test]
fn a_block_device_is_no_character_device() {
    let machine = Machine::new();
    machine.device(&format!("{}/nvme0n1", place(GPU)), "block", FULL.1);
    machine.process(812, "dd").open(812, 3, FULL.0);
    machine.expect(GPU, &[]);
}

#[test]
fn several_devices_of_one_function() {
    let machine = Machine::new();
    machine.card(FULL.1);
    machine.device(&format!("{}/drm/renderD128", place(GPU)), "drm", ZERO.1);
    machine
        .process(5, "compute")
        .open(5, 3, ZERO.0)
        .open(5, 4, FULL.0);
    machine.process(6, "other").open(6, 4, ZERO.0);
    let usage = machine.usage(&[GPU], &[]);
    let (address, users) = usage.users.first_key_value().unwrap();
    assert_eq!(users.len(), 2, "{users:?}");
    assert!(users[0].contains("compute (pid 5) has /dev/") && users[0].ends_with("(and 1 more)"));
    assert_eq!(users[1], "other (pid 6) has /dev/zero open");
    let text = usage.text(*address).unwrap();
    assert!(text.contains("; other (pid 6)"), "{text}");
}

#[test]
fn many_users_are_not_all_named() {
    let machine = Machine::new();
    machine.card(FULL.1);
    for id in 2..=7 {
        machine.process(id, "a\nb").open(id, 3, FULL.0);
    }
    let usage = machine.usage(&[GPU], &[]);
    let text = usage
        .text(*usage.users.first_key_value().unwrap().0)
        .unwrap();
    assert!(
        text.ends_with("; and 2 more") && !text.contains('\n'),
        "{text}"
    );
}

#[test]
fn a_mouse_behind_a_host_controller_is_named() {
    let machine = Machine::new();
    let device = format!("{}/usb3/3-1", place(USB));
    machine.write(&format!("{device}/product"), "Some Receiver\n");
    machine.device(&device, "usb", RANDOM.1);
    let input = format!("{device}/3-1:1.0/0003:046D:C52B.0001/input/input7");
    machine
        .write(&format!("{input}/name"), "Some Mouse\n")
        .device(&format!("{input}/event5"), "input", FULL.1);
    // Who waits for a key that switches the machine off uses no mouse.
    machine.process(600, "systemd-logind").open(600, 30, FULL.0);
    machine.process(1, "systemd").open(1, 30, FULL.0);
    machine.process(601, "(udev-worker)").open(601, 30, FULL.0);
    machine.process(602, "upowerd").open(602, 30, FULL.0);
    machine.expect(USB, &[]);
    machine.process(812, "Xorg").open(812, 44, FULL.0);
    machine.expect(USB, &["Xorg (pid 812) has /dev/full (Some Mouse) open"]);
    // What talks to the device itself.
    machine.open(812, 44, RANDOM.0);
    machine.expect(
        USB,
        &["Xorg (pid 812) has /dev/random (Some Receiver) open"],
    );
}

#[test]
fn a_sound_card_is_in_use_while_it_plays() {
    let machine = Machine::new();
    let card = format!("{}/sound/card1", place(GPU));
    machine
        .device(&format!("{card}/controlC1"), "sound", ZERO.1)
        .device(&format!("{card}/pcmC1D3p"), "sound", FULL.1);
    machine.process(900, "wireplumber").open(900, 20, ZERO.0);
    machine.expect(GPU, &[]);
    machine.open(900, 21, FULL.0);
    machine.expect(GPU, &["wireplumber (pid 900) has /dev/full open"]);
}

#[test]
fn what_is_behind_a_bridge_is_no_use_of_the_bridge() {
    let machine = Machine::new();
    let behind = format!("{}/0000:45:00.0/drm/card3", place(NIC));
    machine.device(&behind, "drm", FULL.1);
    machine.process(812, "Xorg").open(812, 9, FULL.0);
    machine.expect(NIC, &[]);
    // A VMD controller has a bus of its own between it and what goes with it.
    let vmd = format!(
        "{}/pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme0",
        place(USB)
    );
    machine.device(&vmd, "nvme", FULL.1);
    machine.expect(USB, &["Xorg (pid 812) has /dev/full open"]);
}

#[test]
fn a_function_lent_to_a_guest() {
    let machine = Machine::new();
    machine.driver(GPU, "vfio-pci");
    machine
        .process(1000, "qemu-system-x86")
        .open(1000, 20, FULL.0);
    // The group, as all kernels have it.
    machine.device("sys/devices/virtual/vfio/1", "vfio", FULL.1);
    machine.link("sys/class/vfio/1", "sys/devices/virtual/vfio/1");
    let lent = "qemu-system-x86 (pid 1000) has /dev/full open";
    machine.expect(GPU, &[lent]);
    // Another function of the group is not, while a native driver has it.
    machine.function("0000:42:00.1", "040300", "snd_hda_intel", 1);
    machine.expect("0000:42:00.1", &[]);
    // The function itself, since Linux 6.6.
    let machine = Machine::new();
    machine.driver(GPU, "vfio-pci");
    machine.device(
        &format!("{}/vfio-dev/vfio0", place(GPU)),
        "vfio-dev",
        FULL.1,
    );
    machine
        .process(1000, "qemu-system-x86")
        .open(1000, 20, FULL.0);
    machine.expect(GPU, &[lent]);
    // A mediated device of a function that its native driver has.
    let machine = Machine::new();
    let mediated = format!("{}/4b20d080-1b54-4048-85b3-a6a62d165c01", place(GPU));
    machine.link(
        &format!("{mediated}/driver"),
        "sys/bus/mdev/drivers/vfio_mdev",
    );
    machine.link(
        &format!("{mediated}/iommu_group"),
        "sys/kernel/iommu_groups/9",
    );
    machine.device("sys/devices/virtual/vfio/9", "vfio", FULL.1);
    machine.link("sys/class/vfio/9", "sys/devices/virtual/vfio/9");
    machine
        .process(1000, "qemu-system-x86")
        .open(1000, 20, FULL.0);
    machine.expect(GPU, &[lent]);
}

#[test]
fn a_virtual_function_goes_with_the_physical_one() {
    let machine = Machine::new();
    let own = "0000:44:10.0";
    machine.function(own, "020000", "vfio-pci", 30);
    machine.link(&format!("{}/virtfn0", place(NIC)), &place(own));
    machine.device("sys/devices/virtual/vfio/30", "vfio", FULL.1);
    machine.link("sys/class/vfio/30", "sys/devices/virtual/vfio/30");
    machine.process(1000, "qemu").open(1000, 20, FULL.0);
    machine.expect(
        NIC,
        &["its virtual function 0000:44:10.0 is in use: qemu (pid 1000) has /dev/full open"],
    );
}

#[test]
fn a_driver_in_user_space() {
    let machine = Machine::new();
    let resource = format!("/{}/resource0", place(NIC));
    machine.process(50, "dpdk").open(50, 7, &resource);
    machine.expect(NIC, &[&format!("dpdk (pid 50) has {resource} open")]);
    machine.expect(GPU, &[]);
}

#[test]
fn a_card_of_the_driver_that_sysfs_does_not_show() {
    let machine = Machine::new();
    machine.write(
        &format!("proc/driver/nvidia/gpus/{GPU}/information"),
        "Model: \t\t NVIDIA\nDevice Minor: \t 3\n",
    );
    let usage = machine.usage(&[GPU], &[]);
    assert_eq!(usage.users.len(), 0, "{usage:?}");
    let root = fs::canonicalize(machine.root()).unwrap();
    let sysfs = vfio_bind_cli::storage::block::Sysfs::of(&root);
    let address = vfio_bind_agent::pci::address::Address::parse(GPU.as_bytes()).unwrap();
    let carried = vfio_bind_cli::usage::devices::carried(&sysfs, address);
    let (number, _) = carried.devices.first_key_value().unwrap();
    assert_eq!((number.block, &*number.number), (false, "195:3"));
}

#[test]
fn processes_that_may_not_be_looked_at_are_counted() {
    let machine = Machine::new();
    machine.card(FULL.1);
    for id in [7, 8] {
        machine.process(id, "secret").open(id, 3, FULL.0);
        let descriptors = machine.path(&format!("proc/{id}/fd"));
        fs::set_permissions(&descriptors, fs::Permissions::from_mode(0o0)).unwrap();
        if fs::read_dir(&descriptors).is_ok() {
            // Root may look at everything.
            return;
        }
    }
    let usage = machine.usage(&[GPU], &[]);
    assert_eq!(usage.users.len(), 0);
    let [told] = &usage.told[..] else {
        panic!("{usage:?}");
    };
    assert!(
        told.starts_with("2 processes could not be looked at"),
        "{told}"
    );
}

#[test]
fn a_disk_with_several_ways_to_it() {
    let machine = Machine::new();
    let path = format!("{}/nvme/nvme0/nvme1c0n1", place(GPU));
    machine.write(&format!("{path}/size"), "1\n");
    let subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys1";
    // No node of a block device is everywhere.
    machine.device(&format!("{subsystem}/ng1n1"), "nvme-generic", FULL.1);
    machine.link("sys/class/nvme-subsystem/nvme-subsys1", subsystem);
    machine.process(50, "smartd").open(50, 7, FULL.0);
    machine.expect(GPU, &["smartd (pid 50) has /dev/full open"]);
    machine.expect(NIC, &[]);
}
