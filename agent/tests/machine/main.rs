//! Tests on machines made of directories.

mod apply;
mod plan;
mod property;
mod report;
mod selection;
mod support;
mod variant;
