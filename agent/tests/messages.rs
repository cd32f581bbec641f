//! Every sentence that people read, word for word: a table for each kind, with a row for each
//! variant. A variant without a row does not compile.

use rustix::io::Errno;
use vfio_bind::address::Address;
use vfio_bind::errno::Answer;
use vfio_bind::host::LoadError;
use vfio_bind::iommu::{Advice, Kind};
use vfio_bind::outcome::{Act, Failure, Fate};
use vfio_bind::record::State;

/// Compares each value with its sentence. The patterns of all rows together must cover the type.
macro_rules! table {
    ($type:ty, $show:expr, $($pattern:pat = $value:expr => $sentence:expr,)+) => {{
        let covered = |value: &$type| match value { $($pattern => ()),+ };
        $(
            let value = $value;
            covered(&value);
            assert!(matches!(value, $pattern), "{value:?} stands in another row");
            assert_eq!($show(&value), $sentence, "{value:?}");
        )+
    }};
}

fn display(value: &impl ToString) -> String {
    value.to_string()
}

#[test]
fn why_a_function_could_not_be_bound() {
    let told = |failure: &Failure| failure.told("vfio-pci").to_string();
    let address = Address::parse(b"0000:42:00.1").unwrap();
    table!(
        Failure, told,
        Failure::System(Act::Unbind, Errno::TIMEDOUT) = Failure::System(Act::Unbind, Errno::TIMEDOUT) =>
            "its driver did not let go within 10 s and may never; keep that driver from loading",
        Failure::System(Act::Unbind, _) = Failure::System(Act::Unbind, Errno::IO) =>
            "write(driver/unbind): EIO",
        Failure::System(Act::Override, _) = Failure::System(Act::Override, Errno::ACCESS) =>
            "write(driver_override): EACCES",
        Failure::System(Act::Restore, _) = Failure::System(Act::Restore, Errno::TIMEDOUT) =>
            "write(driver_override) to undo it: ETIMEDOUT",
        Failure::System(Act::Probe, _) = Failure::System(Act::Probe, Errno::TIMEDOUT) =>
            "write(drivers_probe): ETIMEDOUT",
        Failure::System(Act::Look, _) = Failure::System(Act::Look, Errno::NOMEM) =>
            "readlink(driver): ENOMEM",
        Failure::NoDriver(Some(_)) = Failure::NoDriver(Some(LoadError::NoModprobe)) =>
            "no driver vfio-pci: this image has no modprobe; add kmod to it",
        Failure::NoDriver(None) = Failure::NoDriver(None) =>
            "modprobe vfio-pci ended well, but no PCI driver has that name; see vfio.driver=",
        Failure::NotBound = Failure::NotBound =>
            "vfio-pci did not take it; the kernel log says why above this line",
        Failure::Vanished = Failure::Vanished => "it has vanished",
        Failure::Sibling(_) = Failure::Sibling(address) =>
            "0000:42:00.1 of the same IOMMU group could not be bound",
    );
}

#[test]
fn what_became_of_a_function() {
    table!(
        Fate, display,
        Fate::Bound = Fate::Bound => "bound",
        Fate::Already = Fate::Already => "already",
        Fate::Refused = Fate::Refused => "refused",
        Fate::Left = Fate::Left => "left",
        Fate::Returned = Fate::Returned => "returned",
        Fate::Held = Fate::Held => "held",
        Fate::Failed = Fate::Failed => "failed",
        Fate::Planned = Fate::Planned => "planned",
    );
}

#[test]
fn how_a_run_ended() {
    table!(
        State, display,
        State::Applied = State::Applied => "applied",
        State::Off = State::Off => "off",
        State::DryRun = State::DryRun => "dry-run",
        State::NoIommu = State::NoIommu => "no-iommu",
        State::NoPci = State::NoPci => "no-pci",
        State::NothingAsked = State::NothingAsked => "nothing-asked",
    );
}

#[test]
fn why_a_module_is_not_there() {
    table!(
        LoadError, display,
        LoadError::NoModprobe = LoadError::NoModprobe =>
            "this image has no modprobe; add kmod to it",
        LoadError::Spawn(_) = LoadError::Spawn(Errno::NOEXEC) =>
            "modprobe could not start: ENOEXEC",
        LoadError::Status(_) = LoadError::Status(1) =>
            "modprobe ended with status 1; the module may be missing from this image",
        LoadError::Signal(_) = LoadError::Signal(9) => "modprobe was killed by signal 9",
        LoadError::TimedOut = LoadError::TimedOut => "modprobe did not end in time",
    );
}

#[test]
fn which_iommu_there_is() {
    table!(
        Kind, display,
        Kind::Intel = Kind::Intel => "intel",
        Kind::Amd = Kind::Amd => "amd",
        Kind::SmmuV3 = Kind::SmmuV3 => "smmuv3",
        Kind::Smmu = Kind::Smmu => "smmu",
        Kind::Virtio = Kind::Virtio => "virtio",
        Kind::S390 = Kind::S390 => "s390",
        Kind::Other = Kind::Other => "other",
        Kind::None = Kind::None => "none",
    );
}

#[test]
fn what_turns_the_iommu_on() {
    table!(
        Advice, display,
        Advice::RemoveParameter(_) = Advice::RemoveParameter("amd_iommu=off") =>
            "the kernel command line says amd_iommu=off; remove it",
        Advice::IntelParameter = Advice::IntelParameter =>
            "the firmware offers Intel VT-d; add intel_iommu=on to the kernel command line",
        Advice::IntelFirmware = Advice::IntelFirmware =>
            "turn on VT-d in the firmware setup and add intel_iommu=on to the kernel command line",
        Advice::AmdKernel = Advice::AmdKernel =>
            "the firmware offers AMD-Vi, but the kernel did not start it; look for `AMD-Vi` in \
             the kernel log",
        Advice::AmdFirmware = Advice::AmdFirmware =>
            "turn on IOMMU (AMD-Vi) in the firmware setup; no parameter is needed",
        Advice::Smmu = Advice::Smmu =>
            "turn on the SMMU in the firmware setup; the kernel finds it in the IORT table or the \
             device tree",
        Advice::Unknown = Advice::Unknown =>
            "turn on the IOMMU in the firmware setup (VT-d on Intel, AMD-Vi on AMD, SMMU on Arm); \
             Intel also needs intel_iommu=on on the kernel command line",
    );
}

/// The numbers are those of the kernel's asm-generic/errno-base.h and errno.h.
#[test]
fn what_the_system_answered() {
    let names = [
        (1, "EPERM"),
        (2, "ENOENT"),
        (3, "ESRCH"),
        (4, "EINTR"),
        (5, "EIO"),
        (6, "ENXIO"),
        (7, "E2BIG"),
        (8, "ENOEXEC"),
        (9, "EBADF"),
        (11, "EAGAIN"),
        (12, "ENOMEM"),
        (13, "EACCES"),
        (14, "EFAULT"),
        (16, "EBUSY"),
        (17, "EEXIST"),
        (19, "ENODEV"),
        (20, "ENOTDIR"),
        (21, "EISDIR"),
        (22, "EINVAL"),
        (23, "ENFILE"),
        (24, "EMFILE"),
        (25, "ENOTTY"),
        (27, "EFBIG"),
        (28, "ENOSPC"),
        (30, "EROFS"),
        (32, "EPIPE"),
        (36, "ENAMETOOLONG"),
        (38, "ENOSYS"),
        (40, "ELOOP"),
        (75, "EOVERFLOW"),
        (95, "EOPNOTSUPP"),
        (110, "ETIMEDOUT"),
    ];
    for number in 1..=133 {
        let known = names.iter().find(|(known, _)| *known == number);
        let expected = known.map_or(format!("errno {number}"), |(_, name)| (*name).to_owned());
        let answer = Answer(Errno::from_raw_os_error(number));
        assert_eq!(answer.to_string(), expected);
    }
}
