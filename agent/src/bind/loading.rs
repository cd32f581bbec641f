//! Loading the driver that functions are bound to.

use crate::machine::sysfs::driver_directory;
use crate::machine::{LoadError, Loading, Machine};
use crate::policy::{Policy, VFIO_PCI};

/// Loads a driver. vfio-pci comes without what modprobe.d has run in its place: such a script binds what
/// it likes, is seldom in the image, and may drop the list that is given here. A line that is there to
/// keep it from being loaded stays in force.
pub(crate) fn load(
    host: &impl Machine,
    policy: &Policy<'_>,
    driver: &str,
    without_ids: bool,
) -> Result<(), LoadError> {
    let is_vfio_pci = driver == VFIO_PCI;
    let how = Loading {
        ignore_install: is_vfio_pci && policy.install.is_some_and(|line| !line.forbids),
        no_ids: is_vfio_pci && without_ids,
    };
    host.load_module(driver, how)
}

/// Sees to it that vfio-pci is there, by now with an empty list of IDs: whoever loads a module that is
/// loaded changes nothing, and so nobody gives it others.
#[inline(never)] // Inlined, it makes the executable larger.
pub(crate) fn without_ids(host: &impl Machine, policy: &Policy<'_>) -> Result<(), LoadError> {
    let directory = driver_directory(VFIO_PCI);
    if host.exists(&directory) {
        return Ok(());
    }
    let answer = load(host, policy, VFIO_PCI, true);
    if host.exists(&directory) {
        return Ok(());
    }
    answer.and(Err(LoadError::Status(0)))
}
