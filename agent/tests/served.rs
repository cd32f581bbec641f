//! What the child of the executable does that makes the calls which may never return: the executable itself
//! has no tests.

#[path = "../src/boot/helper/served.rs"]
mod served;
