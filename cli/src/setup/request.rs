//! What is asked of setup.

use std::path::PathBuf;

use super::tools::Tools;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set words.
    Set,
    /// Set words for the next boot alone.
    Try,
    /// Set for good what was tried.
    Keep,
    /// Take out what was set.
    Undo,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The root directory.
    pub root: PathBuf,
    /// What is to be done.
    pub action: Action,
    /// The words.
    pub words: Vec<String>,
    /// The boot loader, where its owner names it.
    pub loader: Option<String>,
    /// Show it, and write nothing.
    pub dry_run: bool,
    /// Ask nothing.
    pub yes: bool,
    /// How programs are run.
    pub tools: Tools,
}
