//! Tests on machines made of directories.

mod apply;
mod architecture;
mod crash;
mod executable;
mod faults;
mod grouping;
mod plan;
mod property;
mod real;
mod report;
mod selection;
mod snapshots;
mod sources;
mod support;
mod variant;
