//! What may have been meant by a selector that names nothing here.

use core::fmt;

use crate::machine::inventory::{Function, Inventory};
use crate::pci::address::{Address, Slot};
use crate::pci::id::{DeviceId, IdPattern};
use crate::policy::selector::{Selector, Target};

/// A function that an owner may have meant: what the selector describes in another place, another
/// function of the device that it names, the same device of another domain, or, where the machine has no
/// such domain, what has the number of the bus as its domain (a UID of IBM Z), or the first of all.
pub(crate) fn nearest<'a>(
    selector: &Selector<'_>,
    inventory: &'a Inventory,
) -> Option<&'a Function> {
    let pattern = selector.expected.or(match selector.target {
        Target::Id(pattern) => Some(pattern),
        _ => None,
    });
    // Any function of a vendor, or any at all, is near to nothing.
    let model = pattern.filter(IdPattern::names_a_model);
    let model = model.map(|pattern| IdPattern {
        vendor: pattern.vendor,
        device: pattern.device,
        ..IdPattern::default()
    });
    let device = selector.slot().map(Slot::whole);
    let find = |wanted: &dyn Fn(&Function) -> bool| {
        let mut all = inventory.functions().iter();
        all.find(|function| wanted(function))
    };
    let in_domain = |domain| find(&|function| function.address.domain == domain);
    find(&|function| model.is_some_and(|model| model.matches(&function.id)))
        .or_else(|| find(&|function| device.is_some_and(|device| device.matches(function.address))))
        .or_else(|| {
            let device = device?;
            find(&|f| {
                Slot {
                    domain: f.address.domain,
                    ..device
                }
                .matches(f.address)
            })
        })
        .or_else(|| match (device?, in_domain(device?.domain)) {
            (_, Some(_)) => None,
            (device, None) => in_domain(device.bus.into()).or_else(|| find(&|_| true)),
        })
}

/// That a selector matches nothing, and what comes nearest.
pub(crate) struct Nothing(pub Option<(Address, DeviceId)>);

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("matches no function of this machine")?;
        match self.0 {
            Some((address, id)) => write!(f, "; nearest is {address} ({id})"),
            None => Ok(()),
        }
    }
}
