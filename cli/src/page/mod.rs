//! A machine as one page for a browser: for who would rather look, and for a question in a forum.
//!
//! The page needs nothing else: no network, no script, no other file. [`html`] escapes all that comes from the
//! machine, [`drawing`] has the buses and their boxes, [`plan`] what a plan does to them.

mod badge;
mod drawing;
mod html;
pub mod plan;

use std::path::Path;

use anyhow::Result;

use crate::facts::behind::Detail;
use crate::facts::{Group, Machine};
use crate::listing::{counted, summary};
use crate::terminal::{self, Screen};
use crate::whole;

use badge::{badge, word};
use drawing::Drawing;
use html::Html;
pub use plan::{Fate, PlanView, Planned};

/// How it looks; dark where its reader's system is.
const STYLE: &str = include_str!("style.css");

/// Writes the page to a file, whole or not at all; `-` is standard output. What tells who owns the machine is on it
/// only where that is `personal`: addresses of interfaces, mount points, the names of volumes and of the host.
///
/// # Errors
/// What the system answered.
pub fn write(
    file: &Path,
    machine: &Machine,
    plan: Option<&PlanView>,
    personal: bool,
) -> Result<()> {
    let page = text(machine, plan, personal);
    if file == Path::new("-") {
        return terminal::write(&page);
    }
    whole::write(file, page.as_bytes())
}

/// The page.
#[must_use]
pub fn text(machine: &Machine, plan: Option<&PlanView>, personal: bool) -> String {
    let detail = match personal {
        true => Detail::All,
        false => Detail::Impersonal,
    };
    let host = machine.host.as_deref().filter(|_| personal);
    let title = match (plan, host) {
        (Some(_), Some(host)) => format!("What vfio-bind would do on {host}"),
        (Some(_), None) => "What vfio-bind would do".to_owned(),
        (None, Some(host)) => format!("PCI functions of {host} and their IOMMU groups"),
        (None, None) => "PCI functions and their IOMMU groups".to_owned(),
    };
    let mut page = Html::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    page.raw("<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.element("title", &[], &title);
    page.raw("\n<style>\n")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n");
    page.raw("<a class=\"skip\" href=\"#machine\">Skip to the machine</a>\n<header>\n");
    page.element("h1", &[], &title);
    let told = summary(machine, Screen::default());
    page.element("p", &[], told.trim_end());
    page.raw("\n</header>\n<main>\n");
    if let Some(plan) = plan {
        plan::section(&mut page, machine, plan);
    }
    overview(&mut page, machine, detail);
    Drawing {
        machine,
        plan,
        detail,
    }
    .section(&mut page);
    untold(&mut page, machine, detail);
    page.raw("</main>\n<footer>\n<p>Made by <code>vfio-bind");
    page.text(if plan.is_some() { " plan" } else { " list" });
    page.raw(" --html</code>. ");
    page.text(match detail {
        Detail::All => "Addresses, mount points and the name of the host are on this page.",
        Detail::Impersonal => {
            "Addresses of interfaces, mount points, serial numbers and the name of the host are not on this page."
        }
    });
    page.raw("</p>\n</footer>\n</body>\n</html>\n");
    page.finish()
}

/// What a reader wants to know first: each group that is not the machine's own, in a line.
fn overview(page: &mut Html, machine: &Machine, detail: Detail) {
    page.raw("<section aria-labelledby=\"lend\">\n<h2 id=\"lend\">What can be lent</h2>\n");
    let is_shown = |group: &&Group| !machine.is_of_no_use(group);
    let shown: Vec<_> = machine.groups.iter().filter(is_shown).collect();
    if shown.is_empty() {
        page.raw("<p>Nothing: all functions belong to the machine itself.</p>\n");
    } else {
        page.raw("<ul class=\"overview\">\n");
        for group in shown {
            line(page, machine, group, detail);
        }
        page.raw("</ul>\n");
    }
    let rest = machine.groups.iter().filter(|group| !is_shown(group));
    let rest = rest.filter(|group| group.number.is_some()).count();
    if rest > 0 {
        let text = format!(
            "{} more: bridges and other parts of the machine itself and its chipset.",
            counted(rest, "group")
        );
        page.element("p", &[("class", "faint")], &text);
        page.raw("\n");
    }
    page.raw("</section>\n");
}

fn line(page: &mut Html, machine: &Machine, group: &Group, detail: Detail) {
    let lending = group.verdict.lending;
    page.open("li", &[("class", word(lending))]);
    match group.number {
        Some(number) => {
            let target = format!("#group-{number}");
            page.element("a", &[("href", &target)], &format!("Group {number}"));
        }
        None => {
            page.text("No group");
        }
    }
    page.raw(" ");
    badge(page, lending);
    page.raw(" <span class=\"names\">");
    let members: Vec<_> = machine
        .members(group)
        .filter(|one| !one.is_of_no_use())
        .collect();
    // What has no group is listed with its bus.
    let most = if group.number.is_some() {
        members.len()
    } else {
        3
    };
    let names = members.iter().take(most).map(|one| &*one.name);
    let mut names = names.collect::<Vec<_>>().join("; ");
    if members.len() > most {
        names += &format!("; and {} more", members.len() - most);
    }
    page.text(&names);
    page.raw("</span>");
    if let Some(why) = group.verdict.reason(detail) {
        page.element("span", &[("class", "why")], why);
    }
    page.raw("</li>\n");
}

fn untold(page: &mut Html, machine: &Machine, detail: Detail) {
    if machine.untold.is_empty() {
        return;
    }
    page.raw("<section aria-labelledby=\"untold\">\n<h2 id=\"untold\">What could not be found out</h2>\n");
    match detail {
        Detail::All => {
            page.raw("<ul>\n");
            for one in &machine.untold {
                page.element("li", &[], one);
            }
            page.raw("</ul>\n");
        }
        // It may name mount points.
        Detail::Impersonal => {
            let things = counted(machine.untold.len(), "thing");
            page.element("p", &[], &format!("{things}; vfio-bind list names them."));
        }
    }
    page.raw("</section>\n");
}
