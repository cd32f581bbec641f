//! A net under every list of what a system boots from: a boot that does not get to its root file system
//! gets back what may carry it.
//!
//! Who runs this knows that the root does not appear; here is decided what goes back, one function after
//! another, and a second run finds nothing more to do. `vfio.onfail=hold` keeps it off.

use core::fmt::Write;

use rustix::io::Errno;

use crate::bind::controls::{DRIVER_LIMIT, LOCK_LIMIT, put_address, put_override, unbind};
use crate::machine::sysfs::{DEVICES, DRIVERS, attribute, driver_of, is_vfio, path};
use crate::machine::tree::Tree;
use crate::machine::{Machine, Root};
use crate::pci::address::Address;
use crate::pci::id::DeviceId;
use crate::record::report::{DIRECTORY, FILE};
use crate::text::{DriverName, Text, contains};

const REPORT: &str = "run/vfio-bind/report.json";

/// Gives back what may carry the root file system that the kernel command line `line` asks for, where this
/// boot has bound anything; `each` gets every function and the driver that it has then.
pub fn give_back(host: &impl Machine, line: &[u8], each: &mut dyn FnMut(Address, &DriverName)) {
    let mut head = [0; 1024];
    // Without a record nothing was bound. What stands at its beginning is the policy.
    match host.read(REPORT, &mut head) {
        Ok(head) if !contains(head, br#""onfail":"hold""#) => {}
        _ => return,
    }
    // What asks for a root file system on a network (nfsroot in the kernel's documentation,
    // dracut.cmdline(7), initramfs-tools(7)).
    let network = contains(line, b" ip=") || contains(line, b"nfs") || contains(line, b"netroot=");
    let _ = host.list(DEVICES, &mut |entry| {
        let Some(address) = Address::parse(entry) else {
            return;
        };
        if !on_vfio(host, address) || !carries(host, address, network) {
            return;
        }
        // What cannot be done shows in the driver.
        if put_override(host, address, &DriverName::default(), LOCK_LIMIT).is_ok()
            && unbind(host, address, DRIVER_LIMIT).is_ok()
        {
            attach(host, address);
        }
        if let Ok(driver) = driver_of(host, address) {
            let driver = driver.unwrap_or_default();
            error!(
                address;
                "{address}: no root file system: it goes back, its driver is now `{driver}`; write \
                 vfio.protect={address} or vfio.onfail=hold"
            );
            each(address, &driver);
        }
    });
}

fn on_vfio(root: &dyn Root, address: Address) -> bool {
    matches!(driver_of(root, address), Ok(Some(driver)) if is_vfio(driver.as_bytes()))
}

/// Whether a root file system may be behind a function, or behind a NIC.
fn carries(root: &dyn Root, address: Address, network: bool) -> bool {
    let mut buffer = [0; 256];
    let modalias = root.read(&attribute(address, "modalias"), &mut buffer);
    DeviceId::from_modalias(modalias.unwrap_or_default())
        .is_some_and(|id| id.may_carry_root() || (network && id.is_network()))
}

/// Offers a function to each driver that is not of VFIO's: to be probed it might go to vfio-pci again,
/// which comes first where it was given IDs. A driver that comes later takes it by itself.
fn attach(host: &impl Machine, address: Address) {
    let _ = host.list(DRIVERS, &mut |driver| {
        if !is_vfio(driver) && driver_of(host, address) == Ok(None) {
            let file = path(format_args!("sys/bus/pci/drivers/{}/bind", Text(driver)));
            let _ = put_address(host, &file, address, DRIVER_LIMIT);
        }
    });
}

/// Writes the report anew, with a function that went back, and its driver, in front of all that it had.
///
/// # Errors
/// What the system answered to the first call that failed.
pub fn add(tree: &Tree, address: Address, driver: &DriverName) -> Result<(), Errno> {
    tree.replace(DIRECTORY, FILE, &|output| {
        const START: &[u8] = b"{\"given_back\":[";
        output.bytes(START);
        let _ = write!(output, "\"{address} {driver}\"");
        let mut buffer = [0; 1024];
        let mut offset = 0;
        while let Ok(mut part @ [_, ..]) = tree.read_at(REPORT, offset, &mut buffer) {
            if offset == 0 {
                // What went back before comes behind.
                let earlier = part.strip_prefix(START);
                output.bytes(if earlier.is_some() { b"," } else { b"]," });
                part = earlier.or(part.get(1..)).unwrap_or_default();
            }
            output.bytes(part);
            offset = offset.saturating_add(1024);
        }
    })
}
