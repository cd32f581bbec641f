//! The kernels and the machines that the core scenarios run on, each with each.

use crate::machine::{Board, CoreDevices, Iommu};
use crate::report::Fate;
use crate::scenario::{BUILT_IN, NEWEST, Run, Scenario};
use crate::scenarios::built_in;

/// A machine, and how it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Names it in scenarios.
    pub name: &'static str,
    /// What it is made of.
    pub board: Board,
    /// Its IOMMU.
    pub iommu: Iommu,
    /// Whether EFI firmware starts it.
    pub efi: bool,
    /// The first kernel of [`KERNELS`] that can run there.
    first: &'static str,
}

const fn platform(name: &'static str, board: Board, iommu: Iommu, first: &'static str) -> Platform {
    Platform {
        name,
        board,
        iommu,
        efi: false,
        first,
    }
}

const fn with_efi(name: &'static str, platform: Platform) -> Platform {
    Platform {
        name,
        efi: true,
        ..platform
    }
}

/// The kernels: Debian's, the oldest first, and one with vfio-pci in it.
pub const KERNELS: [&str; 5] = ["5.10", "6.1", "6.12", NEWEST, BUILT_IN];

const INTEL: Platform = platform("intel", Board::Pc, Iommu::Intel, "5.10");
const SMMU: Platform = platform("smmuv3", Board::Virt, Iommu::Smmu, "5.10");

/// The machines.
pub const PLATFORMS: [Platform; 9] = [
    INTEL,
    with_efi("intel-efi", INTEL),
    platform("amd", Board::Pc, Iommu::Amd, "5.10"),
    // Debian's kernels have its driver since then.
    platform("virtio", Board::Pc, Iommu::Virtio, "6.12"),
    platform("none", Board::Pc, Iommu::Absent, "5.10"),
    SMMU,
    with_efi("smmuv3-efi", SMMU),
    platform("arm-none", Board::Virt, Iommu::Absent, "5.10"),
    // Debian's older ones have no VFIO there.
    platform("s390", Board::Z, Iommu::Zpci, "6.12"),
];

/// One kernel on one machine.
#[derive(Clone, Debug)]
pub struct Cell {
    /// One of [`KERNELS`].
    pub kernel: &'static str,
    /// One of [`PLATFORMS`].
    pub platform: Platform,
    /// What runs there; none where there is no such kernel for that machine.
    pub scenarios: Vec<Scenario>,
}

/// Every kernel on every machine.
#[must_use]
pub fn cells() -> Vec<Cell> {
    let age = |kernel| KERNELS.iter().position(|other| *other == kernel);
    let each = |kernel: &'static str| {
        PLATFORMS.map(|platform| Cell {
            kernel,
            platform,
            scenarios: if kernel == BUILT_IN {
                // It is built for one machine.
                let there = platform == INTEL;
                there.then(built_in::scenarios).unwrap_or_default()
            } else if age(platform.first) <= age(kernel) {
                core(kernel, platform)
            } else {
                Vec::new()
            },
        })
    };
    KERNELS.into_iter().flat_map(each).collect()
}

/// Everything that runs in some cell.
#[must_use]
pub fn all() -> Vec<Scenario> {
    cells()
        .into_iter()
        .flat_map(|cell| cell.scenarios)
        .collect()
}

/// What runs in every test run: each kernel, each IOMMU, each architecture and each firmware, though
/// not each with each.
#[must_use]
pub fn cross_section() -> Vec<Scenario> {
    let wanted = |scenario: &Scenario| CROSS_SECTION.contains(&&*scenario.name);
    all().into_iter().filter(wanted).collect()
}

const CROSS_SECTION: [&str; 12] = [
    "5.10-intel-taken-over",
    "5.10-amd-ids",
    "6.1-intel-efi-card",
    "6.1-smmuv3-card",
    "6.1-smmuv3-efi-taken-over",
    "6.12-s390-taken-over",
    "6.12-amd-taken-over",
    "6.12-virtio-card",
    "6.12-arm-none-refused",
    "newest-s390-ids",
    "newest-virtio-taken-over",
    "newest-smmuv3-ids",
];

/// What must hold for every kernel on every machine.
fn core(kernel: &'static str, platform: Platform) -> Vec<Scenario> {
    let CoreDevices {
        card,
        ids,
        twin,
        drivers,
        in_kernel,
        modules,
    } = platform.board.core_devices();
    let address = format!("vfio.bind={}", card[0]);
    let scenario = |what: &str, proves: &str, cmdline: String, run: Run| Scenario {
        board: platform.board,
        iommu: platform.iommu,
        efi: platform.efi,
        kernel: Some(kernel),
        ..Scenario::new(
            format!("{kernel}-{}-{what}", platform.name),
            proves.to_owned(),
            cmdline,
            run,
        )
    };
    let agent = || Run::new("agent");
    if platform.iommu == Iommu::Absent {
        let refused = agent().state("no-iommu").refused(&card[..1]).exit(1);
        let proves = "without an IOMMU nothing is written, and every native driver gets its device";
        return vec![scenario("refused", proves, address, refused)];
    }
    let told = |run: Run| drivers.iter().copied().fold(run, Run::says);
    // A native driver gets nothing before that.
    let first = (platform.iommu == Iommu::Virtio).then_some("virtio_iommu");
    let preload: Vec<_> = first.iter().chain(modules).copied().collect();
    let both = format!("{address},{}", in_kernel.join(","));
    let all = [
        scenario(
            "card",
            "one address takes a card whole, its twin stays native",
            address.clone(),
            agent().bound(card),
        ),
        scenario(
            "ids",
            "vfio_pci.ids= takes both cards whole",
            format!("vfio_pci.ids={ids}"),
            agent().bound(card).bound(twin),
        ),
        scenario(
            "taken-over",
            "what native drivers have, those in the kernel included, is taken over",
            both,
            told(agent().bound(card).bound(in_kernel)),
        )
        .preload(&preload),
        scenario(
            "no-vfio",
            "without vfio-pci in the image the native drivers keep the card",
            address,
            told(agent().outcome(Fate::Returned, card).exit(1)),
        )
        .preload(&preload)
        .without(&["vfio_pci"]),
    ];
    // What firmware may change is what is there when the kernel starts: the rest is the same without.
    let [card, ids, taken_over, no_vfio] = all;
    if platform.efi {
        vec![card, taken_over]
    } else {
        vec![card, ids, taken_over, no_vfio]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cross_section_has_every_kernel_iommu_architecture_and_firmware() {
        let chosen = cross_section();
        assert_eq!(chosen.len(), CROSS_SECTION.len());
        let built = |kernel: &&str| *kernel == BUILT_IN;
        for kernel in KERNELS.into_iter().filter(|kernel| !built(kernel)) {
            assert!(
                chosen.iter().any(|one| one.kernel == Some(kernel)),
                "{kernel}"
            );
        }
        for platform in PLATFORMS {
            let there = |one: &&Scenario| one.iommu == platform.iommu;
            assert!(
                platform.iommu == Iommu::Absent || chosen.iter().any(|one| there(&one)),
                "{}",
                platform.name
            );
            let starts = |one: &Scenario| {
                one.architecture() == platform.board.architecture() && one.efi == platform.efi
            };
            assert!(chosen.iter().any(starts), "{}", platform.name);
        }
    }

    #[test]
    fn every_place_has_a_kernel() {
        for platform in PLATFORMS {
            assert!(KERNELS.contains(&platform.first), "{}", platform.name);
        }
    }
}
