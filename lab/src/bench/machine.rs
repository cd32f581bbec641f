//! The machines that are measured: an Intel IOMMU, a network card, and an NVMe controller with virtual
//! functions, each of which has a group of its own.

use anyhow::{Context, Result};
use qemu_tests::architecture::Architecture;
use qemu_tests::machine::Machine;

/// The architecture that is measured.
pub const ARCHITECTURE: Architecture = Architecture::X86_64;
/// The function that is taken, alone in its group.
pub const CARD: &str = "0000:01:00.0";
/// The way to [`CARD`].
pub const CARD_PATH: &str = "0000:00:02.0/00.0";
/// The most virtual functions that QEMU gives a controller (`NVME_MAX_VFS`, QEMU 7.2).
const MOST: usize = 127;

/// The controller.
const CONTROLLER: &str = "0000:02:00.0";

/// A machine whose clock counts instructions, and goes on to the next timer at once where nothing runs.
fn counting(memory: &'static str) -> Machine {
    Machine {
        architecture: ARCHITECTURE,
        arguments: vec![
            "-icount",
            "shift=0,sleep=off",
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
        cards: &[],
        sleeps: false,
        virtual_functions: &[],
    }
}

/// The host bridge, the three functions of the ICH9, the card's port and the card, the controller and its
/// port.
const OTHERS: usize = 8;

/// The machine that is real to its guest: with a controller that can have [`MOST`] virtual functions.
#[must_use]
pub fn real() -> Machine {
    let mut machine = counting("1G");
    machine.arguments.extend([
        "-device",
        "pcie-root-port,id=disk,bus=pcie.0,addr=03.0,chassis=2,slot=2,mem-reserve=32M,pref64-reserve=64M",
        "-device",
        "nvme-subsys,id=set",
        "-device",
        "nvme,serial=0,subsys=set,bus=disk,sriov_max_vfs=127,sriov_vq_flexible=254,\
         sriov_vi_flexible=127,max_ioqpairs=256,msix_qsize=129",
    ]);
    machine
}

/// The controller, and how many virtual functions make a machine of this many functions.
///
/// # Errors
/// Where it cannot have as many.
pub fn virtual_functions(functions: usize) -> Result<(String, usize)> {
    let number = functions
        .checked_sub(OTHERS)
        .filter(|number| *number <= MOST);
    let number = number.with_context(|| {
        format!(
            "{functions} functions: between {OTHERS} and {} can be had",
            OTHERS + MOST
        )
    })?;
    Ok((CONTROLLER.to_owned(), number))
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
        let number = |functions| virtual_functions(functions).map(|(_, number)| number).ok();
        assert_eq!([8, 64, 135].map(number), [Some(0), Some(56), Some(127)]);
        assert_eq!([7, 136, 1024].map(number), [None; 3]);
        let first = first_virtual_functions(9);
        assert_eq!((&*first[0], &*first[7]), ("0000:02:00.1", "0000:02:01.0"));
    }
}
