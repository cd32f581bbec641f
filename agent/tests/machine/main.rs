//! Tests on machines made of directories.

mod apply;
mod faults;
mod plan;
mod property;
mod report;
mod snapshots;
mod support;
