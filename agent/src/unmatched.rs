//! Selectors that name nothing on this machine, and what may have been meant.

use core::fmt;

use crate::address::{Address, Slot};
use crate::device_id::{DeviceId, IdPattern};
use crate::function::{Function, Inventory};
use crate::plan::Why;
use crate::presence::comes_later;
use crate::record::Record;
use crate::selector::{Selector, Source, Target};

/// The selectors of the owner that match no function, with what comes nearest; exclusions that match
/// none are [problems](crate::presence). Where another ID sits in the place that one names, a step of the
/// plan says so already: there only what has the ID now is left to say.
pub fn unmatched<'a>(record: &Record<'a>) -> impl Iterator<Item = Unmatched<'a>> {
    let (inventory, plan) = (record.inventory, record.plan);
    let means = |selector: &Selector<'_>| {
        let mut all = inventory.functions().iter();
        all.any(|f| selector.matches(f.address, &f.id))
    };
    let told = |at| plan.steps.iter().any(|step| step.why == Why::Selected(at));
    let takes = |s: &Selector<'_>| !s.excludes || s.source == Source::Protect;
    let all = (0..=u16::MAX).zip(&record.policy.selectors);
    all.filter(move |(_, s)| takes(s) && !means(s))
        .filter(|(_, s)| !(s.excludes && comes_later(s, inventory)))
        .map(move |(at, selector)| Unmatched {
            selector,
            near: nearest(selector, inventory),
            moved: told(at),
        })
        .filter(|unmatched| !unmatched.moved || unmatched.has_moved())
}

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

/// A selector that names nothing on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Unmatched<'a> {
    /// The selector. `vfio_pci.ids=` often lists what other machines have; `vfio.bind=` means this
    /// one.
    pub selector: &'a Selector<'a>,
    /// What may have been meant.
    pub near: Option<&'a Function>,
    /// Whether the plan tells that something else sits in the place that it names.
    pub moved: bool,
}

impl Unmatched<'_> {
    /// Whether what the selector expects sits elsewhere.
    fn has_moved(&self) -> bool {
        let expected = self.selector.expected.zip(self.near);
        expected.is_some_and(|(expected, near)| expected.matches(&near.id))
    }
}

impl fmt::Display for Unmatched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near = self.near.map(|near| (near.address, near.id));
        if let (true, Some((address, id))) = (self.moved, near) {
            return write!(f, "{}: {address} is {id} now", self.selector);
        }
        write!(f, "{} {}", self.selector, Nothing(near))
    }
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
