//! The checks that are about a function.

use super::machine::{GPU, GPU_DIRECTORY, Machine};

#[test]
fn group() {
    let machine = Machine::new();
    machine.expect("group", "PASS", "it is alone in group 14");
    machine.function(
        "0000:42:00.1",
        "10de",
        "1aef",
        "040300",
        Some(14),
        "snd_hda_intel",
    );
    // The policy takes the sibling as well.
    machine.expect("group", "PASS", "0000:42:00.1 (snd_hda_intel)");
    machine
        .write("proc/cmdline", "vfio.bind=42:00.0 vfio.group=listed")
        .expect("group", "WARN", "0000:42:00.1");
    machine
        .function("0000:43:00.0", "8086", "1572", "020000", Some(15), "")
        .remove(&format!("{GPU_DIRECTORY}/iommu_group"));
    let says = |machine: &Machine| {
        let findings = machine.findings(&[GPU]);
        let one = findings
            .into_iter()
            .find(|one| one.check == "group")
            .unwrap();
        (one.verdict.to_string(), one.fact)
    };
    let (verdict, fact) = says(&machine);
    assert_eq!(verdict, "FAIL", "{fact}");
    let bare = Machine::bare("ro");
    bare.function(GPU, "10de", "2204", "030000", None, "");
    assert_eq!(says(&bare).0, "NOT APPLICABLE");
}

fn acs(control: u16) -> Vec<u8> {
    let mut config = vec![0; 4096];
    for (at, word) in [
        (0x100, 0x000du16),
        (0x102, 1),
        (0x104, 0x1f),
        (0x106, control),
    ] {
        config[at..at + 2].copy_from_slice(&word.to_le_bytes());
    }
    config
}

#[test]
fn isolation() {
    let machine = Machine::new();
    machine.expect("acs", "NOT APPLICABLE", "behind no bridge");
    machine.bridge("0000:00:01.0", 0x42, 1).expect(
        "acs",
        "NOT APPLICABLE",
        "no configuration space",
    );
    let config = "sys/bus/pci/devices/0000:00:01.0/config";
    machine
        .write(config, acs(0x1d))
        .expect("acs", "PASS", "keep what is behind them apart");
    machine.write(config, acs(0)).expect(
        "acs",
        "PASS",
        "lacks ACS SV+RR+CR+UF, but the kernel knows",
    );
    machine.function(
        "0000:42:00.1",
        "10de",
        "1aef",
        "040300",
        Some(14),
        "snd_hda_intel",
    );
    machine.expect("acs", "WARN", "0000:00:01.0 lacks ACS SV+RR+CR+UF");
    machine
        .write(config, vec![0; 4096])
        .expect("acs", "WARN", "0000:00:01.0 has no ACS");
    machine
        .write(config, [0; 64])
        .expect("acs", "UNKNOWN", "could not be read -> run as root");
}

#[test]
fn direct_mapping() {
    let machine = Machine::new();
    let file = "sys/kernel/iommu_groups/14/reserved_regions";
    let check = "direct-mapping";
    machine.expect(check, "NOT APPLICABLE", "does not tell");
    let msi = "0x00000000fee00000 0x00000000feefffff msi\n";
    machine
        .write(file, msi)
        .expect(check, "PASS", "maps no memory");
    let relaxable = "0x00000000df800000 0x00000000dfffffff direct-relaxable\n";
    machine
        .write(file, format!("{relaxable}{msi}"))
        .expect(check, "PASS", "lets go of it");
    let direct = "0x00000000bdf6f000 0x00000000bdf7efff direct\n";
    machine.write(file, format!("{direct}{msi}"));
    machine.expect(
        check,
        "FAIL",
        "0x00000000bdf6f000 to 0x00000000bdf7efff mapped 1:1 for group 14",
    );
    machine.remove(&format!("{GPU_DIRECTORY}/iommu_group"));
    for check in ["direct-mapping", "dma-mode"] {
        let findings = machine.findings(&[GPU]);
        let one = findings.iter().find(|one| one.check == check).unwrap();
        assert_eq!(one.verdict.to_string(), "NOT APPLICABLE");
    }
}

#[test]
fn dma_mode() {
    let machine = Machine::new();
    machine.expect("dma-mode", "NOT APPLICABLE", "since 5.11");
    for (kind, piece) in [
        ("DMA-FQ", "in batches"),
        ("DMA", "at once"),
        ("identity", "all memory"),
        ("auto", "lent"),
    ] {
        machine
            .write("sys/kernel/iommu_groups/14/type", format!("{kind}\n"))
            .expect("dma-mode", "PASS", piece);
    }
}

#[test]
fn reset() {
    let machine = Machine::new();
    machine.expect("reset", "NOT APPLICABLE", "does not have how");
    machine
        .gpu("config", [0; 64])
        .expect("reset", "WARN", "knows no reset");
    machine
        .gpu("reset", "")
        .expect("reset", "PASS", "knows a reset");
    machine
        .gpu("reset_method", "\n")
        .expect("reset", "WARN", "knows no reset");
    machine
        .gpu("reset_method", "flr bus\n")
        .expect("reset", "PASS", "by flr, bus");
    machine
        .gpu("reset_method", "bus\n")
        .expect("reset", "PASS", "by bus");
    machine.function(
        "0000:42:00.1",
        "10de",
        "1aef",
        "040300",
        Some(15),
        "snd_hda_intel",
    );
    machine.expect("reset", "WARN", "on which there is 0000:42:00.1");
}

#[test]
fn power() {
    let machine = Machine::new();
    machine.expect("power", "NOT APPLICABLE", "power state");
    machine.gpu("power_state", "D0\n").expect(
        "power",
        "PASS",
        "power state D0; vfio-pci lets it sleep",
    );
    machine
        .gpu("d3cold_allowed", "0\n")
        .write("sys/module/vfio_pci/parameters/disable_idle_d3", "Y\n");
    machine.expect(
        "power",
        "PASS",
        "keeps it awake (disable_idle_d3), never without power",
    );
    machine
        .gpu("power_state", "error\n")
        .expect("power", "FAIL", "does not answer");
}

#[test]
fn memory_and_place() {
    let machine = Machine::new();
    machine
        .expect("bars", "NOT APPLICABLE", "BARs")
        .expect("numa", "NOT APPLICABLE", "NUMA");
    let line =
        |start: u64, end: u64, flags: u64| format!("{start:#018x} {end:#018x} {flags:#018x}\n");
    let none = line(0, 0, 0);
    machine
        .gpu("resource", none.repeat(13))
        .expect("bars", "PASS", "no memory");
    let resource = line(0xf600_0000, 0xf6ff_ffff, 0x40200)
        + &line(0x38_0000_0000, 0x38_0fff_ffff, 0x14_220c)
        + &none.repeat(11);
    machine
        .gpu("resource", resource)
        .gpu("resource1_resize", "0000000000007f00\n");
    machine.expect("bars", "PASS", "BAR 0 16 MiB, BAR 1 256 MiB (up to 16 GiB)");
    machine
        .gpu("numa_node", "-1\n")
        .expect("numa", "NOT APPLICABLE", "nodes");
    machine
        .gpu("numa_node", "1\n")
        .expect("numa", "PASS", "NUMA node 1");
}

#[test]
fn link() {
    let machine = Machine::new();
    machine.expect("link", "NOT APPLICABLE", "no PCI Express link");
    let link = |speed: &str, width: &str| {
        machine
            .gpu("current_link_speed", speed)
            .gpu("current_link_width", width);
    };
    machine
        .gpu("max_link_speed", "16.0 GT/s PCIe\n")
        .gpu("max_link_width", "16\n");
    link("16.0 GT/s PCIe\n", "16\n");
    machine.expect("link", "PASS", "16.0 GT/s PCIe, 16 lanes");
    link("2.5 GT/s PCIe\n", "16\n");
    machine.expect(
        "link",
        "PASS",
        "up to 16 GT/s, which a device at rest does not use",
    );
    link("16.0 GT/s PCIe\n", "8\n");
    machine.expect("link", "WARN", "8 lanes, where both ends can have 16");
    // The slot has no more.
    machine
        .bridge("0000:00:01.0", 0x42, 1)
        .write("sys/bus/pci/devices/0000:00:01.0/max_link_width", "8\n");
    machine.expect("link", "PASS", "8 lanes");
    link("Unknown\n", "0\n");
    machine.expect("link", "NOT APPLICABLE", "internal");
}

#[test]
fn virtual_functions() {
    let machine = Machine::new();
    machine.expect("sriov", "NOT APPLICABLE", "makes no virtual functions");
    machine.gpu("sriov_totalvfs", "7\n").expect(
        "sriov",
        "PASS",
        "can make 7 virtual functions, and has none",
    );
    machine.link(
        &format!("{GPU_DIRECTORY}/virtfn0"),
        "sys/bus/pci/devices/0000:42:00.4",
    );
    machine.expect("sriov", "WARN", "vfio.bind=vf:0000:42:00.0");
    machine.link(
        &format!("{GPU_DIRECTORY}/driver"),
        "sys/bus/pci/drivers/vfio-pci",
    );
    machine.expect("sriov", "PASS", "1 of 7");
    machine.link(
        &format!("{GPU_DIRECTORY}/physfn"),
        "sys/bus/pci/devices/0000:41:00.0",
    );
    machine.expect("sriov", "PASS", "a virtual function of 0000:41:00.0");
}

#[test]
fn console() {
    let machine = Machine::new();
    machine.expect("console", "PASS", "the console is not on it");
    machine.gpu("boot_vga", "1\n").expect(
        "console",
        "WARN",
        "the display that the machine boots on",
    );
    machine.link(
        &format!("{GPU_DIRECTORY}/driver"),
        "sys/bus/pci/drivers/vfio-pci",
    );
    machine.expect("console", "PASS", "its driver is vfio's already");
    let nic = Machine::bare("vfio.bind=43:00.0");
    nic.function("0000:43:00.0", "8086", "1572", "020000", Some(15), "i40e");
    nic.expect("console", "NOT APPLICABLE", "no console");
    nic.write("sys/bus/pci/devices/0000:43:00.0/net/eth0/type", "1\n");
    nic.link(
        "sys/bus/pci/devices/0000:43:00.0/net/eth0/device",
        "sys/bus/pci/devices/0000:43:00.0",
    );
    nic.link(
        "sys/class/net/eth0",
        "sys/bus/pci/devices/0000:43:00.0/net/eth0",
    );
    let route = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t0107A8C0\t0003\t0\t0\t0\t00000000\n";
    nic.write("proc/net/route", route).expect(
        "console",
        "WARN",
        "the NIC of the default route (eth0)",
    );
}

#[test]
fn who_uses_it_and_who_may() {
    let machine = Machine::new();
    machine
        .expect("in-use", "PASS", "nobody is seen to use it")
        .expect("vfio-access", "NOT APPLICABLE", "not bound");
    let card = format!("{GPU_DIRECTORY}/drm/card0");
    machine
        .write(&format!("{card}/dev"), "1:3\n")
        .link(&format!("{card}/subsystem"), "sys/class/drm");
    machine.write("proc/812/comm", "Xorg\n");
    std::fs::create_dir_all(machine.path("proc/812/fd")).unwrap();
    std::os::unix::fs::symlink("/dev/null", machine.path("proc/812/fd/9")).unwrap();
    machine.expect("in-use", "WARN", "Xorg (pid 812) has /dev/null open");
    machine.link(
        &format!("{GPU_DIRECTORY}/driver"),
        "sys/bus/pci/drivers/vfio-pci",
    );
    machine.expect("in-use", "PASS", "it is lent: Xorg");
    machine
        .remove("proc/812")
        .expect("in-use", "PASS", "nobody has it open");
    machine.expect("vfio-access", "NOT APPLICABLE", "no /dev/vfio");
    machine
        .write("dev/vfio/vfio", "")
        .expect("vfio-access", "FAIL", "/dev/vfio/14 is not there");
    machine
        .write("dev/vfio/14", "")
        .expect("vfio-access", "PASS", "may open it");
}
