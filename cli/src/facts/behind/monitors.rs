//! Monitors.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::facts::edid;
use crate::storage::block::{name, text_of};
use crate::terminal::one_line;

/// A monitor that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Monitor {
    /// The socket: `DP-1`, `HDMI-A-2`.
    pub connector: String,
    /// What it calls itself.
    pub name: Option<String>,
}

impl Monitor {
    /// `monitor DELL U2720Q on DP-1`.
    #[must_use]
    pub fn told(&self) -> String {
        match &self.name {
            Some(name) => format!("monitor {name} on {}", self.connector),
            None => format!("monitor on {}", self.connector),
        }
    }
}

/// The monitor on the connector with this directory, as the kernel last saw it: it is not asked again.
pub(super) fn on(place: &Path) -> Option<Monitor> {
    if text_of(&place.join("status"))? != "connected" {
        return None;
    }
    let own = name(place);
    // Behind the card: `card0-DP-1`.
    let connector = own
        .split_once('-')
        .map_or(&*own, |(_, connector)| connector);
    Some(Monitor {
        connector: one_line(connector),
        name: edid::name(&fs::read(place.join("edid")).unwrap_or_default()),
    })
}
