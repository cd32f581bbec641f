//! Selectors that name nothing on this machine, and what may have been meant.

use core::fmt;

use crate::address::Slot;
use crate::device_id::IdPattern;
use crate::function::{Function, Inventory};
use crate::policy::Policy;
use crate::selector::{Selector, Source, Target};

/// The selectors that match no function and do not exclude, with what comes nearest.
pub fn unmatched<'a>(
    policy: &'a Policy<'a>,
    inventory: &'a Inventory,
) -> impl Iterator<Item = Unmatched<'a>> {
    let means = |selector: &&Selector<'_>| {
        let mut all = inventory.iter();
        all.any(|(_, f)| selector.matches(f.address, &f.id))
    };
    let takes = |s: &&Selector<'_>| !s.excludes || s.source == Source::Protect;
    policy
        .selectors
        .iter()
        .filter(takes)
        .filter(move |selector| !means(selector))
        .map(|selector| Unmatched {
            selector,
            near: nearest(selector, inventory),
        })
}

/// A function that an owner may have meant: what the selector describes in another place, another
/// function of the device that it names, or, where the machine has no such domain, what has the number
/// of the bus as its domain (a UID of IBM Z), or the first of all.
pub(crate) fn nearest<'a>(
    selector: &Selector<'_>,
    inventory: &'a Inventory,
) -> Option<&'a Function> {
    let model = selector.expected.or(match selector.target {
        Target::Id(pattern) if pattern.names_a_model() => Some(pattern),
        _ => None,
    });
    let model = model.map(|pattern| IdPattern {
        vendor: pattern.vendor,
        device: pattern.device,
        ..IdPattern::default()
    });
    let device = selector.slot().map(Slot::whole);
    let find = |wanted: &dyn Fn(&Function) -> bool| {
        let mut all = inventory.iter().map(|(_, function)| function);
        all.find(|function| wanted(function))
    };
    let in_domain = |domain| find(&|function| function.address.domain == domain);
    find(&|function| model.is_some_and(|model| model.matches(&function.id)))
        .or_else(|| find(&|function| device.is_some_and(|device| device.matches(function.address))))
        .or_else(|| match (device?, in_domain(device?.domain)) {
            (_, Some(_)) => None,
            (device, None) => in_domain(device.bus.into()).or_else(|| find(&|_| true)),
        })
}

/// A selector that names nothing on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Unmatched<'a> {
    /// The selector. `vfio_pci.ids=` often lists what other machines have; `vfio.bind=` means this
    /// one.
    pub selector: &'a Selector<'a>,
    /// What may have been meant.
    pub near: Option<&'a Function>,
}

impl fmt::Display for Unmatched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} matches no function of this machine", self.selector)?;
        match self.near {
            Some(near) => write!(f, "; nearest is {} ({})", near.address, near.id),
            None => Ok(()),
        }
    }
}
