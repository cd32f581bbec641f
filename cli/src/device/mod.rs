//! Devices as people name them: any selector of the policy, or a name that the system has ([`name`]); [`chosen`] is
//! what the words of a command mean, and [`maker`] what a virtual function comes from.

pub mod chosen;
pub mod maker;
pub mod name;

use vfio_bind_agent::machine::sysfs::is_vfio;

/// Whether what has this driver is on VFIO.
#[must_use]
pub fn is_lent(driver: Option<&str>) -> bool {
    driver.is_some_and(|driver| is_vfio(driver.as_bytes()))
}
