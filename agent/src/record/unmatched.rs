//! Selectors that name nothing on this machine, and what may have been meant.

use core::fmt;

use crate::machine::inventory::Function;
use crate::machine::inventory::Inventory;
use crate::plan::decision::Plan;
use crate::plan::decision::Why;
use crate::policy::Policy;
use crate::policy::nearest::{Nothing, nearest};
use crate::policy::presence::comes_later;
use crate::policy::selector::{Selector, Source};

/// The selectors of the owner that match no function, with what comes nearest; exclusions that match
/// none are [problems](crate::policy::presence). Where another ID sits in the place that one names, a step of the
/// plan says so already: there only what has the ID now is left to say.
pub fn unmatched<'a>(
    policy: &'a Policy<'a>,
    inventory: &'a Inventory,
    plan: &'a Plan,
) -> impl Iterator<Item = Unmatched<'a>> {
    let means = |selector: &Selector<'_>| {
        let mut all = inventory.functions().iter();
        all.any(|f| selector.matches(f))
    };
    let told = |at| plan.steps.iter().any(|step| step.why == Why::Selected(at));
    let takes = |s: &Selector<'_>| !s.excludes || s.source == Source::Protect;
    // What is not there may come yet, and the first run has told of it.
    let all = (0..=u16::MAX).zip(&policy.selectors);
    let all = all.filter(|_| plan.focus.is_none());
    let makings = policy.makings.iter().filter(|_| plan.focus.is_none());
    let makings = makings.map(|making| &making.selector);
    all.filter(move |(_, s)| takes(s) && !means(s))
        .filter(|(_, s)| {
            let may = s.excludes || s.is_virtual();
            !(may && comes_later(s, inventory))
        })
        .map(move |(at, selector)| Unmatched {
            selector,
            near: nearest(selector, inventory),
            moved: told(at),
        })
        .filter(|unmatched| !unmatched.moved || unmatched.has_moved())
        .chain(
            makings
                .filter(move |s| !means(s))
                .map(|selector| Unmatched {
                    selector,
                    near: nearest(selector, inventory),
                    moved: false,
                }),
        )
}

/// What `vfio.set=` asks for where the plan binds nothing.
pub fn idle_settings<'a>(
    policy: &'a Policy<'a>,
    inventory: &'a Inventory,
    plan: &'a Plan,
) -> impl Iterator<Item = &'a Selector<'a>> {
    let selectors = policy.settings.iter().map(|settings| &settings.selector);
    let selectors = selectors.filter(|_| plan.focus.is_none());
    selectors.filter(|selector| {
        let mut bound = plan.bound().filter_map(|step| inventory.get(step.function));
        !bound.any(|function| selector.matches(function))
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
