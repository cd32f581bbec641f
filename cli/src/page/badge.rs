//! Whether a group can be lent, as the page says it.

use super::html::Html;
use crate::facts::Lending;

/// What is said of a group, in words and with a sign.
pub fn badge(page: &mut Html, lending: Lending) {
    let sign = match lending {
        Lending::Lent => "\u{2713}",
        Lending::Can => "+",
        Lending::InUse => "!",
        Lending::Unknown => "?",
        Lending::Cannot => "\u{d7}",
        Lending::Machine => "\u{b7}",
    };
    let class = format!("badge {}", word(lending));
    page.open("span", &[("class", &class)]);
    page.element("span", &[("aria-hidden", "true")], sign);
    page.raw(" ").text(lending.words());
    page.raw("</span>");
}

/// As a class of the style.
pub fn word(lending: Lending) -> &'static str {
    match lending {
        Lending::Lent => "lent",
        Lending::Can => "can",
        Lending::InUse => "in-use",
        Lending::Unknown => "unknown",
        Lending::Cannot => "cannot",
        Lending::Machine => "machine",
    }
}
