//! Boot loaders: which one a machine uses, where it keeps the kernel command line, and how words are put there
//! and taken out. Nothing here writes.

pub mod change;
pub mod facts;
pub mod grub;
pub mod line;
pub mod shell;
pub mod sourced;
pub mod table;
pub mod view;
