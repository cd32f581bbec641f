//! Functions given back: on a machine whose kernel reacts, and by the command as its user sees it.

#[path = "../../../agent/tests/machine/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the agent's tests use what is not used here"
)]
mod support;

mod back;
mod command;
