//! The room for all that a run reads and finds out.
//!
//! Whoever starts a run brings it: it is too much for a stack of which every page is touched before it is
//! used. What is empty here is all zeros, so that the executable has none of it in its file.

use crate::bind::outcome::Outcomes;
use crate::machine::inventory::Inventory;
use crate::plan::Planning;
use crate::policy::Policy;
use crate::policy::modprobe_conf::{FILE_LEN, ModprobeConf};
use crate::text::cmdline::MAX_LEN;

/// The most bytes of a list of modules that are read.
pub(super) const MODULES_LEN: usize = 4096;

/// The texts that a policy is read from, but for the kernel command line.
pub struct Texts {
    pub(super) protected: [u8; MAX_LEN],
    pub(super) file: [u8; MAX_LEN],
    pub(super) modules: [u8; MODULES_LEN],
    pub(super) modprobe: ModprobeConf,
    /// One file of modprobe.d after another.
    pub(super) part: [u8; FILE_LEN],
}

impl Texts {
    /// None was read.
    pub const EMPTY: Self = Self {
        protected: [0; MAX_LEN],
        file: [0; MAX_LEN],
        modules: [0; MODULES_LEN],
        modprobe: ModprobeConf::EMPTY,
        part: [0; FILE_LEN],
    };
}

/// What is found out about a machine, and what becomes of it.
pub struct Found {
    pub(super) inventory: Inventory,
    pub(super) planning: Planning,
    pub(super) outcomes: Outcomes,
}

impl Found {
    /// Nothing was found.
    pub const EMPTY: Self = Self {
        inventory: Inventory::EMPTY,
        planning: Planning::EMPTY,
        outcomes: Outcomes::EMPTY,
    };
}

/// The room for one run, and the line that it begins with.
pub struct Room<'r, 'a> {
    /// The kernel command line.
    pub line: &'a [u8],
    /// What the policy is read from.
    pub texts: &'a mut Texts,
    /// The policy, an [empty](Policy::EMPTY) one.
    pub policy: &'r mut Policy<'a>,
    /// The rest.
    pub found: &'r mut Found,
}

/// Calls `then` with room on the stack, nearly a megabyte of it.
pub fn on_stack<T>(line: &[u8], then: impl FnOnce(Room<'_, '_>) -> T) -> T {
    let (mut texts, mut policy, mut found) = (Texts::EMPTY, Policy::EMPTY, Found::EMPTY);
    then(Room {
        line,
        texts: &mut texts,
        policy: &mut policy,
        found: &mut found,
    })
}
