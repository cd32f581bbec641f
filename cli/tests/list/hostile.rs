//! What a device, a disk, a file or somebody's captured tree says of itself reaches a terminal as letters alone.

use std::fs;
use std::process::Command;

use crate::machine::{GPU, NIC, System};

/// Clears the screen, and gives the window a name.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}";

/// The desktop, whose names are hostile wherever one may be.
fn system() -> System {
    let system = System::desktop();
    let evil = |text: &str| text.replace('~', EVIL);
    for file in ["label", "firmware_node/path", "reset_method", "power_state"] {
        system.file(GPU, file, &evil("a~b\n"));
    }
    let interface = evil("e~0");
    let place = format!("sys/devices/{NIC}/net/{interface}");
    system
        .remove(&format!("sys/devices/{NIC}/net"))
        .remove("sys/class/net");
    system.write(&format!("{place}/operstate"), "up\n");
    system.link(&format!("{place}/device"), &format!("sys/devices/{NIC}"));
    system.link(&format!("sys/class/net/{interface}"), &place);
    let route = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
    for (file, text) in [
        ("sys/kernel/iommu_groups/10/type", "DMA~\n"),
        ("sys/bus/pci/slots/4~/address", "0000:01:00\n"),
        ("proc/version", "Linux 6.1~\n"),
        ("proc/sys/kernel/osrelease", "6.1~\n"),
        (
            "proc/cmdline",
            "vfio.bind=label:~ vfio.group=~ vfio.sorts=~\n",
        ),
        (
            "etc/vfio-bind/policy.conf",
            "vfio.bind=01:00.0\nvfio.whatever=~\n",
        ),
        (
            "etc/modprobe.d/a.conf",
            "options vfio-pci ids=~\ninstall vfio-pci ~\nblacklist n~\n",
        ),
        (
            "boot/config/vfio-pci.cfg",
            "BIND=0000:01:00.0|10de:2204 ~\n",
        ),
    ] {
        system.write(&evil(file), &evil(text));
    }
    let ids = fs::read_to_string(system.path("usr/share/misc/pci.ids")).unwrap();
    system.write(
        "usr/share/misc/pci.ids",
        &ids.replace("GA102", &evil("GA~102")),
    );
    let mounts = fs::read_to_string(system.path("proc/self/mountinfo")).unwrap();
    system.write(
        "proc/self/mountinfo",
        &mounts.replace("/srv/alice", &evil("/srv/~")),
    );
    system.write(
        "proc/net/route",
        &format!("{route}{interface} 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n"),
    );
    system.drive(GPU, &evil("n~"));
    system
}

/// A record that nobody's agent wrote.
const RECORD: &str = r#"{"schema":1,"agent":"0~","kernel":"6.1~","state":"applied~","iommu":{"kind":"intel"},"policy":{},
"functions":[{"address":"0000:01:00.0","vendor":"10de","device":"2204","subvendor":"0000","subdevice":"0000",
"class":"030000","group":10,"driver_before":"a~","driver_now":"b~","outcome":"failed","reason":"because~"}],
"exit":1,"elapsed_us":9}"#;

const COMMANDS: [&[&str]; 21] = [
    &["list"],
    &["list", "--all"],
    &["list", "--tree"],
    &["list", "01:00.0"],
    &["list", "--json"],
    &["list", "--html", "-", "--personal"],
    &["plan"],
    &["plan", "01:00.0"],
    &["plan", "--json"],
    &["words", "01:00.0"],
    &["words", "02:00.0"],
    &["words", "--import"],
    &["doctor", "01:00.0"],
    &["doctor"],
    &["status"],
    &["verify"],
    &["bind", "--dry-run", "01:00.0"],
    &["setup", "--dry-run", "01:00.0"],
    &["export", "--to", "prometheus"],
    &["export", "02:00.0", "--to", "libvirt"],
    &["protected", "--now"],
];

#[test]
fn no_name_drives_a_terminal() {
    let system = system();
    // In the record an escape is one of JSON's.
    let record = RECORD.replace('~', "\\u001b[2J\\u001b]0;owned\\u0007");
    for with_record in [false, true] {
        if with_record {
            system.write("run/vfio-bind/report.json", &record);
        }
        for words in COMMANDS {
            for colour in ["NO_COLOR", "CLICOLOR_FORCE"] {
                let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
                    .arg(words[0])
                    .arg("--root")
                    .arg(system.root())
                    .args(&words[1..])
                    .env(colour, "1")
                    .output()
                    .unwrap();
                for bytes in [output.stdout, output.stderr] {
                    let text = String::from_utf8(bytes).unwrap();
                    let drives = ["\u{1b}[2J", "\u{1b}]", "\u{7}"];
                    let drives = drives.iter().any(|evil| text.contains(evil))
                        || colour == "NO_COLOR" && text.contains('\u{1b}');
                    assert!(!drives, "{words:?}: {text:?}");
                }
            }
        }
    }
}
