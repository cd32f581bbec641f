//! What the kernel offers to change the driver of a function, and how long each of it may take.

use core::time::Duration;

use rustix::io::Errno;

use crate::machine::sysfs::{DRIVERS_PROBE, attribute, driver_of};
use crate::machine::{Controls, SHOWN_MOST, deadline};
use crate::pci::address::Address;
use crate::text::{DriverName, clip, name};

/// How long a native driver may take to let go of a function, or a probe to end.
pub const DRIVER_LIMIT: Duration = Duration::from_secs(10);

/// How long the device lock may be held by somebody else.
pub const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// How long a write is waited for that cannot come to pass before a driver returns that has not.
pub const QUEUE_LIMIT: Duration = deadline::AT_ONCE;

/// Writes an address to a file that takes one.
///
/// # Errors
/// What open or write answered; `ETIMEDOUT` at the limit.
pub fn put_address(
    host: &impl Controls,
    path: &str,
    address: Address,
    limit: Duration,
) -> Result<(), Errno> {
    let text: DriverName = clip(format_args!("{address}"));
    host.write_within(path, text.as_bytes(), limit)
}

/// The override in force; empty where there is none, which the kernel shows as `(null)`. To show
/// it takes the device lock, as to store it does (`driver_override_show` in
/// drivers/pci/pci-sysfs.c).
///
/// # Errors
/// What open or read answered; `ETIMEDOUT` where the lock is held.
pub fn current_override(host: &impl Controls, address: Address) -> Result<DriverName, Errno> {
    let path = attribute(address, "driver_override");
    let mut buffer = [0; SHOWN_MOST];
    let text = host.read_within(&path, &mut buffer, LOCK_LIMIT)?;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    Ok(if text == b"(null)" {
        DriverName::default()
    } else {
        name(text)
    })
}

/// Sets or, with an empty value, clears an override. The store takes the device lock, which a
/// driver that hangs in its probe or remove function holds for ever.
///
/// # Errors
/// What open or write answered; `ETIMEDOUT` where the lock is held.
pub fn put_override(
    host: &impl Controls,
    address: Address,
    value: &DriverName,
    limit: Duration,
) -> Result<(), Errno> {
    let data = if value.is_empty() {
        b"\n"
    } else {
        value.as_bytes()
    };
    host.write_within(&attribute(address, "driver_override"), data, limit)
}

/// Takes a function from its driver; one that has none by then is no error.
///
/// # Errors
/// What open or write answered; `ETIMEDOUT` where the driver does not let go.
pub fn unbind(host: &impl Controls, address: Address, limit: Duration) -> Result<(), Errno> {
    match put_address(host, &attribute(address, "driver/unbind"), address, limit) {
        // Somebody else unbound it in the meantime.
        Err(Errno::NOENT | Errno::NODEV) if driver_of(host, address) == Ok(None) => Ok(()),
        answer => answer,
    }
}

/// Asks the kernel to find the driver of a function. Whether one took it, its `driver` link tells.
///
/// # Errors
/// `ETIMEDOUT` where the driver's probe does not end.
pub fn probe(host: &impl Controls, address: Address, limit: Duration) -> Result<(), Errno> {
    match put_address(host, DRIVERS_PROBE, address, limit) {
        // The kernel passes on what the driver's probe answered: the `driver` link tells it better.
        Err(Errno::TIMEDOUT) => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}
