//! What the agent costs, beside the hooks in shell that people write.
//!
//! Guests run both, on machines whose clock counts instructions ([`Guest`]); a [`Row`] is one program
//! beside the other. [`Limits`] keep what later changes must not make much worse.

mod figures;
mod guest;
mod image;
mod limits;
mod machine;
mod plan;
mod plot;
mod report;
mod run;
mod targets;
mod tree;

pub use figures::{Figures, Row};
pub use guest::{ARCHITECTURE, Outcome};
pub use image::{Size, sizes};
pub use limits::Limits;
pub use plan::{Guest, Pair, Way, full, short};
pub use plot::svg;
pub use report::{Setting, page, shortcomings, terminal};
pub use run::{all, task};
