//! Where the repository is.

use std::path::Path;

/// The top folder of the repository.
#[must_use]
pub fn folder() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
