//! Proxmox VE's mappings, /etc/pve/mapping/pci.cfg: a name, and below it a line `map` for each place on each node,
//! with the ID that is expected there (PVE::Mapping::PCI of pve-guest-common, in the form of PVE::SectionConfig).

use std::path::Path;

use anyhow::Result;

use super::line::{Line, Manager, Takes};
use crate::preview::known::read;

const FILE: &str = "etc/pve/mapping/pci.cfg";

/// The mappings of this node of the system at `root`; of all nodes where its name is not known.
///
/// # Errors
/// Where the file is there and cannot be read.
pub fn lines(root: &Path) -> Result<Vec<Line>> {
    let Some(text) = read(&root.join(FILE))? else {
        return Ok(Vec::new());
    };
    let host = read(&root.join("etc/hostname"))?.unwrap_or_default();
    let host = String::from_utf8_lossy(&host).trim().to_owned();
    // A node is named by the first part.
    let node = host.split('.').next().filter(|name| !name.is_empty());
    Ok(maps(&String::from_utf8_lossy(&text), node))
}

fn maps(text: &str, node: Option<&str>) -> Vec<Line> {
    let shared = shared(text);
    let mut found = Vec::new();
    let mut name = "";
    for (line, text) in (1..).zip(text.lines()) {
        if !text.starts_with(char::is_whitespace) {
            name = text.trim();
            continue;
        }
        let Some(list) = text.trim().strip_prefix("map ") else {
            continue;
        };
        let fields = || {
            list.trim()
                .split(',')
                .filter_map(|field| field.split_once('='))
        };
        let field = |wanted: &str| {
            fields()
                .find(|(key, _)| *key == wanted)
                .map(|(_, value)| value)
        };
        if field("node").is_some_and(|of| node.is_some_and(|node| node != of)) {
            continue;
        }
        if shared.contains(&name) {
            found.push(Line {
                manager: Manager::Proxmox,
                file: format!("/{FILE}"),
                line,
                text: format!("{name}: {}", list.trim()),
                takes: Takes::Nothing,
                by_hand: format!(
                    "leave the mapping {name} as it is, and give no words for it: guests are given parts of the device \
                     (mdev 1), which its own driver makes"
                ),
            });
            continue;
        }
        // Of several places the first that is free is given to a guest.
        for place in field("path")
            .unwrap_or_default()
            .split(';')
            .filter(|place| !place.is_empty())
        {
            found.push(Line {
                manager: Manager::Proxmox,
                file: format!("/{FILE}"),
                line,
                text: format!("{name}: {}", list.trim()),
                takes: Takes::Place(place.to_lowercase(), field("id").map(str::to_owned)),
                by_hand: format!(
                    "leave the mapping {name} as it is: guests are given the device by it; Proxmox binds when a \
                     guest starts, and the words do so before a driver of the host has the device"
                ),
            });
        }
    }
    found
}

/// The mappings whose devices are lent in parts.
fn shared(text: &str) -> Vec<&str> {
    let mut shared = Vec::new();
    let mut name = "";
    for line in text.lines() {
        if !line.starts_with(char::is_whitespace) {
            name = line.trim();
        } else if line.split_whitespace().eq(["mdev", "1"]) {
            shared.push(name);
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_those_of_this_node() {
        let text = "gpu\n\tdescription mine\n\tmap id=10de:2204,iommugroup=6,node=pve1,path=0000:01:00,subsystem-id=1458:403b\n\
                    \tmap id=10de:2204,node=pve2,path=0000:41:00\n\tmdev 0\n\nnic\n\
                    \tmap id=8086:1528,node=pve1,path=0000:02:00.0;0000:02:00.1\n";
        let places = |node| {
            let found = maps(text, node).into_iter();
            let place = |line: Line| match line.takes {
                Takes::Place(place, id) => {
                    (line.line, format!("{place}@{}", id.unwrap_or_default()))
                }
                other => panic!("{other:?}"),
            };
            found.map(place).collect::<Vec<_>>()
        };
        let gpu = (3, "0000:01:00@10de:2204".to_owned());
        let nics =
            ["0000:02:00.0@8086:1528", "0000:02:00.1@8086:1528"].map(|nic| (8, nic.to_owned()));
        assert_eq!(
            places(Some("pve1")),
            [gpu, nics[0].clone(), nics[1].clone()]
        );
        assert_eq!(
            places(Some("pve2")),
            [(4, "0000:41:00@10de:2204".to_owned())]
        );
        assert_eq!(places(None).len(), 4);
    }
}
