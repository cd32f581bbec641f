//! How much memory may be locked: a guest's whole memory is, once a device is lent to it.

use std::fs;
use std::path::Path;

/// The limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// So many bytes.
    Bytes(u64),
}

/// What else than its memory a guest locks: the firmware, the display, the BARs of other devices. libvirt
/// reckons with one GiB (`qemuDomainGetMemLockLimitBytes`).
const BESIDE: u64 = 1 << 30;

/// The limit of whoever asks, by `proc/self/limits` of the system at `root`.
#[must_use]
pub fn now(root: &Path) -> Option<Limit> {
    let text = fs::read_to_string(root.join("proc/self/limits")).ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("Max locked memory"))?;
    let soft = line.split_whitespace().nth(3)?;
    match soft {
        "unlimited" => Some(Limit::Unlimited),
        number => number.parse().ok().map(Limit::Bytes),
    }
}

/// The memory of the system at `root`, in bytes.
#[must_use]
pub fn memory(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The largest guest that a limit has room for, in MiB.
#[must_use]
pub fn largest(limit: u64) -> u64 {
    limit.saturating_sub(BESIDE) >> 20
}

/// The limit that a guest of so many MiB needs, in KiB, as limits.conf has it.
#[must_use]
pub fn needed(guest: u64) -> u64 {
    (guest << 10).saturating_add(BESIDE >> 10)
}

/// A sentence about the limit now.
#[must_use]
pub fn told(limit: Limit) -> String {
    match limit {
        Limit::Unlimited => "this session may lock all memory".to_owned(),
        Limit::Bytes(bytes) if largest(bytes) == 0 => format!(
            "this session may lock {} MiB, too little for any guest that has a device",
            bytes >> 20
        ),
        Limit::Bytes(bytes) => format!(
            "this session may lock {} MiB, enough for a guest of up to {} MiB",
            bytes >> 20,
            largest(bytes)
        ),
    }
}

/// What raises the limit for a user and a guest of so many MiB: a line for
/// /etc/security/limits.d/70-vfio.conf, and a line for a unit.
#[must_use]
pub fn lines(user: &str, guest: u64) -> [String; 2] {
    let needed = needed(guest);
    [
        format!("{user} - memlock {needed}"),
        format!("LimitMEMLOCK={}M", needed >> 10),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_reckoned() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(now(root.path()), None);
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let write = |soft: &str| {
            let text = format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max locked memory         {soft}           unlimited            bytes\n"
            );
            fs::write(root.path().join("proc/self/limits"), text).unwrap();
        };
        write("8388608");
        assert_eq!(now(root.path()), Some(Limit::Bytes(8 << 20)));
        write("unlimited");
        assert_eq!(now(root.path()), Some(Limit::Unlimited));
        assert!(told(Limit::Bytes(8 << 20)).contains("too little"));
        assert!(told(Limit::Bytes(5 << 30)).contains("up to 4096 MiB"));
        assert_eq!(
            lines("me", 4096),
            ["me - memlock 5242880", "LimitMEMLOCK=5120M"]
        );
    }
}
