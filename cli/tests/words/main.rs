//! Words for devices, on made-up machines and on real ones.

mod command;
mod machine;
mod named;
mod real;
