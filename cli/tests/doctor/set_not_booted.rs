//! What is set, beside what was booted.

use super::machine::Machine;

const CHECK: &str = "set-not-booted";

#[test]
fn each_file_with_words_is_read() {
    for (place, text) in [
        (
            "etc/default/grub",
            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet vfio.bind=42:00.0\"\n",
        ),
        (
            "etc/default/grub.d/90-vfio-bind.cfg",
            "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT vfio.bind=42:00.0\"\n",
        ),
        (
            "boot/grub/grub.cfg",
            "menuentry x {\n\tlinux\t/vmlinuz-6.1 root=/dev/sda1 ro vfio.bind=42:00.0\n}\n",
        ),
        (
            "boot/loader/entries/a.conf",
            "title A\nlinux /vmlinuz-6.1\noptions ro vfio.bind=42:00.0\n",
        ),
        (
            "boot/efi/loader/entries/a.conf",
            "linux /vmlinuz-6.1\noptions ro\noptions vfio.bind=42:00.0\n",
        ),
        ("etc/kernel/cmdline", "root=/dev/sda1 vfio.bind=42:00.0\n"),
        (
            "etc/cmdline.d/vfio-bind.conf",
            "# ours\nvfio.bind=42:00.0\n",
        ),
        (
            "etc/kernel/cmdline.d/90-vfio-bind.conf",
            "vfio.bind=42:00.0\n",
        ),
        (
            "boot/refind_linux.conf",
            "\"Boot\" \"ro vfio.bind=42:00.0\"\n\"Rescue\" \"ro single\"\n",
        ),
        (
            "boot/limine.conf",
            "/Linux\n    protocol: linux\n    cmdline: ro vfio.bind=42:00.0\n",
        ),
        (
            "boot/extlinux/extlinux.conf",
            "label l0\n  append ro vfio.bind=42:00.0\n",
        ),
        (
            "etc/zipl.conf",
            "[linux]\n  parameters=\"ro vfio.bind=42:00.0\"\n",
        ),
        (
            "etc/default/limine",
            "KERNEL_CMDLINE[default]+=\" vfio.bind=42:00.0 \"\n",
        ),
        (
            "etc/sdboot-manage.conf",
            "LINUX_OPTIONS=\"vfio.bind=42:00.0\"\n",
        ),
        (
            "var/lib/vfio-bind/setup.json",
            "{\"version\":1,\"once\":false,\"words\":[\"vfio.bind=42:00.0\"]}",
        ),
    ] {
        let machine = Machine::bare("BOOT_IMAGE=/vmlinuz-6.1 root=/dev/sda1 ro");
        machine.write(place, text);
        let (verdict, told) = machine.says(CHECK);
        let expected = format!("one word is set in /{place}, and not in this boot");
        assert_eq!(verdict, "FAIL", "{place}: {told}");
        assert!(
            told.contains(&expected) && told.contains("vfio.bind=42:00.0"),
            "{place}: {told}"
        );
        machine.write(
            "proc/cmdline",
            "BOOT_IMAGE=/vmlinuz-6.1 rd.vfio.bind=42:00.0",
        );
        machine.expect(CHECK, "PASS", "vfio.bind=42:00.0");
    }
}

#[test]
fn it_says_how_far_the_words_came() {
    let machine = Machine::bare("BOOT_IMAGE=/vmlinuz-6.1 ro");
    machine
        .write(
            "etc/default/grub",
            "GRUB_CMDLINE_LINUX=\"vfio.bind=42:00.0\"\n",
        )
        .write("boot/grub/grub.cfg", "linux /vmlinuz-6.1 ro\n")
        .expect(
            CHECK,
            "FAIL",
            "not in this boot, nor in /boot/grub/grub.cfg: vfio.bind=42:00.0 -> run update-grub",
        );
    machine
        .write(
            "boot/grub/grub.cfg",
            "linux /vmlinuz-6.1 ro vfio.bind=42:00.0\nlinux /vmlinuz-6.1 ro single\n",
        )
        .expect(
            CHECK,
            "FAIL",
            "set in /boot/grub/grub.cfg, and not in this boot: vfio.bind=42:00.0 -> restart",
        );
    // Another kernel's entry is none of this boot.
    machine
        .remove("etc/default/grub")
        .write(
            "boot/grub/grub.cfg",
            "linux /vmlinuz-6.9 ro vfio.bind=42:00.0\nlinux /vmlinuz-6.1 ro\n",
        )
        .expect(
            CHECK,
            "NOT APPLICABLE",
            "no words of VFIO are set, nor booted",
        );
}

#[test]
fn the_entry_that_was_chosen_counts() {
    let machine = Machine::bare("ro");
    let name: Vec<u8> = "a.conf\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let variable =
        "sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    machine
        .write(variable, [&[6, 0, 0, 0], &name[..]].concat())
        .write("boot/loader/entries/a+3-1.conf", "linux /a\noptions ro\n")
        .write(
            "boot/loader/entries/b.conf",
            "linux /b\noptions ro vfio.bind=42:00.0\n",
        )
        .expect(CHECK, "NOT APPLICABLE", "no words");
    machine
        .write(
            "boot/loader/entries/a+3-1.conf",
            "linux /a\noptions ro intel_iommu=on\n",
        )
        .expect(CHECK, "FAIL", "intel_iommu=on");
}

#[test]
fn what_was_booted_and_is_set_no_more_is_told() {
    let machine = Machine::bare("BOOT_IMAGE=/vmlinuz-6.1 ro vfio.bind=42:00.0");
    machine.expect(CHECK, "PASS", "no configuration of a boot loader was found");
    machine
        .write("boot/grub2/grub.cfg", "linux /vmlinuz-6.1 ro\n")
        .expect(
            CHECK,
            "WARN",
            "this boot has vfio.bind=42:00.0, and /boot/grub2/grub.cfg has it no more",
        );
    // A variable of the loader may have it.
    machine
        .write("boot/grub2/grub.cfg", "linux /vmlinuz-6.1 ro $kernelopts\n")
        .expect(CHECK, "PASS", "vfio.bind=42:00.0");
    machine
        .remove("proc/cmdline")
        .expect(CHECK, "UNKNOWN", "/proc/cmdline could not be read");
}
