//! What the agent costs, beside the hooks in shell that people write, and driverctl.
//!
//! Guests run both, on machines whose clock counts instructions ([`Guest`]); a [`Row`] is one program
//! beside the other. [`Limits`] keep what later changes must not make much worse.

mod figures;
mod guest;
mod image;
mod limits;
mod machine;
mod peers;
mod plan;
mod plot;
mod profile;
mod report;
mod run;
mod targets;
mod tree;
mod words;

pub use figures::{Figures, Row};
pub use guest::Outcome;
pub use image::{Size, sizes};
pub use limits::{Limits, wrong};
pub use machine::ARCHITECTURE;
pub use plan::{Guest, Pair, Way, full, short};
pub use plot::svg;
pub use report::{Setting, page, shortcomings, terminal};
pub use run::{all, task};
