//! The lines of the log, word for word: what a person at the machine reads after a boot.

use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};
use rustix::io::Errno;
use vfio_bind_agent::record::lines;
use vfio_bind_agent::run;

#[path = "machine/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the other tests use the rest")]
mod support;

use support::{Card, FakeMachine, Trouble};

/// All lines since they were last taken. Tests of one process share it: there is only one.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{}: {}", record.level(), record.args());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

fn machine(trouble: Trouble) -> FakeMachine {
    FakeMachine::new(&[
        Card::new("0000:00:1f.0", 0x8086, 0x2918, 0x06_0100, 8).on("lpc_ich"),
        Card::new("0000:00:1f.2", 0x8086, 0x2922, 0x01_0601, 8).on("ahci"),
        Card::new("0000:41:00.0", 0x1b36, 0x000c, 0x06_0400, 15)
            .on("pcieport")
            .bridge(),
        Card::new("0000:42:00.0", 0x1234, 0x1111, 0x03_0000, 15).on("bochs-drm"),
        Card::new("0000:42:00.1", 0x8086, 0x2668, 0x04_0300, 15),
        Card::new("0000:51:00.0", 0x1b36, 0x000e, 0x06_0400, 16)
            .on("shpchp")
            .bridge(),
        Card::new("0000:52:01.0", 0x8086, 0x100e, 0x02_0000, 16),
    ])
    .with(trouble)
}

/// Where a word is one that the kernel offers to its own module.
const HARMLESS: &str = "INFO: `vfio: unknown parameter` in the kernel log is harmless: the kernel hands \
                        vfio.X to the module vfio, too";

fn lines(machine: &FakeMachine, line: &str) -> Vec<String> {
    let mut lines = all_lines(machine, line);
    lines.retain(|line| line != HARMLESS);
    lines
}

fn all_lines(machine: &FakeMachine, line: &str) -> Vec<String> {
    run::perform(machine, line.as_bytes(), &|| 7_345, &mut |record| {
        lines::tell(record);
        record.exit()
    });
    std::mem::take(&mut *LINES.0.lock().unwrap())
}

#[test]
fn every_kind_of_ending_is_told() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(LevelFilter::Info);
    let ordinary = Trouble::default;
    let refusing = || Trouble::probe_refuses("0000:42:00.0");
    let cases: [(Trouble, &str, &[&str]); 15] = [
        (
            ordinary(),
            "vfio.bind=42:00.0",
            &[
                "INFO: 0000:42:00.0: bochs-drm -> vfio-pci (vfio.bind=42:00.0)",
                "INFO: 0000:42:00.1: (none) -> vfio-pci (same group as 0000:42:00.0)",
                "INFO: group 15 is viable, says VFIO",
                "INFO: 2 functions on vfio-pci, after 7.3 ms",
            ],
        ),
        (
            ordinary(),
            "vfio.bind=42:00.0 vfio.dry_run",
            &[
                "INFO: 0000:42:00.0: bochs-drm -> vfio-pci planned (vfio.bind=42:00.0)",
                "INFO: 0000:42:00.1: (none) -> vfio-pci planned (same group as 0000:42:00.0)",
                "INFO: 2 functions would go to vfio-pci; nothing was written",
            ],
        ),
        (
            refusing(),
            "vfio.bind=42:00.0",
            &[
                "ERROR: 0000:42:00.0: not bound: vfio-pci did not take it; the kernel log says why \
                 above this line; bochs-drm has it again (vfio.bind=42:00.0)",
                "ERROR: 0000:42:00.1: not bound: 0000:42:00.0 of the same IOMMU group could not be \
                 bound; left to its native driver (same group as 0000:42:00.0)",
                "INFO: 0 functions on vfio-pci, 2 returned, after 7.3 ms",
            ],
        ),
        (
            refusing(),
            "vfio.bind=42:00.0 vfio.onfail=hold",
            &[
                "ERROR: 0000:42:00.0: not bound: vfio-pci did not take it; the kernel log says why \
                 above this line; kept without a driver (vfio.onfail=hold) (vfio.bind=42:00.0)",
                "INFO: 0000:42:00.1: (none) -> vfio-pci (same group as 0000:42:00.0)",
                "INFO: group 15 is viable, says VFIO",
                "INFO: 1 function on vfio-pci, 1 held, after 7.3 ms",
            ],
        ),
        (
            ordinary(),
            "vfio.bind=00:1f.2",
            &[
                "WARN: 0000:00:1f.0 (ISA bridge): it belongs to the machine itself and stays; lpc_ich \
                 has it, and so the group is not usable",
                "INFO: 0000:00:1f.2: ahci -> vfio-pci (vfio.bind=00:1f.2)",
                "ERROR: group 8 is not usable: lpc_ich has 0000:00:1f.0; select it too, or keep that \
                 driver from loading",
                "INFO: 1 function on vfio-pci, 1 left, after 7.3 ms",
            ],
        ),
        (
            ordinary(),
            "vfio.bind=52:01.0",
            &[
                "INFO: 0000:52:01.0: (none) -> vfio-pci (vfio.bind=52:01.0)",
                "ERROR: group 16 is not usable: shpchp has 0000:51:00.0; it is a bridge, so keep \
                 that driver from loading",
                "INFO: 1 function on vfio-pci, after 7.3 ms",
            ],
        ),
        (
            Trouble {
                slow_modprobe: true,
                ..Trouble::default()
            },
            "vfio.bind=52:01.0 vfio.driver=vfio-pci",
            &[
                "WARN: vfio-pci: modprobe did not end in time",
                "INFO: 0000:52:01.0: (none) -> vfio-pci (vfio.bind=52:01.0)",
                "ERROR: group 16 is not usable: shpchp has 0000:51:00.0; it is a bridge, so keep \
                 that driver from loading",
                "INFO: 1 function on vfio-pci, after 7.3 ms",
            ],
        ),
        (
            ordinary(),
            "vfio.bind=41:00.0,42:00.7@1234:1111 vfio.protect=42:00.0",
            &[
                "ERROR: 0000:41:00.0: refused: bridges are never bound; select what is behind it \
                 (vfio.bind=41:00.0)",
                "INFO: 0000:42:00.0: protected (vfio.protect=42:00.0)",
                "ERROR: vfio.bind=42:00.7@1234:1111 matches no function of this machine; nearest is \
                 0000:42:00.0 (1234:1111)",
                "INFO: 0 functions on vfio-pci, 1 refused, after 7.3 ms",
            ],
        ),
        (
            ordinary(),
            "vfio.bind=42:00.1@10de:1b80 vfio.protect=43:00.0",
            &[
                "ERROR: 0000:42:00.1: refused: 8086:2668 sits there now, which is not what the \
                 selector names (vfio.bind=42:00.1@10de:1b80)",
                "ERROR: vfio.protect=43:00.0 matches no function of this machine",
                "INFO: 0 functions on vfio-pci, 1 refused, after 7.3 ms",
            ],
        ),
        (
            ordinary(),
            "vfio.bind=off,42:00.0",
            &["INFO: vfio.bind=off: nothing is bound in this boot"],
        ),
        (
            ordinary(),
            "vfio.bind=off vfio_pci.ids=1234:1111",
            &[
                "WARN: vfio-pci is loaded with an empty list, because it would have ids=; it takes no \
                 device that comes later",
                "INFO: vfio.bind=off: nothing is bound in this boot",
            ],
        ),
        (
            Trouble {
                by_ids: vec!["0000:52:01.0".to_owned()],
                deaf_to_options: true,
                ..Trouble::default()
            },
            "vfio.bind=42:00.0,!52:01.0 vfio_pci.ids=8086:100e",
            &[
                "INFO: 0000:42:00.0: bochs-drm -> vfio-pci (vfio.bind=42:00.0)",
                "INFO: 0000:42:00.1: (none) -> vfio-pci (same group as 0000:42:00.0)",
                "INFO: group 15 is viable, says VFIO",
                "ERROR: 0000:52:01.0: vfio-pci took it, and nobody asks for that: returned, now (none)",
                "WARN: vfio-pci is loaded with an empty list, because its ids= would take 0000:52:01.0, \
                 which the plan leaves alone; it takes no device that comes later",
                "INFO: 2 functions on vfio-pci, after 7.3 ms",
            ],
        ),
        (
            Trouble::no_module(),
            "vfio.bind=!52:01.0 vfio_pci.ids=8086:100e",
            &[
                "WARN: vfio-pci is not loaded with an empty list: modprobe ended with status 1; the \
                 module may be missing from this image; if it comes later, its ids= would take \
                 0000:52:01.0, which the plan leaves alone",
                "INFO: 0 functions on vfio-pci, after 7.3 ms",
            ],
        ),
        (
            Trouble::write_answers("42:00.0/driver_override", Errno::ACCESS),
            "vfio.bind=42:00.0 vfio.group=listed",
            &[
                "ERROR: 0000:42:00.0: not bound: write(driver_override): EACCES; bochs-drm has it \
                 again (vfio.bind=42:00.0)",
                "WARN: 0000:42:00.1 (audio/video): not listed, so it stays; if a host driver binds \
                 it, the group is not usable",
                "INFO: 0 functions on vfio-pci, 1 left, 1 returned, after 7.3 ms",
            ],
        ),
        (
            ordinary(),
            "vfio.bnid=42:00.0",
            &[
                "ERROR: vfio.bnid is no parameter of vfio-bind and is ignored; see vfio-bind-agent(8) \
                 for the list",
                "ERROR: nothing is bound: what is asked for was not understood",
            ],
        ),
    ];
    for (trouble, line, expected) in cases {
        assert_eq!(lines(&machine(trouble), line), expected, "{line}");
    }
    for (line, told) in [
        ("vfio.bind=42:00.0", true),
        ("rd.vfio.bind=42:00.0", false),
        ("vfio_pci.ids=1234:1111 -- vfio.bind=42:00.0", false),
        ("vfio.bind=42:00.0 vfio.dry_run", false),
    ] {
        let lines = all_lines(&machine(ordinary()), line);
        assert_eq!(lines.iter().any(|line| line == HARMLESS), told, "{line}");
    }
    let (gpu, device) = ("0000:42:00.0", "efi-framebuffer.0");
    let machine = machine(ordinary()).with_framebuffer(gpu, "0000:43:00.0", device);
    std::fs::write(machine.path("proc/iomem"), "0-1 : x\n".repeat(8192)).unwrap();
    assert_eq!(
        lines(&machine, "vfio.bind=42:00.0")[0],
        "WARN: 0000:42:00.0: no framebuffer in the first 64 KiB of /proc/iomem"
    );
}
