//! Cargo.

use std::process::Command;

/// Cargo, the one that started us if one did.
#[must_use]
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
