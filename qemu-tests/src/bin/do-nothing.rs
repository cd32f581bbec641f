//! Stands in for the agent to prove that the scenarios can fail: it succeeds and does nothing.

fn main() {}
