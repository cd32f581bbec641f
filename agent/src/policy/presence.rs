//! Whether what selectors name is where it was said to be: a typing error, a card that gave the root bus
//! another number, or another machine. None of them may widen what is taken.
//!
//! What is to be taken is all that a selector names, if one function of the device has the `@ID`, and
//! nothing otherwise. What is to be left alone:
//!
//! - With `@ID`, what has that ID is left alone wherever it is.
//! - Without, an exclusion may have meant anything: nothing is bound.
//! - A recorded place without an ID leaves no list of what the system boots from.
//! - What an owner protects in vain is told with the other selectors that match nothing.

use crate::machine::inventory::Inventory;
use crate::policy::Policy;
use crate::policy::nearest::nearest;
use crate::policy::problem::Problem;
use crate::policy::selector::{Selector, Source, StableName, Target};

/// Looks for all that selectors name, after [`crate::policy::resolve`] has found out the places.
#[inline(never)] // Inlined, it makes the executable larger.
pub fn look(policy: &mut Policy<'_>, inventory: &Inventory) {
    for at in 0..policy.places().count() {
        let Some(selector) = policy.place_mut(at) else {
            continue;
        };
        let all = || inventory.functions().iter();
        let here = || all().filter(|f| selector.names(f.address, &f.id));
        let right = is_there(selector, inventory);
        if !selector.excludes {
            selector.confirmed = right && selector.names_one();
            continue;
        }
        if right || comes_later(selector, inventory) {
            continue;
        }
        let (source, text) = (selector.source, selector.text);
        let there = here().next().map(|f| f.id);
        let near = nearest(selector, inventory).map(|f| (f.address, f.id));
        // Of a PF that is not there nobody knows where its VFs are.
        let is_virtual = selector.is_virtual();
        let has_id = selector.expected.is_some();
        if has_id && !is_virtual {
            selector.everywhere = true;
            let gone = there.is_none() && !all().any(|f| selector.matches(f));
            // Nothing at all is like it: that is told of all selectors of its kind.
            if !(gone && source == Source::Protect) {
                policy.problem(Problem::Moved(source, text, there));
            }
        } else if source == Source::Recorded {
            policy.listed = false;
            policy.problem(Problem::Lost(text));
        } else if (source == Source::Bind || (is_virtual && has_id))
            // Its name has been told to be that of several devices.
            && !policy.problems.iter().any(|problem| {
                matches!(problem, Problem::Ambiguous(name, true) if *name == text)
            })
        {
            policy.problem(Problem::ExcludesNothing(source, text, near));
        }
    }
}

/// Whether what a selector describes is where it was said to be.
pub(crate) fn is_there(selector: &Selector<'_>, inventory: &Inventory) -> bool {
    let mut all = inventory.functions().iter();
    all.any(|f| selector.names(f.address, &f.id) && selector.expects(&f.id))
}

/// Whether what a selector names cannot be there yet, and that is no news: the inside of a slot without
/// a card, unless an ID says which one it had, virtual functions that can be made, and a domain that vmd makes
/// when it takes its controller.
#[must_use]
pub fn comes_later(selector: &Selector<'_>, inventory: &Inventory) -> bool {
    if selector.is_virtual() && is_there(selector, inventory) {
        return inventory.functions().iter().any(|f| selector.can_be_of(f));
    }
    if let Target::Named(StableName::Slot(_), place) = selector.target {
        return place.is_some() && selector.expected.is_none();
    }
    let domain = match selector.target {
        Target::Named(StableName::Path(path), _) => Some(path.domain()),
        _ => selector.slot().map(|slot| slot.domain),
    };
    // vmd counts its domains from 10000, where no other has one (`vmd_find_free_domain`).
    domain.is_some_and(|domain| {
        let all = || inventory.functions().iter();
        domain > 0xffff
            && !all().any(|f| f.address.domain == domain)
            && all().any(|f| f.id.is_vmd())
    })
}
