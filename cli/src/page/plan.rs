//! What a plan does, on a page.

use std::collections::BTreeMap;

use vfio_bind_agent::pci::address::Address;

use super::html::Html;
use crate::facts::Machine;

/// A plan, as a page shows it.
#[derive(Clone, Debug, Default)]
pub struct PlanView {
    /// The words that ask for it.
    pub words: String,
    /// What becomes of each function that it speaks of.
    pub functions: BTreeMap<Address, Planned>,
}

/// What becomes of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// In a word.
    pub fate: Fate,
    /// Why, or how: the driver that takes it, the reason of a refusal. It may be empty.
    pub why: String,
}

/// That in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// A vfio driver takes it.
    Taken,
    /// It was asked for and is not taken.
    Refused,
    /// It shares a group with what is taken and stays.
    Left,
}

impl Fate {
    /// For eyes and ears.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Taken => "would be taken",
            Self::Refused => "refused",
            Self::Left => "stays",
        }
    }

    /// As a class of the style.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Taken => "badge taken",
            Self::Refused => "badge refused",
            Self::Left => "badge left",
        }
    }
}

/// What is planned, before the machine: first what is taken.
pub(super) fn section(page: &mut Html, machine: &Machine, plan: &PlanView) {
    page.raw("<section aria-labelledby=\"plan\">\n<h2 id=\"plan\">What the plan does</h2>\n<p>");
    page.element("code", &[], &plan.words).raw("</p>\n");
    if plan.functions.is_empty() {
        page.raw("<p>Nothing.</p>\n</section>\n");
        return;
    }
    let mut all: Vec<_> = plan.functions.iter().collect();
    all.sort_by_key(|(address, planned)| (planned.fate, **address));
    page.raw("<ul class=\"overview\">\n");
    for (address, planned) in all {
        page.raw("<li>");
        let address_text = address.to_string();
        match machine.function(*address) {
            Some(function) => {
                let target = format!("#function-{address_text}");
                page.element("a", &[("href", &target)], &address_text)
                    .raw(" ");
                fate(page, planned);
                page.raw(" ")
                    .element("span", &[("class", "names")], &function.name);
            }
            None => {
                page.text(&address_text).raw(" ");
                fate(page, planned);
            }
        }
        if !planned.why.is_empty() {
            page.element("span", &[("class", "why")], &planned.why);
        }
        page.raw("</li>\n");
    }
    page.raw("</ul>\n</section>\n");
}

/// What becomes of a function, in words.
pub(super) fn fate(page: &mut Html, planned: &Planned) {
    page.element(
        "span",
        &[("class", planned.fate.class())],
        planned.fate.words(),
    );
}
