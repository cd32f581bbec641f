//! How much an agent may cost that costs less than what people write, or a little more where it does
//! more.

use super::plan::{Pair, Way};

/// The ratio that is aimed at; `None` where none is.
///
/// A plan's are for the selectors that people write hooks for. A boot's hold for one function and for 57.
#[must_use]
pub fn target(pair: &Pair) -> Option<f64> {
    match (pair.way, pair.selector.name, pair.functions, pair.taken) {
        (Way::Plan, "address", ..) => Some(0.9),
        (Way::Plan, "ID", 64, _) => Some(0.45),
        (Way::Plan, "ID", ..) => Some(0.3),
        (Way::Load, _, _, 1) => Some(1.04),
        (Way::Load, _, _, 57) => Some(1.15),
        _ => None,
    }
}
