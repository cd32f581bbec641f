//! The way to a function through the bridges above it.

use core::fmt;

use crate::address::Address;
use crate::host::{DEVICES, Root, path};

/// The path of a function as the kernel's `<pci_dev>` parameters spell it:
/// `0000:00:1c.0/00.0`, the root port's whole address and then device and function at each step.
///
/// It is the order of the directories that the entry in `/sys/bus/pci/devices` links to. `None`
/// where that is no link, as in a flat capture. `buffer` holds the link's target.
pub fn of<'b>(
    root: &dyn Root,
    address: Address,
    buffer: &'b mut [u8],
) -> Option<impl fmt::Display + 'b> {
    let target: &'b [u8] = root
        .link(&path(format_args!("{DEVICES}/{address}")), buffer)
        .ok()?;
    // Below a host bridge (`pci0000:00`): a VMD controller has one of its own, inside its function.
    let start = target
        .windows(4)
        .rposition(|window| window == b"/pci")?
        .checked_add(1)?;
    let below = target.get(start..)?;
    Some(fmt::from_fn(move |f| {
        let steps = below
            .split(|byte| *byte == b'/')
            .skip(1)
            .filter_map(Address::parse);
        for (depth, step) in steps.enumerate() {
            if depth == 0 {
                write!(f, "{step}")?;
            } else {
                write!(f, "/{:02x}.{}", step.device, step.function)?;
            }
        }
        Ok(())
    }))
}
