//! A function that is to be bound, and how far that has come.

use rustix::io::Errno;

use crate::bind::failure::Failure;
use crate::machine::inventory::{Function, Index};
use crate::pci::address::Address;
use crate::text::DriverName;

/// It borrows nothing, so that the room for all of them can come from outside.
pub(crate) struct Job {
    /// The place of its step in the plan.
    pub at: usize,
    pub address: Address,
    /// The place of it in the inventory.
    pub function: Index,
    pub group: Option<u32>,
    /// The driver to bind.
    pub driver: DriverName,
    /// The driver that it had.
    pub before: Option<DriverName>,
    /// The override that was there before, once it has been replaced.
    pub previous: Option<DriverName>,
    /// Why its driver is not registered.
    pub missing: Option<Failure>,
    /// The framebuffer's device that it was taken from.
    pub console: Option<&'static str>,
    /// Whether it has been made ready, or was tried to be.
    pub prepared: bool,
    pub failure: Option<Failure>,
}

impl Job {
    pub(crate) fn new(
        at: usize,
        (index, function): (Index, &Function),
        driver: &DriverName,
    ) -> Self {
        Self {
            at,
            address: function.address,
            function: index,
            group: function.group,
            driver: driver.clone(),
            before: function.driver.clone(),
            previous: None,
            missing: None,
            console: None,
            prepared: false,
            failure: None,
        }
    }

    pub(crate) fn is_target(&self, driver: Option<&DriverName>) -> bool {
        driver == Some(&self.driver)
    }

    pub(crate) fn was_there(&self) -> bool {
        self.is_target(self.before.as_ref())
    }

    /// Whether something still runs that holds its device lock.
    pub(crate) fn is_stuck(&self) -> bool {
        matches!(self.failure, Some(Failure::System(_, Errno::TIMEDOUT)))
    }
}
