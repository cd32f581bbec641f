//! The machine: its root buses, what is on them, and groups as boxes.

use vfio_bind_agent::pci::address::Address;

use super::badge::{badge, word};
use super::html::Html;
use super::plan::{self, PlanView};
use crate::facts::behind::Detail;
use crate::facts::{Function, Group, Machine};
use crate::listing::counted;

/// What is drawn.
pub(super) struct Drawing<'m> {
    pub machine: &'m Machine,
    pub plan: Option<&'m PlanView>,
    pub detail: Detail,
}

impl Drawing<'_> {
    /// All root buses.
    pub fn section(&self, page: &mut Html) {
        page.raw("<section id=\"machine\" aria-labelledby=\"buses\">\n");
        page.raw("<h2 id=\"buses\">The machine</h2>\n");
        page.raw("<p class=\"faint\">A box is an IOMMU group: it is lent as a whole. What is behind a bridge is ");
        page.raw("drawn below it, further in.</p>\n");
        let buses = self.machine.root_buses();
        if buses.len() > 1 {
            page.raw("<nav aria-label=\"Root buses\">\n<ul class=\"links\">\n");
            for bus in &buses {
                let target = format!("#bus-{bus}");
                page.raw("<li>")
                    .element("a", &[("href", &target)], &format!("Root bus {bus}"));
                page.raw("</li>\n");
            }
            page.raw("</ul>\n</nav>\n");
        }
        let mut drawn = Vec::new();
        for bus in buses {
            let (heading, target) = (format!("bus-{bus}"), format!("Root bus {bus}"));
            page.open(
                "section",
                &[("aria-labelledby", &heading), ("class", "root")],
            );
            page.element("h3", &[("id", &heading)], &target).raw("\n");
            self.bus(page, bus, None, 0, &mut drawn);
            page.raw("</section>\n");
        }
        page.raw("</section>\n");
    }

    /// What is right below a bridge or on a root bus: groups as boxes, and bridges with what is behind them.
    fn bus(
        &self,
        page: &mut Html,
        bus: &str,
        parent: Option<Address>,
        depth: usize,
        drawn: &mut Vec<Option<u32>>,
    ) {
        let here: Vec<_> = self.machine.below(bus, parent).collect();
        let leads = |one: &Function| self.machine.below(bus, Some(one.address)).next().is_some();
        // Deeper than there are functions is a circle.
        if here.is_empty() || depth > self.machine.functions.len() {
            return;
        }
        page.raw("<ul class=\"bus\">\n");
        let mut boxed: Vec<Option<u32>> = Vec::new();
        for one in &here {
            if one.bridge.is_some() && leads(one) {
                // With several boxes behind it, it has all the width.
                let behind = self.machine.below(bus, Some(one.address));
                let mut behind: Vec<_> = behind
                    .filter(|other| !other.is_of_no_use() || leads(other))
                    .collect();
                behind.dedup_by_key(|other| other.group);
                let class = if behind.len() > 1 {
                    "bridge wide"
                } else {
                    "bridge"
                };
                page.open("li", &[("class", class)]);
                self.bridge(page, one);
                self.bus(page, bus, Some(one.address), depth + 1, drawn);
                page.raw("</li>\n");
                continue;
            }
            let group = self.machine.group_of(one.address);
            let Some(group) = group.filter(|_| !one.is_of_no_use() || self.is_lendable(one)) else {
                continue;
            };
            if boxed.contains(&group.number) {
                continue;
            }
            boxed.push(group.number);
            let members: Vec<_> = here
                .iter()
                .copied()
                .filter(|other| {
                    other.group == group.number && !(other.bridge.is_some() && leads(other))
                })
                .filter(|other| group.number.is_some() || !other.is_of_no_use())
                .collect();
            page.raw("<li>");
            self.group(page, group, &members, drawn);
            page.raw("</li>\n");
        }
        let own: Vec<_> = here
            .iter()
            .filter(|one| one.is_of_no_use() && !leads(one) && !self.is_lendable(one))
            .collect();
        if !own.is_empty() {
            let parts = counted(own.len(), "part");
            let place = parent.map_or_else(
                || format!("root bus {bus}"),
                |one| format!("the bus of {one}"),
            );
            page.raw("<li class=\"own\"><details><summary>");
            page.text(&format!(
                "{parts} of the machine itself and its chipset on {place}"
            ));
            page.raw("</summary><ul class=\"behind\">\n");
            for one in own {
                page.raw("<li>");
                self.id(page, one);
                page.text(&format!("{} ({})", one.name, place_in(one)));
                page.raw("</li>\n");
            }
            page.raw("</ul></details></li>\n");
        }
        page.raw("</ul>\n");
    }

    /// Whether a group with something to lend has it.
    fn is_lendable(&self, function: &Function) -> bool {
        let group = self.machine.group_of(function.address);
        group.is_some_and(|group| {
            group.number.is_some() && self.machine.members(group).any(|one| !one.is_of_no_use())
        })
    }

    /// A bridge, in one line.
    fn bridge(&self, page: &mut Html, function: &Function) {
        page.raw("<p class=\"line\">");
        self.id(page, function);
        page.raw("bridge");
        if let Some(buses) = function.bridge.filter(|buses| buses.first > 0) {
            page.text(&match buses.first == buses.last {
                true => format!(" to bus {:02x}", buses.first),
                false => format!(" to buses {:02x} to {:02x}", buses.first, buses.last),
            });
        }
        page.text(&format!(", {}", place_in(function)));
        page.raw(" <span class=\"faint\">")
            .text(&function.name)
            .raw("</span></p>\n");
    }

    fn group(
        &self,
        page: &mut Html,
        group: &Group,
        members: &[&Function],
        drawn: &mut Vec<Option<u32>>,
    ) {
        let class = format!("group {}", word(group.verdict.lending));
        // A group may be on several buses; links lead to the first box.
        let is_first = !drawn.contains(&group.number);
        drawn.push(group.number);
        match group.number.filter(|_| is_first) {
            Some(number) => {
                page.open(
                    "div",
                    &[("class", &class), ("id", &format!("group-{number}"))],
                );
            }
            None => {
                page.open("div", &[("class", &class)]);
            }
        }
        page.raw("\n<p class=\"head\"><strong>");
        page.text(
            &group
                .number
                .map_or_else(|| "No group".to_owned(), |number| format!("Group {number}")),
        );
        page.raw("</strong> ");
        badge(page, group.verdict.lending);
        page.raw("</p>\n");
        if let Some(why) = group.verdict.reason(self.detail) {
            page.element("p", &[("class", "why")], why).raw("\n");
        }
        if let Some(text) = self.together(group) {
            page.element("p", &[("class", "why")], &text).raw("\n");
        }
        if group.number.is_some() && members.len() < group.members.len() {
            let rest = group
                .members
                .iter()
                .filter(|one| members.iter().all(|two| two.address != **one));
            let rest: Vec<_> = rest.map(ToString::to_string).collect();
            let shown = rest.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
            let more = rest.len().saturating_sub(4);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            page.element(
                "p",
                &[("class", "why")],
                &format!("Elsewhere in it: {shown}{more}"),
            );
            page.raw("\n");
        }
        for one in members {
            self.function(page, one);
        }
        page.raw("</div>");
    }

    /// The graphics card that has functions in this group and in others.
    fn together(&self, group: &Group) -> Option<String> {
        let number = group.number?;
        let mut devices = self.machine.devices.iter();
        let device =
            devices.find(|device| device.is_parted() && device.groups.contains(&number))?;
        let mut functions = device
            .functions
            .iter()
            .filter_map(|one| self.machine.function(*one));
        functions.find(|one| one.ids.is_display())?;
        let others = device.groups.iter().filter(|other| **other != number);
        let others: Vec<_> = others.map(ToString::to_string).collect();
        let groups = if others.len() == 1 { "group" } else { "groups" };
        Some(format!("One device with {groups} {}", others.join(", ")))
    }

    /// The address, where links to it lead.
    fn id(&self, page: &mut Html, function: &Function) {
        let id = format!("function-{}", function.address);
        page.element("code", &[("id", &id)], &function.address.to_string())
            .raw(" ");
    }

    fn function(&self, page: &mut Html, function: &Function) {
        page.raw("<div class=\"function\">\n<p class=\"line\">");
        self.id(page, function);
        page.element("span", &[("class", "kind")], function.kind)
            .raw(" ");
        let planned = self
            .plan
            .and_then(|plan| plan.functions.get(&function.address));
        if let Some(planned) = planned {
            plan::fate(page, planned);
        }
        page.raw("</p>\n");
        page.element("p", &[("class", "name")], &function.name)
            .raw("\n");
        if let Some(planned) = planned.filter(|planned| !planned.why.is_empty()) {
            page.element("p", &[("class", "why")], &planned.why)
                .raw("\n");
        }
        let mut behind = function.behind.told(self.detail);
        behind.extend(
            function
                .last_seen
                .iter()
                .map(|seen| format!("last seen: {seen}")),
        );
        if !behind.is_empty() {
            page.raw("<ul class=\"behind\">\n");
            for one in behind {
                page.element("li", &[], &one).raw("\n");
            }
            page.raw("</ul>\n");
        }
        page.raw("<details><summary>");
        page.text(&format!("More of {}", function.address));
        page.raw("</summary><dl>\n");
        for (term, text) in facts(self.machine, function, self.detail) {
            page.element("dt", &[], term);
            page.element("dd", &[], &text).raw("\n");
        }
        page.raw("</dl></details>\n</div>\n");
    }
}

fn place_in(function: &Function) -> String {
    match function.group {
        Some(group) => format!("group {group}"),
        None => "no group".to_owned(),
    }
}

/// What is known of a function, beside its name and what hangs behind it.
fn facts(machine: &Machine, function: &Function, detail: Detail) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut add = |term, text: Option<String>| facts.extend(text.map(|text| (term, text)));
    add(
        "driver",
        Some(function.driver.clone().unwrap_or_else(|| "none".to_owned())),
    );
    add("ID", Some(function.id.clone()));
    add("subsystem", function.subsystem.clone());
    add("class", Some(function.class.clone()));
    add("path", function.path.clone());
    add(
        "link",
        function
            .link
            .map(|link| link.told().unwrap_or_else(|| link.now.told())),
    );
    add(
        "reset",
        function
            .resets
            .as_ref()
            .map(|resets| match resets.is_empty() {
                true => "none".to_owned(),
                false => resets.join(", "),
            }),
    );
    add("power", function.power.clone());
    add("NUMA node", function.numa_node.map(|node| node.to_string()));
    add(
        "made by",
        function.physical_function.map(|pf| pf.to_string()),
    );
    add(
        "virtual functions",
        function
            .virtual_functions
            .map(|own| format!("{} of {}", own.made, own.most)),
    );
    if function.boot_display {
        add("display", Some("the machine boots on it".to_owned()));
    }
    if detail == Detail::All {
        let interfaces = function.behind.interfaces.iter();
        let addresses = interfaces.filter_map(|one| one.hardware_address.as_deref());
        let addresses: Vec<_> = addresses.collect();
        add(
            "hardware address",
            (!addresses.is_empty()).then(|| addresses.join(", ")),
        );
    }
    let device = machine.device_of(function.address);
    let others = device.into_iter().flat_map(|device| &device.functions);
    let others: Vec<_> = others
        .filter(|other| **other != function.address)
        .map(ToString::to_string)
        .collect();
    add(
        "same device",
        (!others.is_empty()).then(|| others.join(", ")),
    );
    facts
}
