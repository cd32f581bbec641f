//! The machines that are measured: an Intel IOMMU, a network card, and NVMe controllers with virtual
//! functions, each of which has a group of its own.

use qemu_tests::architecture::Architecture;
use qemu_tests::machine::Machine;

/// The function that is taken, alone in its group.
pub const CARD: &str = "0000:01:00.0";
/// The way to [`CARD`].
pub const CARD_PATH: &str = "0000:00:02.0/00.0";
/// The most virtual functions that QEMU gives a controller (`NVME_MAX_VFS`, QEMU 7.2).
const MOST: usize = 127;

/// A root port, and an NVMe controller behind it that can have [`MOST`] virtual functions.
macro_rules! controller {
    ($number:literal, $slot:literal) => {
        [
            "-device",
            concat!(
                "pcie-root-port,id=port",
                $number,
                ",bus=pcie.0,addr=",
                $slot,
                ",chassis=1",
                $number,
                ",slot=1",
                $number,
                ",mem-reserve=32M,pref64-reserve=64M"
            ),
            "-device",
            concat!("nvme-subsys,id=set", $number),
            "-device",
            concat!(
                "nvme,serial=",
                $number,
                ",subsys=set",
                $number,
                ",bus=port",
                $number,
                ",sriov_max_vfs=127,sriov_vq_flexible=254,sriov_vi_flexible=127,",
                "max_ioqpairs=256,msix_qsize=129"
            ),
        ]
    };
}

const CONTROLLERS: [[&str; 6]; 8] = [
    controller!("0", "03.0"),
    controller!("1", "04.0"),
    controller!("2", "05.0"),
    controller!("3", "06.0"),
    controller!("4", "07.0"),
    controller!("5", "08.0"),
    controller!("6", "09.0"),
    controller!("7", "0a.0"),
];

/// A machine and how many virtual functions of which controllers make it as large as it is to be.
#[derive(Clone, Debug)]
pub struct Sized {
    /// The machine.
    pub machine: Machine,
    /// Controllers, and functions of each.
    pub virtual_functions: Vec<(String, usize)>,
}

/// A machine whose clock counts instructions.
fn counting(memory: &'static str) -> Machine {
    Machine {
        architecture: Architecture::X86_64,
        arguments: vec![
            "-icount",
            "shift=0",
            "-M",
            "q35,kernel-irqchip=split",
            "-cpu",
            "max,vendor=GenuineIntel",
            "-m",
            memory,
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=0x01",
            "-device",
            "intel-iommu,intremap=on,caching-mode=on",
            "-device",
            "pcie-root-port,id=card,bus=pcie.0,addr=02.0,chassis=1,slot=1",
            "-device",
            "e1000e,bus=card,addr=00.0,romfile=",
        ],
        // What the console shows is written bit by bit, and counts.
        kernel_parameters: vec![
            "console=ttyS0",
            "no_timer_check",
            "panic=-1",
            "intel_iommu=on",
            "quiet",
        ],
        devices: Vec::new(),
        natives: &["nvme"],
    }
}

/// The host bridge, the three functions of the ICH9, the card's port and the card.
const OTHERS: usize = 6;

/// A machine of exactly this many functions.
#[must_use]
pub fn sized(functions: usize) -> Sized {
    let mut machine = counting("1G");
    let mut left = functions.saturating_sub(OTHERS);
    let mut virtual_functions = Vec::new();
    for (number, arguments) in CONTROLLERS.iter().enumerate() {
        // The port and the controller itself.
        if left <= 2 {
            break;
        }
        machine.arguments.extend(arguments);
        let these = (left - 2).min(MOST);
        left -= 2 + these;
        virtual_functions.push((format!("0000:{:02x}:00.0", number + 2), these));
    }
    Sized {
        machine,
        virtual_functions,
    }
}

/// The machine on which a tree is made up.
#[must_use]
pub fn small() -> Machine {
    counting("2G")
}

/// The addresses of the first virtual functions of the first controller.
#[must_use]
pub fn first_virtual_functions(number: usize) -> Vec<String> {
    let place = |number: usize| format!("0000:02:{:02x}.{}", number / 8, number % 8);
    (1..=number).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_as_many_functions_as_are_wanted() {
        for (functions, controllers) in [(64, 1), (1024, 8)] {
            let sized = sized(functions);
            let made: usize = sized
                .virtual_functions
                .iter()
                .map(|(_, number)| number + 2)
                .sum();
            assert_eq!(made + OTHERS, functions);
            assert_eq!(sized.virtual_functions.len(), controllers, "{functions}");
            assert!(
                sized
                    .virtual_functions
                    .iter()
                    .all(|(_, number)| *number <= MOST)
            );
        }
        let first = first_virtual_functions(9);
        assert_eq!((&*first[0], &*first[7]), ("0000:02:00.1", "0000:02:01.0"));
    }
}
