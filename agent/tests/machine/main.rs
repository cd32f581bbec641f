//! Tests on machines made of directories.

mod apply;
mod plan;
mod report;
mod support;
