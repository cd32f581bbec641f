//! Who uses a function, on systems that are directories; nodes are links to real ones of this system.

mod bind;
mod machine;
mod networks;
mod processes;
#[path = "../program/mod.rs"]
mod program;
