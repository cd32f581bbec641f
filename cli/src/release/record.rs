//! The record of what was given back, in the form of those of the agent's runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use vfio_bind_agent::machine::iommu::{Kind, group_count};
use vfio_bind_agent::machine::tree::Tree;
use vfio_bind_agent::record::report::FILE;
use vfio_bind_report::{Iommu, Message, Policy, Report, SCHEMA};

use crate::preview::known::read;
use crate::{records, whole};

/// The state of such a run.
pub const STATE: &str = "released";

/// Writes it into a directory of its own below the root; gives the file.
///
/// # Errors
/// What the system answered to the first call that failed.
pub fn write(
    root: &Path,
    tree: &Tree,
    given_back: Vec<String>,
    messages: Vec<Message>,
    exit: u8,
    elapsed: Duration,
) -> Result<PathBuf> {
    let report = Report {
        schema: SCHEMA,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: kernel(root)?,
        state: STATE.to_owned(),
        iommu: Iommu {
            kind: Kind::of(tree).to_string(),
            groups: group_count(tree),
            advice: None,
        },
        // It asks for nothing.
        policy: Policy {
            driver: "auto".to_owned(),
            group: "endpoints".to_owned(),
            onfail: "native".to_owned(),
            ..Policy::default()
        },
        functions: Vec::new(),
        groups: Vec::new(),
        virtual_functions: Vec::new(),
        unasked: Vec::new(),
        given_back,
        functions_seen: None,
        functions_beyond_limit: 0,
        functions_unreadable: 0,
        groups_beyond_limit: 0,
        blockers_beyond_limit: 0,
        messages,
        messages_beyond_limit: 0,
        exit: exit.into(),
        elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
    };
    let text = serde_json::to_string(&report).context("JSON")? + "\n";
    let directory = records::new_directory(root)
        .with_context(|| format!("mkdir below {}/run", root.display()))?;
    let path = directory.join(FILE);
    whole::write(&path, text.as_bytes())?;
    Ok(path)
}

/// The release of the kernel that runs.
fn kernel(root: &Path) -> Result<String> {
    let text = read(&root.join("proc/sys/kernel/osrelease"))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}
