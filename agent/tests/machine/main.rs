//! Tests on machines made of directories.

mod apply;
mod architecture;
mod crash;
mod display;
mod exclusion;
mod executable;
mod faults;
mod grouping;
mod list;
mod plan;
mod property;
mod protection;
mod real;
mod recorded;
mod report;
mod selection;
mod snapshots;
mod sources;
mod support;
mod taken;
mod unlisted;
mod unseen;
mod variant;
mod vmd;
