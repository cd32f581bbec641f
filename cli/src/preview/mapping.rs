//! Memory that firmware wants mapped as it is, for a device: VFIO refuses the group of such a one.
//!
//! `direct` in reserved_regions (iommu_group_resv_type_string in drivers/iommu/iommu.c, since Linux 4.11): Intel's
//! RMRR, AMD's unity maps, Arm's RMR. The kernel keeps such a device from a domain of VFIO's: `Firmware has requested this
//! device have a 1:1 IOMMU mapping` in the kernel log, or on older ones `ineligible for IOMMU domain attach due to platform
//! RMRR requirement`. `direct-relaxable` (displays and USB) is no hindrance.

use std::fs;
use std::path::Path;

/// Whether VFIO will refuse an IOMMU group for such a mapping.
#[must_use]
pub fn is_one_to_one(root: &Path, group: u32) -> bool {
    let file = format!("sys/kernel/iommu_groups/{group}/reserved_regions");
    let regions = fs::read_to_string(root.join(file)).unwrap_or_default();
    of_kind(&regions, DIRECT).next().is_some()
}

/// The kind that VFIO refuses.
pub const DIRECT: &str = "direct";

/// The lines of a kind in a text of reserved_regions: START END KIND.
pub fn of_kind<'r>(regions: &'r str, kind: &'r str) -> impl Iterator<Item = &'r str> {
    let all = regions.lines();
    all.filter(move |line| line.split_whitespace().nth(2) == Some(kind))
}

/// The same as a sentence.
#[must_use]
pub fn warning(group: u32) -> String {
    format!(
        "group {group}: firmware wants memory mapped 1:1 for a device of it (`direct` in \
         /sys/kernel/iommu_groups/{group}/reserved_regions), so VFIO will refuse the group to any guest; only a \
         setting of the firmware, or a newer one, ends that"
    )
}
