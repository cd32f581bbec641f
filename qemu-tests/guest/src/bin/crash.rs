//! Stands in for an agent that crashes.

fn main() {
    std::process::abort();
}
