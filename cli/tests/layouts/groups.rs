//! Volume groups: a boot wants all of a group, whatever the root itself stands on.

use crate::system::{Answers, SATA_LINES, System, expect, expect_lines, expect_problem};

const GROUP: &str = "LVM-Eo2xSdBwuHb9EDLXq0qgMvHCDxN7ZmvJ";
const UUID: &str = "Eo2xSd-BwuH-b9ED-LXq0-qgMv-HCDx-N7ZmvJ";
const OTHER: &str = "aaaaaa-BwuH-b9ED-LXq0-qgMv-HCDx-N7ZmvJ";

/// A logical volume of the group.
fn volume(system: &System, name: &str, number: &str, suffix: &str, slaves: &[&str]) {
    system.layer(name, number, slaves).write(
        &format!("sys/devices/virtual/block/{name}/dm/uuid"),
        &format!("{GROUP}{name:0>32}{suffix}\n"),
    );
}

fn asked(pvs: Result<&'static str, &'static str>) -> Answers {
    Answers {
        pvs: Some(pvs),
        ..Answers::default()
    }
}

#[test]
fn a_snapshot_of_the_root_with_its_store_on_another_controller() {
    let system = System::two_disks();
    volume(&system, "dm-0", "253:0", "-real", &["sda2"]);
    volume(&system, "dm-1", "253:1", "", &["dm-0"]);
    volume(&system, "dm-2", "253:2", "-cow", &["sdb2"]);
    volume(&system, "dm-3", "253:3", "", &["dm-0", "dm-2"]);
    system.mount("253:1 / ext4 /dev/mapper/vg-root");
    let [first, second] = SATA_LINES;
    let lines = |second_text| [(first, "/: sda2 through dm-0, dm-1"), (second, second_text)];
    let listing = "  UUID|/dev/sda2\n  UUID|/dev/sdb2\n".replace("UUID", UUID);
    let found = system.protected_with(&asked(Ok(listing.leak())));
    expect(&found, &lines("/: sdb2 through the volume group of dm-1"));

    // Without lvm sysfs shows the store, which is in use.
    let found = system.protected_with(&asked(Err("the program pvs is not installed")));
    let text = "/: sdb2 through dm-2, the volume group of dm-1";
    expect_lines(&found, &lines(text));
    expect_problem(
        &found,
        &["/: ", "volume group of dm-1", "pvs is not installed"],
    );
}

#[test]
fn an_empty_physical_volume_belongs_to_its_group() {
    let system = System::two_disks();
    let third = "pci0000:00/0000:00:1a.0";
    system
        .function(third, "8086:a352")
        .block(&format!("{third}/ata9/block/sdc"), "8:32");
    volume(&system, "dm-0", "253:0", "", &["sda2"]);
    system.mount("253:0 / ext4 /dev/mapper/vg-root");
    let listing =
        format!("  {UUID}|/dev/sda2\n  {OTHER}|/dev/sdc\n  |/dev/sda1\n  {UUID}|/dev/sdb\n");
    let [first, second] = SATA_LINES;
    let lines = [
        (first, "/: sda2 through dm-0"),
        (second, "/: sdb through the volume group of dm-0"),
    ];
    expect(&system.protected_with(&asked(Ok(listing.leak()))), &lines);
}

#[test]
fn a_volume_of_the_group_that_is_missing_is_told() {
    let system = System::two_disks();
    volume(&system, "dm-0", "253:0", "", &["sda2"]);
    system.mount("253:0 / ext4 /dev/mapper/vg-root");
    let listing = format!("  {UUID}|/dev/sda2\n  {UUID}|[unknown]\n");
    let found = system.protected_with(&asked(Ok(listing.leak())));
    expect_lines(&found, &[(SATA_LINES[0], "/: sda2 through dm-0")]);
    expect_problem(&found, &["/: ", "dm-0", "missing"]);
}

#[test]
fn what_is_no_volume_of_a_group_asks_for_none() {
    let system = System::two_disks();
    system.layer("dm-0", "253:0", &["sda2"]).write(
        "sys/devices/virtual/block/dm-0/dm/uuid",
        "CRYPT-LUKS2-0123456789abcdef-luks\n",
    );
    system.mount("253:0 / ext4 /dev/mapper/luks");
    expect(
        &system.protected(),
        &[(SATA_LINES[0], "/: sda2 through dm-0")],
    );
}
