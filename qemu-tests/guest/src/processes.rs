//! The processes of the agent.

use std::fs;

use anyhow::{Context, Result};

use crate::program::AGENT;

/// The processes of the agent, ended ones with them, as `PID STATE`.
pub(crate) fn agents() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").context("list(/proc)")? {
        let process = entry.context("list(/proc)")?.path();
        // Others have none, or end while they are looked at.
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
        let [name, number, state] =
            ["Name:", "Pid:", "State:"].map(|name| field(name).unwrap_or("?").trim());
        // The kernel keeps 15 bytes of a name, as many as this one has.
        if AGENT.rsplit('/').next() == Some(name) {
            all.push(format!("{number} {state}"));
        }
    }
    Ok(all)
}
