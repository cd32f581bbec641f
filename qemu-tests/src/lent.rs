//! A system that lends a card: a real QEMU in the guest gets it with the line that is exported, and it goes back
//! when that has ended.

use crate::machine::{GPU, GPU_AUDIO, Iommu, Machine, with_twin_disk};
use crate::protocol::{Orders, Step};
use crate::scenario::NATIVES;

/// The row.
pub const NAME: &str = "lent";
/// One sentence.
pub const PROVES: &str = "a real QEMU takes the exported line, release leaves its card alone and names it, and gives the card back afterwards";
/// What is lent, with the driver that it has at the end.
pub const LENT: [(&str, &str); 2] = [(GPU, "bochs-drm"), (GPU_AUDIO, "snd_hda_intel")];
/// The script that lends.
pub const SCRIPT: &str = "root/lend.sh";

/// The kernel's parameters, besides those of the machine.
#[must_use]
pub fn cmdline() -> String {
    // An emulated display is slow to paint a console on.
    format!(
        "root=LABEL=root ro mitigations=off drm_kms_helper.fbdev_emulation=0 watchdog_thresh=60 vfio.bind={GPU}"
    )
}

/// What the scripts have in common.
pub const FUNCTIONS: &str = "\
said() { what=$1; shift; status=0; \"$@\" || status=$?; echo \"$what: status $status\"; }
driver() { basename \"$(readlink /sys/bus/pci/devices/$1/driver)\"; }
";

/// Lends to a machine that takes the exported line, and prints `WHAT: VALUE` of each step. That machine has 16 MiB,
/// and its processor never starts: its devices are opened before that, and `info pci` does not look behind a port
/// that no firmware has set up.
#[must_use]
pub fn lend() -> String {
    let text = "\
line=$(vfio-bind export GPU AUDIO --to qemu 2>/dev/null)
echo \"line: $line\"
mkfifo /run/monitor
qemu-system-x86_64 -machine q35 -accel tcg -m 16 -nodefaults -display none -S -monitor stdio $line \\
    </run/monitor >/run/shown 2>&1 &
qemu=$!
exec 3>/run/monitor
echo 'info qtree' >&3
for _ in $(seq 600); do
    grep -q 'host = \"AUDIO\"' /run/shown && break
    kill -0 $qemu 2>/dev/null || break
    sleep 0.2
done
grep -E 'host = |pci id 1234:1111' /run/shown | sed 's/^/shown: /'
said meanwhile vfio-bind release GPU
for one in GPU AUDIO; do echo \"kept: $one $(driver $one)\"; done
echo quit >&3
exec 3>&-
said ended wait $qemu
rm /run/monitor
";
    named(text)
}

/// Gives back what was lent, and says whose it is then.
#[must_use]
pub fn give_back() -> String {
    named(
        "\
said afterwards vfio-bind release GPU
for one in GPU AUDIO; do echo \"given: $one $(driver $one)\"; done
",
    )
}

/// What the row's script does.
#[must_use]
pub fn script() -> String {
    let bound = "for one in GPU AUDIO; do echo \"bound: $one $(driver $one)\"; done\n";
    let again = "\
said again vfio-bind bind AUDIO
for one in GPU AUDIO; do echo \"taken: $one $(driver $one)\"; done
said \"at last\" vfio-bind release GPU
ls /run/vfio-bind
";
    [
        FUNCTIONS,
        &named(bound),
        &lend(),
        &give_back(),
        &named(again),
    ]
    .concat()
}

fn named(text: &str) -> String {
    text.replace("GPU", GPU).replace("AUDIO", GPU_AUDIO)
}

/// What there must be in what [`lend`] prints.
#[must_use]
pub fn lends() -> Vec<String> {
    let of = |(address, _): (&str, &str)| {
        [
            // QEMU's monitor shows what it has opened.
            format!("host = \"{address}\""),
            format!("{address} is in use, and left alone: qemu-system-x86 (pid "),
            format!("kept: {address} vfio-pci"),
        ]
    };
    let mut all = LENT.map(of).concat();
    let others = [
        // The display, as the machine in the machine has it.
        "pci id 1234:1111",
        "has /dev/vfio/",
        "meanwhile: status 1",
        "ended: status 0",
    ];
    all.extend(others.map(str::to_owned));
    all
}

/// What there must be in what [`give_back`] prints.
#[must_use]
pub fn gives_back() -> Vec<String> {
    let of = |(address, driver): (&str, &str)| {
        [
            format!("{address}: vfio-pci -> {driver}"),
            format!("given: {address} {driver}"),
        ]
    };
    let mut all = LENT.map(of).concat();
    all.push("afterwards: status 0".to_owned());
    all
}

/// What is looked at.
#[must_use]
pub fn orders() -> Orders {
    Orders {
        scenario: NAME.to_owned(),
        steps: vec![
            Step::Inherit,
            Step::Script(format!("/{SCRIPT}")),
            Step::Snapshot(NATIVES.to_owned()),
        ],
    }
}

/// The machine.
#[must_use]
pub fn machine() -> Machine {
    with_twin_disk(Iommu::Intel)
}
