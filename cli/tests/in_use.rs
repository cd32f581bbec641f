//! What a plan says of functions that the running system would miss.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const USB: &str = "0000:00:14.0";
const NIC: &str = "0000:03:00.0";
const BOND: &str = "0000:03:00.1";
const SERIAL: &str = "0000:04:00.0";
const OTHER: &str = "0000:05:00.0";

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn link(root: &Path, path: &str, target: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

/// A machine with a function of each kind, all in groups of their own.
fn machine(root: &Path) {
    for (group, (address, class)) in [
        (USB, "0c0330"),
        (NIC, "020000"),
        (BOND, "020000"),
        (SERIAL, "070002"),
        (OTHER, "020000"),
    ]
    .into_iter()
    .enumerate()
    {
        let device = format!("sys/devices/pci0000:00/{address}");
        let [base, sub, interface] = [0, 2, 4].map(|at| &class[at..at + 2]);
        let modalias =
            format!("pci:v00008086d00001572sv00000000sd00000000bc{base}sc{sub}i{interface}\n");
        put(root, &format!("{device}/modalias"), &modalias);
        let group = format!("../../../kernel/iommu_groups/{group}");
        link(root, &format!("{device}/iommu_group"), &group);
        let entry = format!("sys/bus/pci/devices/{address}");
        link(
            root,
            &entry,
            &format!("../../../devices/pci0000:00/{address}"),
        );
    }
    put(root, "etc/vfio-bind/protected.conf", "");
}

/// What is printed of what is in use.
fn warnings(root: &Path, line: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
        .args(["plan", "--cmdline", line, "--root"])
        .arg(root)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("nothing was written"), "{text}");
    let warnings = text
        .lines()
        .filter_map(|line| line.strip_prefix("warning: "));
    warnings.map(str::to_owned).collect()
}

#[test]
fn a_usb_controller_with_a_keyboard() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    machine(root);
    let device = format!("sys/devices/pci0000:00/{USB}/usb1/1-2");
    for (interface, protocol) in [("1-2:1.0", "02\n"), ("1-2:1.1", "01\n")] {
        put(
            root,
            &format!("{device}/{interface}/bInterfaceClass"),
            "03\n",
        );
        put(
            root,
            &format!("{device}/{interface}/bInterfaceProtocol"),
            protocol,
        );
        let target = format!("../../../devices/pci0000:00/{USB}/usb1/1-2/{interface}");
        link(root, &format!("sys/bus/usb/devices/{interface}"), &target);
    }
    put(root, &format!("{device}/product"), "Model M\n");
    let target = format!("../../../devices/pci0000:00/{USB}/usb1/1-2");
    link(root, "sys/bus/usb/devices/1-2", &target);
    assert_eq!(
        warnings(root, "vfio.bind=00:14.0"),
        ["0000:00:14.0 has a keyboard behind it (Model M), which goes with it"]
    );
    assert_eq!(warnings(root, "vfio.bind=05:00.0"), [""; 0]);
    // What is refused does not go.
    assert_eq!(
        warnings(root, "vfio.bind=00:14.0 vfio.protect=00:14.0"),
        [""; 0]
    );
}

#[test]
fn the_nic_of_the_default_route() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    machine(root);
    for (name, address) in [("eth0", NIC), ("eth1", BOND), ("eth2", OTHER)] {
        let target = format!("../../../devices/pci0000:00/{address}");
        link(root, &format!("sys/class/net/{name}/device"), &target);
    }
    link(root, "sys/class/net/bond0/lower_eth1", "../eth1");
    put(
        root,
        "proc/net/route",
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
         eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
         eth2\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n",
    );
    let zero = "0".repeat(32);
    let v6 = |length, name| {
        format!("{zero} {length} {zero} 00 {zero} 00000400 00000001 00000000 00000003 {name}\n")
    };
    let routes = format!(
        "{}{}{}",
        v6("00", "bond0"),
        v6("40", "eth2"),
        v6("00", "lo")
    );
    put(root, "proc/net/ipv6_route", &routes);
    assert_eq!(
        warnings(root, "vfio.bind=class:02"),
        [
            "0000:03:00.0 is the NIC of the default route (eth0), which goes with it",
            "0000:03:00.1 is the NIC of the default route (bond0), which goes with it",
        ]
    );
}

#[test]
fn the_serial_card_of_a_console() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    machine(root);
    put(root, "sys/class/tty/console/active", "tty0 ttyS4\n");
    let target = format!("../../../devices/pci0000:00/{SERIAL}");
    link(root, "sys/class/tty/ttyS4/device", &target);
    assert_eq!(
        warnings(root, "vfio.bind=04:00.0"),
        ["0000:04:00.0 has the console ttyS4, which goes silent with it"]
    );
}

#[test]
fn the_display_of_the_text_console() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    machine(root);
    let target = format!("../../../devices/pci0000:00/{OTHER}");
    link(root, "sys/class/graphics/fb0/device", &target);
    put(
        root,
        "sys/class/vtconsole/vtcon0/name",
        "(S) dummy device\n",
    );
    put(root, "sys/class/vtconsole/vtcon0/bind", "1\n");
    put(
        root,
        "sys/class/vtconsole/vtcon1/name",
        "(M) frame buffer device\n",
    );
    put(root, "sys/class/vtconsole/vtcon1/bind", "0\n");
    assert_eq!(warnings(root, "vfio.bind=05:00.0"), [""; 0]);
    put(root, "sys/class/vtconsole/vtcon1/bind", "1\n");
    assert_eq!(
        warnings(root, "vfio.bind=05:00.0"),
        ["0000:05:00.0 shows the text console (fb0), which goes dark with it"]
    );
}
