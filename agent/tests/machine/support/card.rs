//! PCI functions, written in a test or in a topology file.

use std::fs;
use std::path::Path;

/// A function to put into the tree.
#[derive(Clone, Debug, Default)]
pub struct Card {
    pub address: String,
    pub ids: [u32; 4],
    pub class: u32,
    pub driver: Option<String>,
    pub group: Option<u32>,
    pub bridge: bool,
    /// The first and the last bus behind a bridge.
    pub buses: Option<(u8, u8)>,
}

impl Card {
    pub fn new(address: &str, vendor: u32, device: u32, class: u32, group: u32) -> Self {
        Self {
            address: address.to_owned(),
            ids: [vendor, device, 0, 0],
            class,
            group: Some(group),
            ..Self::default()
        }
    }

    pub fn on(self, driver: &str) -> Self {
        Self {
            driver: Some(driver.to_owned()),
            ..self
        }
    }

    pub fn bridge(self) -> Self {
        Self {
            bridge: true,
            ..self
        }
    }

    /// A bridge with these buses behind it.
    pub fn bridge_to(self, first: u8, last: u8) -> Self {
        Self {
            buses: Some((first, last)),
            ..self.bridge()
        }
    }
}

/// The cards of a topology file.
pub fn topology(name: &str) -> Vec<Card> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/topologies")
        .join(format!("{name}.tsv"));
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let mut cards: Vec<_> = rows.map(card).collect();
    // From below: what is behind a bridge comes after it.
    for at in (0..cards.len()).rev() {
        let Some((first, _)) = cards[at].buses else {
            continue;
        };
        let domain = cards[at].address.split(':').next().unwrap();
        let bus = format!("{domain}:{first:02x}:");
        let behind = cards.iter().filter(|card| card.address.starts_with(&bus));
        let last = behind.filter_map(|card| Some(card.buses?.1)).max();
        cards[at].buses = Some((first, last.unwrap_or(first)));
    }
    cards
}

/// A row of a topology file.
fn card(row: &str) -> Card {
    let fields: Vec<_> = row.split('\t').collect();
    let hex = |field: &str| match field {
        "-" => 0,
        digits => u32::from_str_radix(digits, 16).unwrap(),
    };
    Card {
        address: fields[0].to_owned(),
        class: hex(fields[1]),
        ids: [2, 3, 4, 5].map(|at| hex(fields[at])),
        driver: Some(fields[7].to_owned()).filter(|driver| driver != "-"),
        group: fields[8].parse().ok(),
        bridge: fields[9] != "-",
        buses: u8::from_str_radix(fields[9], 16).ok().map(|bus| (bus, bus)),
    }
}
