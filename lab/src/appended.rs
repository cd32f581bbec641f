//! An archive for images that nobody can rebuild: the agent as their first process.

use std::path::Path;

use anyhow::{Context, Result};

use crate::initrd::{Archive, DATA, FOLDER, PROGRAM};
use crate::supply::AGENT;

/// The path for `rdinit=`.
pub const RDINIT: &str = "/usr/bin/vfio-bind-agent";
/// Where the agent looks for a policy.
const POLICY: &str = "etc/vfio-bind/policy.conf";

/// Writes it. Its size is a multiple of four bytes, so that another archive may follow.
///
/// # Errors
/// Where something cannot be read or written.
pub fn write(path: &Path, agent: &Path, policy: Option<&Path>) -> Result<()> {
    let mut archive = Archive::create(path)?;
    for folder in ["usr", "usr/bin"] {
        archive.add(folder, FOLDER, b"")?;
    }
    archive.add_file(AGENT, PROGRAM, agent)?;
    if let Some(policy) = policy {
        for folder in ["etc", "etc/vfio-bind"] {
            archive.add(folder, FOLDER, b"")?;
        }
        archive.add_file(POLICY, DATA, policy)?;
    }
    archive.finish()?;
    pad(path)
}

/// Fills a file up to a multiple of four bytes: the kernel looks for an archive only there.
///
/// # Errors
/// Where it cannot be written.
pub fn pad(path: &Path) -> Result<()> {
    let grow = || -> std::io::Result<()> {
        let file = std::fs::OpenOptions::new().write(true).open(path)?;
        file.set_len(file.metadata()?.len().next_multiple_of(4))
    };
    grow().with_context(|| format!("pad({})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_may_follow_another() {
        let folder = tempfile::tempdir().unwrap();
        let (path, agent) = (folder.path().join("x.img"), folder.path().join("agent"));
        std::fs::write(&agent, "12345").unwrap();
        write(&path, &agent, Some(&agent)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        for name in [&RDINIT[1..], POLICY, "TRAILER!!!"] {
            assert!(text.contains(name), "{name}");
        }
    }
}
